"""Nothing of the hidden pixels may reach the online branch."""
import pytest
import torch
from mmdet.structures import DetDataSample


def predict(model, images):
    samples = model.predict(images, [DetDataSample() for _ in images])
    return {
        name: torch.stack([sample.get(name) for sample in samples])
        for name in samples[0].all_keys() if name != 'memory'
    }


@pytest.fixture
def change_hidden(images):
    """Put other content at the hidden pixels, and nowhere else."""

    def change(hidden):
        pixels = hidden.repeat_interleave(8, 1).repeat_interleave(8, 2)
        other = images.flip(0, 3) * 3 + 1
        return torch.where(pixels[:, None], other, images)

    return change


def test_hidden_pixels_do_not_reach_the_prediction(make_model, images,
                                                   change_hidden):
    model = make_model(dict(noise=dict(masked_gamma=0.0))).eval()
    first = predict(model, images)
    second = predict(model, change_hidden(first['hidden']))
    assert torch.equal(first['hidden'], second['hidden'])
    for name in ('noisy_image', 'prediction', 'mask_weights',
                 'reconstruction'):
        assert torch.equal(first[name], second[name]), name
    # The target does see them, so there is something to predict.
    hidden = first['hidden'][:, None].expand_as(first['target_on_grid'])
    assert not torch.isclose(first['target_on_grid'][hidden],
                             second['target_on_grid'][hidden]).all()


def test_the_literal_reading_leaks(make_model, images, change_hidden):
    model = make_model(dict(noise=dict(gamma=0.7, masked_gamma=0.7))).eval()
    first = predict(model, images)
    second = predict(model, change_hidden(first['hidden']))
    assert not torch.allclose(first['prediction'], second['prediction'])


def test_visible_pixels_do_reach_the_prediction(make_model, images):
    model = make_model().eval()
    first = predict(model, images)
    second = predict(model, images + 0.5)
    assert not torch.allclose(first['prediction'], second['prediction'])
