import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from projects.mask_jepa.evaluation.feature_health import (channel_std,
                                                          effective_rank,
                                                          mask_entropy,
                                                          mean_cosines,
                                                          mean_norm,
                                                          used_share)
from projects.mask_jepa.evaluation.health_check import (check_health,
                                                        prediction_leak)

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
        mask_entropy=mask_entropy(step['mask_weights']),
        queries_used=used_share(step['mask_weights']))
    for branch, features in dict(
            target=F.avg_pool2d(step['target_mask_features'], 2),
            online=step['mask_features']).items():
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
    assert channel_std(step['target_on_grid']) > 0.3
    assert check_health(tiny_model, images)['target_std'] < 0.01


def test_masks_worked_by_hand(tiny_model, images, monkeypatch):
    """Four of twelve logits are above zero, at three of four places."""
    logits = torch.tensor([[[[3., -2.], [-1., -1.]], [[2., 4.], [-3., 1.]],
                            [[-9., -9.], [-9., -9.]]]]).repeat(2, 1, 1, 1)
    step = tiny_model.predict_target(images)
    step.update(logits_on_grid=logits, mask_weights=logits.softmax(1))
    monkeypatch.setattr(tiny_model, 'predict_target', lambda image: step)
    values = check_health(tiny_model, images)
    assert values['logits_above_zero'] == pytest.approx(4 / 12)
    assert values['places_covered'] == pytest.approx(3 / 4)
    assert values['queries_used'] == pytest.approx(2 / 3)


def test_hidden_pixels_leak_in_the_literal_reading_alone(make_model, images):
    closed = make_model(dict(noise=dict(gamma=0.7, masked_gamma=0.0)))
    assert check_health(closed, images)['leak'] == 0
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
        predict_target=lambda image: dict(
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
        return dict(hidden_on_grid=hidden, prediction=prediction)

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
            list(np.random.get_state()[1]), random.getstate())


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
