import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scenes_and_globals import numpy_state

from mask_jepa.evaluation.health_check import (channel_std, check_health,
                                               effective_rank, mask_entropy,
                                               mean_cosines, mean_norm,
                                               prediction_leak, used_share)

OF_FEATURES = {'std', 'rank', 'cosine_within', 'cosine_between', 'norm'}
KEYS = {f'{branch}_{name}' for branch in ('target', 'online')
        for name in OF_FEATURES} | {
            'mask_entropy', 'queries_used', 'logits_above_zero',
            'places_covered', 'leak'
        }
LITERAL_NOISE = dict(gamma=0.7, masked_gamma=0.7)
DROPOUT = 'panoptic_head.transformer_decoder.layer_cfg.ffn_cfg.ffn_drop'


@pytest.fixture
def moved_model(make_model):
    """A model whose target differs from the online branch."""
    model = make_model()
    with torch.no_grad():
        for parameter in model.target.parameters():
            parameter.mul_(1.1)
    return model


def test_all_keys_are_finite_floats(tiny_model, images):
    values = check_health(tiny_model, images)
    assert values.keys() == KEYS
    for name, value in values.items():
        assert type(value) is float and math.isfinite(value), name


def test_values_are_those_of_the_predicted_step(moved_model, images):
    moved_model.eval()
    with torch.no_grad():
        step = moved_model.predict_target(images)
    expected = dict(
        mask_entropy=mask_entropy(step.mask_weights),
        queries_used=used_share(step.mask_weights))
    for branch, features in dict(
            target=F.avg_pool2d(step.target_features, 2),
            online=step.mask_features).items():
        within, between = mean_cosines(features)
        expected.update({
            f'{branch}_std': channel_std(features),
            f'{branch}_rank': effective_rank(features),
            f'{branch}_cosine_within': within,
            f'{branch}_cosine_between': between,
            f'{branch}_norm': mean_norm(features)
        })
    found = check_health(moved_model, images)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value.item(), rel=1e-4), name
    for name in OF_FEATURES:
        assert found[f'target_{name}'] != pytest.approx(
            found[f'online_{name}'], rel=1e-3), name


def test_a_constant_target_shows_in_spite_of_centring(tiny_model, images):
    """What centring leaves of it is noise, which looks well spread."""
    last = tiny_model.target.pixel_decoder.mask_feature
    with torch.no_grad():
        last.weight.mul_(1e-6)
        last.bias.normal_()
    tiny_model(images, mode='loss')
    step = tiny_model.predict_target(images)
    assert channel_std(step.target_on_grid) > 0.3
    assert check_health(tiny_model, images)['target_std'] < 0.01


def test_masks_worked_by_hand(tiny_model, images, monkeypatch):
    """Four of twelve logits are above zero, at three of four places."""
    logits = torch.tensor([[[[3., -2.], [-1., -1.]], [[2., 4.], [-3., 1.]],
                            [[-9., -9.], [-9., -9.]]]]).repeat(2, 1, 1, 1)
    step = tiny_model.predict_target(images)
    step = step._replace(
        logits_on_grid=logits, mask_weights=logits.softmax(1))
    monkeypatch.setattr(tiny_model, 'predict_target', lambda image: step)
    values = check_health(tiny_model, images)
    assert values['logits_above_zero'] == pytest.approx(4 / 12)
    assert values['places_covered'] == pytest.approx(3 / 4)
    assert values['queries_used'] == pytest.approx(2 / 3)


@pytest.mark.parametrize('per_image', [False, True])
def test_what_is_pure_noise_does_not_leak(make_model, images, per_image):
    model = make_model(dict(noise=dict(
        gamma=0.7, masked_gamma=0.0, per_image=per_image)))
    assert check_health(model, images)['leak'] == 0


def test_hidden_pixels_leak_in_the_literal_reading(make_model, images):
    literal = make_model(dict(noise=LITERAL_NOISE))
    assert check_health(literal, images)['leak'] > 0.01


def test_a_single_image_leaks_as_well(make_model, images):
    model = make_model(dict(noise=LITERAL_NOISE))
    values = check_health(model, images[:1])
    assert values['leak'] > 0.01
    unknown = {name for name, value in values.items() if math.isnan(value)}
    assert unknown == {'target_cosine_between', 'online_cosine_between'}


def test_nothing_hidden_is_no_leak(make_model, images):
    model = make_model(dict(noise=LITERAL_NOISE, masking=dict(ratio=0.0)))
    assert check_health(model, images)['leak'] == 0


def test_leak_worked_by_hand():
    """Prediction is the image; its left place is hidden.

    1 becomes 8 and 5 becomes 2, which were spread by 2 around 3.
    """
    image = torch.tensor([[[[1., 2.]]], [[[5., 8.]]]])
    hidden = torch.tensor([True, False]).expand(2, 1, 1, 2)
    model = SimpleNamespace(
        predict_target=lambda image: SimpleNamespace(
            hidden_on_grid=hidden, prediction=image))
    leak = prediction_leak(model, image, model.predict_target(image))
    assert leak.item() == pytest.approx(((49 + 9) / 2)**0.5 / 2)


def test_one_visible_place_that_changes_is_no_leak():
    """Only what is predicted at hidden places counts."""
    hidden = torch.tensor([True, False]).expand(2, 1, 1, 2)
    image = torch.tensor([[[[1., 2.]]], [[[5., 8.]]]])
    calls = []

    def predict_target(image):
        calls.append(image)
        prediction = torch.tensor([[[[1., 0.]]], [[[2., 0.]]]])
        prediction[..., 1] = len(calls)
        return SimpleNamespace(hidden_on_grid=hidden, prediction=prediction)

    model = SimpleNamespace(predict_target=predict_target)
    assert prediction_leak(model, image, predict_target(image)) == 0
    # Nor is anything changed there.
    assert torch.equal(calls[1][..., 1], image[..., 1])
    assert not torch.equal(calls[1][..., 0], image[..., 0])


def everything(model):
    """What a check must leave alone."""
    tensors = [tensor.clone() for tensor in model.state_dict().values()]
    gradients = [parameter.grad for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    return (tensors, gradients, modes, torch.get_rng_state(),
            numpy_state(), random.getstate())


@pytest.mark.parametrize('training', [True, False])
def test_nothing_changes(make_model, images, training):
    model = make_model({DROPOUT: 0.5}).train(training)
    model.random.step = 7
    # A training forward would note that the learned queries are used.
    model.random_queries.set_sigma(0.4)
    before = everything(model)
    given = images.clone()
    check_health(model, images)
    after = everything(model)
    for one, other in zip(before[0], after[0]):
        assert torch.equal(one, other)
    assert before[1:3] == after[1:3]
    assert any(before[2]) == training
    assert torch.equal(before[3], after[3])
    assert before[4:] == after[4:]
    assert torch.equal(images, given)


def test_equal_calls_give_equal_values(make_model, images):
    model = make_model({DROPOUT: 0.5})
    first = check_health(model, images)
    torch.manual_seed(1)
    assert check_health(model, images) == first
    model.random.step += 1
    assert check_health(model, images) != first


def samples_of(features):
    channels = features.shape[1]
    return np.moveaxis(features.double().numpy(), 1, -1).reshape(-1, channels)


def unit_samples_of(features):
    samples = samples_of(features)
    return samples / np.linalg.norm(samples, axis=1, keepdims=True)


def reference_rank(features):
    """Exponential of the entropy of the normalised singular values."""
    samples = samples_of(features)
    values = np.linalg.svd(samples - samples.mean(0), compute_uv=False)
    share = values / values.sum()
    share = share[share > 0]
    return np.exp(-(share * np.log(share)).sum())


def reference_std(features):
    samples = unit_samples_of(features)
    return samples.std(0, ddof=1).mean() * samples.shape[1]**0.5


def reference_cosines(features):
    """Every pair of two different places, one by one."""
    samples = unit_samples_of(features)
    image = np.arange(len(samples)) // (len(samples) // len(features))
    within, between = [], []
    for one in range(len(samples)):
        for other in range(one):
            pairs = within if image[one] == image[other] else between
            pairs.append(samples[one] @ samples[other])
    return np.mean(within), np.mean(between)


def random_maps(shape, scale=1.0):
    return scale * torch.randn(
        *shape, generator=torch.Generator().manual_seed(6))


@pytest.fixture
def uneven():
    """Features of very different spread in 12 channels, off zero."""
    scale = torch.logspace(0, -2, 12)[:, None, None]
    return random_maps((3, 12, 6, 10)) * scale + 0.3


@pytest.fixture
def isotropic():
    return random_maps((4, 16, 40, 40))


@pytest.fixture
def constant():
    """The same vector everywhere."""
    return torch.linspace(1, 2, 16)[None, :, None, None].expand(2, 16, 4, 4)


def one_hot_weights(owners, num_queries):
    """Alpha where each place has one query; owners (B, h, w)."""
    return F.one_hot(torch.tensor(owners), num_queries).movedim(-1, 1).float()


def test_rank_equals_the_singular_values(uneven):
    assert effective_rank(uneven).item() == pytest.approx(
        reference_rank(uneven), rel=1e-3)
    assert 2 < effective_rank(uneven) < 9


def test_std_equals_the_formula(uneven):
    assert channel_std(uneven).item() == pytest.approx(
        reference_std(uneven), rel=1e-5)


def test_cosines_equal_those_of_all_pairs(uneven):
    expected = reference_cosines(uneven)
    for found, value in zip(mean_cosines(uneven), expected):
        assert found.item() == pytest.approx(value, rel=1e-4)
    assert abs(expected[0] - expected[1]) > 1e-3


def test_norm_equals_the_formula(uneven):
    expected = np.linalg.norm(samples_of(uneven), axis=1).mean()
    assert mean_norm(uneven).item() == pytest.approx(expected, rel=1e-5)


def test_isotropic_features(isotropic):
    assert channel_std(isotropic).item() == pytest.approx(1, abs=0.01)
    assert effective_rank(isotropic).item() == pytest.approx(16, abs=0.05)
    for cosine in mean_cosines(isotropic):
        assert cosine.item() == pytest.approx(0, abs=1e-3)


def test_one_direction_has_rank_one():
    strength = random_maps((2, 1, 8, 8))
    direction = torch.linspace(-1, 1, 16)[None, :, None, None]
    rank = effective_rank(strength * direction + 4).item()
    assert rank == pytest.approx(1, abs=0.02)


def test_collapsed_features(constant):
    """No spread, all alike, and a rank that is finite."""
    assert channel_std(constant).item() == pytest.approx(0, abs=1e-5)
    for cosine in mean_cosines(constant):
        assert cosine.item() == pytest.approx(1)
    assert effective_rank(constant).isfinite()
    assert effective_rank(torch.ones(2, 16, 4, 4)).item() == pytest.approx(1)


def test_length_matters_to_the_norm_alone(uneven):
    assert mean_norm(3 * uneven).item() == pytest.approx(
        3 * mean_norm(uneven).item())
    for measure in (channel_std, effective_rank):
        assert measure(3 * uneven).item() == pytest.approx(
            measure(uneven).item(), rel=1e-4)
    for one, other in zip(mean_cosines(3 * uneven), mean_cosines(uneven)):
        assert one.item() == pytest.approx(other.item(), rel=1e-4)


def test_two_images_that_point_apart():
    features = torch.ones(2, 8, 3, 3)
    features[1] *= -2
    within, between = mean_cosines(features)
    assert within.item() == pytest.approx(1)
    assert between.item() == pytest.approx(-1)
    # Lengths sqrt(8) and 2 sqrt(8).
    assert mean_norm(features).item() == pytest.approx(1.5 * 8**0.5)


def test_a_single_image_has_no_other_one(uneven):
    within, between = mean_cosines(uneven[:1])
    assert within.item() == pytest.approx(
        reference_cosines(uneven[[0, 0]])[0], rel=1e-4)
    assert between.isnan()


def test_entropy_equals_the_formula():
    weights = random_maps((2, 5, 3, 4)).softmax(1)
    alpha = weights.double().numpy()
    expected = -(alpha * np.log(alpha)).sum(1).mean()
    assert mask_entropy(weights).item() == pytest.approx(expected, rel=1e-5)


def test_decided_and_undecided_masks():
    decided = one_hot_weights([[[0, 1], [1, 4]]], 5)
    assert mask_entropy(decided).item() == 0
    uniform = torch.full((2, 7, 3, 3), 1 / 7)
    assert mask_entropy(uniform).item() == pytest.approx(math.log(7))


def test_used_share_worked_by_hand():
    """Two of four queries in the first image, three in the second."""
    owners = [[[0, 0], [2, 0]], [[1, 3], [2, 1]]]
    weights = one_hot_weights(owners, 4)
    assert used_share(weights).item() == (2 / 4 + 3 / 4) / 2
    # Who is the strongest counts, not by how much.
    assert used_share(weights * 0.2 + 0.2).item() == 5 / 8


def test_one_mask_over_everything():
    weights = one_hot_weights([[[3] * 4] * 4] * 2, 8)
    assert used_share(weights).item() == 1 / 8


@pytest.mark.parametrize(
    'measure', [effective_rank, channel_std, mean_norm, mean_cosines])
def test_bfloat16_is_measured_in_float32(measure, uneven):
    rounded = uneven.bfloat16()
    found, expected = measure(rounded), measure(rounded.float())
    if measure is not mean_cosines:
        found, expected = [found], [expected]
    for value, other in zip(found, expected):
        assert value.dtype == torch.float32
        assert torch.equal(value, other)


def test_bfloat16_masks_are_measured_in_float32():
    weights = random_maps((2, 5, 3, 4)).softmax(1).bfloat16()
    for measure in (mask_entropy, used_share):
        value = measure(weights)
        assert value.dtype == torch.float32
        assert torch.equal(value, measure(weights.float()))
