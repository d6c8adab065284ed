"""What each of the paper's three ablation switches does."""
import torch
from mmdet.structures import DetDataSample


def predict(model, images):
    return model.eval().predict(images, [DetDataSample() for _ in images])


def pixels(hidden):
    """From the prediction grid (stride 8) to pixels."""
    return hidden.repeat_interleave(8, 0).repeat_interleave(8, 1)


def test_reconstruction_off(make_model, images):
    model = make_model(dict(reconstruction=False))
    assert 'loss_reconstruction' not in model(images, mode='loss')
    assert not any('reconstruction_head' in name
                   for name in model.state_dict())
    assert 'reconstruction' not in predict(model, images)[0]


def test_denoising_off_keeps_the_visible_pixels(make_model, images):
    for sample, image in zip(
            predict(make_model(dict(denoising=False)), images), images):
        hidden = pixels(sample.hidden)
        assert torch.equal(sample.noisy_image[:, ~hidden], image[:, ~hidden])
        # Hiding is another matter, and stays.
        assert not torch.isclose(sample.noisy_image[:, hidden],
                                 image[:, hidden]).all()


def test_denoising_on_keeps_a_share_of_the_variance(make_model, images):
    model = make_model(dict(noise=dict(gamma=0.6)))
    for sample, image in zip(predict(model, images), images):
        visible = ~pixels(sample.hidden)
        noise = (sample.noisy_image - 0.6**0.5 * image)[:, visible]
        assert abs(noise.std() / 0.4**0.5 - 1) < 0.05


def test_auxiliary_self_attention_off_has_no_such_module(make_model, images):
    model = make_model(dict(auxiliary_self_attention=False))
    assert model.query_to_map.auxiliary_self_attention is None
    assert not any('auxiliary_self_attention' in name
                   for name in model.state_dict())
    with_it = make_model()
    assert any('auxiliary_self_attention' in name
               for name in with_it.state_dict())
    # All other weights alike, it alone makes the difference.
    with_it.load_state_dict(model.state_dict(), strict=False)
    one, other = predict(model, images)[0], predict(with_it, images)[0]
    assert torch.equal(one.mask_weights, other.mask_weights)
    assert not torch.allclose(one.prediction, other.prediction, rtol=0.1)
