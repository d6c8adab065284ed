import torch

from projects.mask_jepa.models.reconstruction_head import ReconstructionHead


def test_each_feature_paints_its_own_square():
    """Pixel (4i + r, 4j + s) of colour c is channel 16c + 4r + s at i, j."""
    head = ReconstructionHead(8)
    features = torch.randn(2, 8, 3, 5)
    image = head(features)
    weight, bias = (value.detach() for value in head.projection.parameters())
    flat = torch.einsum('oc,bchw->bohw', weight[..., 0, 0],
                        features) + bias[:, None, None]
    expected = torch.empty(2, 3, 12, 20)
    for colour in range(3):
        for row in range(4):
            for column in range(4):
                expected[:, colour, row::4, column::4] = flat[:, 16 * colour +
                                                              4 * row + column]
    torch.testing.assert_close(image, expected)
