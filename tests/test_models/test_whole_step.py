"""What holds of a whole step: gradients, leaks, precision, switches."""
import itertools

import pytest
import torch
from mmdet.structures import DetDataSample

from mask_jepa.models import Prototypes, step_random
from mask_jepa.models.step_random import StepRandom, randn

# What gets a gradient in every ablation, and what never does.


SWITCHES = ('reconstruction', 'denoising', 'auxiliary_self_attention')
SETTINGS = list(itertools.product([True, False], repeat=3))


def backward(model, images):
    losses = model(images, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return losses


def name_of(setting):
    return '+'.join(itertools.compress(SWITCHES, setting)) or 'none'


@pytest.mark.parametrize('extra_losses', [True, False],
                         ids=['all_losses', 'jepa_loss_alone'])
@pytest.mark.parametrize('setting', SETTINGS, ids=name_of)
def test_every_trained_parameter_gets_one(make_model, images, setting,
                                          extra_losses):
    """So that DDP needs no `find_unused_parameters`."""
    options = dict(zip(SWITCHES, setting))
    if extra_losses:
        options.update(
            loss_mask_level=dict(_delete_=True, type='MaskLevelLoss'))
    else:
        options.update(loss_regularizer=None, prototypes=None)
    model = make_model(options)
    losses = backward(model, images)
    assert ('loss_reconstruction' in losses) == options['reconstruction']
    assert ('loss_mask_level' in losses) == extra_losses
    assert ('loss_regularizer' in losses) == extra_losses
    assert ('loss_prototype_cls' in losses) == extra_losses
    without = [name for name, parameter in model.named_parameters()
               if parameter.requires_grad and parameter.grad is None]
    assert without == []
    for name, parameter in model.named_parameters():
        is_class = name.startswith('panoptic_head.cls_embed.')
        if name.startswith('target.') or (is_class and not extra_losses):
            assert not parameter.requires_grad, name
        else:
            assert parameter.requires_grad, name
            assert parameter.grad.isfinite().all(), name


def is_dead_at_the_start(name):
    """Behind a weight that the stock initialisation sets to zero."""
    residual = name.startswith('backbone.layer') and (
        '.conv' in name or '.gn1.' in name)
    return residual or name.endswith(
        ('level_encoding.weight', 'sampling_offsets.weight',
         'attention_weights.weight'))


def test_no_other_gradient_is_zero(make_model, images):
    model = make_model(dict(query_sigma=0.5))
    backward(model, images)
    zero = [
        name for name, parameter in model.named_parameters()
        if parameter.requires_grad and not parameter.grad.any()
        and not is_dead_at_the_start(name)
    ]
    assert zero == []


def test_learned_queries_are_trained_below_sigma_one_only(make_model, images):
    for sigma, trained in ((1.0, False), (0.9, True)):
        model = make_model(dict(query_sigma=sigma))
        backward(model, images)
        gradient = model.panoptic_head.query_feat.weight.grad
        assert gradient.any() == trained


def test_target_changes_by_ema_alone(tiny_model, images):
    model = tiny_model
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = {name: value.clone()
              for name, value in model.state_dict().items()}
    backward(model, images)
    optimizer.step()
    after = model.state_dict()
    for name, value in before.items():
        if name.startswith('target.'):
            assert torch.equal(after[name], value), name
    assert not torch.equal(after['backbone.conv1.weight'],
                           before['backbone.conv1.weight'])
    assert all(weight.grad is None for weight in model.target.parameters())
    model.update_target(0.5)
    assert not torch.equal(model.state_dict()['target.backbone.conv1.weight'],
                           before['target.backbone.conv1.weight'])


# Nothing of the hidden pixels may reach the online branch.


def predict_all(model, images):
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
    first = predict_all(model, images)
    second = predict_all(model, change_hidden(first['hidden']))
    assert torch.equal(first['hidden'], second['hidden'])
    for name in ('noisy_image', 'prediction', 'mask_weights',
                 'reconstruction'):
        assert torch.equal(first[name], second[name]), name
    # The target does see them, so there is something to predict_all.
    hidden = first['hidden'][:, None].expand_as(first['target_on_grid'])
    assert not torch.isclose(first['target_on_grid'][hidden],
                             second['target_on_grid'][hidden]).all()


def test_the_literal_reading_leaks(make_model, images, change_hidden):
    model = make_model(dict(noise=dict(gamma=0.7, masked_gamma=0.7))).eval()
    first = predict_all(model, images)
    second = predict_all(model, change_hidden(first['hidden']))
    assert not torch.allclose(first['prediction'], second['prediction'])


def test_visible_pixels_do_reach_the_prediction(make_model, images):
    model = make_model().eval()
    first = predict_all(model, images)
    second = predict_all(model, images + 0.5)
    assert not torch.allclose(first['prediction'], second['prediction'])


# A step in bfloat16.


def test_bfloat16_step_is_finite_and_close_to_float32(tiny_model, images):
    tiny_model.train()
    state = {key: value.clone()
             for key, value in tiny_model.state_dict().items()}
    exact = tiny_model.loss(images)
    tiny_model.load_state_dict(state)  # the same random numbers once more
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = tiny_model.loss(images)
    for key, value in exact.items():
        if 'loss' in key:
            assert mixed[key].dtype == torch.float32
            torch.testing.assert_close(
                mixed[key], value, rtol=0.05, atol=0.02)
    sum(value for key, value in mixed.items() if 'loss' in key).backward()
    gradients = [parameter.grad for parameter in tiny_model.parameters()
                 if parameter.requires_grad]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_prototypes_move_in_float32():
    torch.manual_seed(0)
    batches = torch.randn(3, 2, 32, 8, 8)
    exact, mixed = Prototypes(5, 32), Prototypes(5, 32)
    for batch in batches:
        exact(batch)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed(batch)
    assert torch.equal(exact.centers, mixed.centers)
    assert torch.equal(exact.shares, mixed.shares)


# What each of the paper's three ablation switches does.


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


# The random numbers of a step.


CPU = torch.device('cpu')


def numbers(module):
    return torch.rand(6, generator=module(CPU)).tolist()


def test_same_seed_rank_and_step_give_the_same_numbers():
    first, second = StepRandom(3), StepRandom(3)
    assert [numbers(first) for _ in range(4)
            ] == [numbers(second) for _ in range(4)]


def test_every_step_seed_and_rank_gives_other_numbers(monkeypatch):
    drawn = []
    for rank in range(3):
        monkeypatch.setattr(step_random, 'get_rank', lambda: rank)
        for seed in range(3):
            module = StepRandom(seed)
            drawn += [tuple(numbers(module)) for _ in range(5)]
    assert len(set(drawn)) == 3 * 3 * 5


def test_a_loaded_state_continues():
    straight = StepRandom(8)
    expected = [numbers(straight) for _ in range(6)]
    interrupted = StepRandom(8)
    for _ in range(3):
        numbers(interrupted)
    resumed = StepRandom(1234)
    resumed.load_state_dict(interrupted.state_dict())
    assert [numbers(resumed) for _ in range(3)] == expected[3:]


def test_state_is_as_of_buffers():
    module = StepRandom(8)
    numbers(module)
    state = module.state_dict()
    assert {name: value.item() for name, value in state.items()} == dict(
        seed=8, step=1)
    assert all(value.dtype == torch.int64 for value in state.values())
    found = StepRandom(1).load_state_dict({'seed': state['seed']}, False)
    assert (found.missing_keys, found.unexpected_keys) == (['step'], [])
    with pytest.raises(RuntimeError, match='Missing key.*"step"'):
        StepRandom(1).load_state_dict({'seed': state['seed']})


def test_evaluation_neither_counts_nor_changes():
    module = StepRandom(5)
    numbers(module)
    module.eval()
    assert numbers(module) == numbers(module)
    assert module.step == 1
    expected = numbers(module)
    assert numbers(module.train()) == expected
    assert numbers(module) != expected


def test_without_a_seed_it_follows_torch():
    torch.manual_seed(21)
    first = StepRandom()
    torch.manual_seed(21)
    second = StepRandom()
    torch.manual_seed(22)
    third = StepRandom()
    assert numbers(first) == numbers(second) != numbers(third)


def test_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    numbers(StepRandom(5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_randn_draws_in_the_shape_and_type_of_a_tensor(dtype):
    like = torch.zeros(2, 5, dtype=dtype)
    drawn = randn(like, torch.Generator().manual_seed(1))
    expected = torch.randn(
        2, 5, dtype=dtype, generator=torch.Generator().manual_seed(1))
    assert drawn.dtype == dtype and torch.equal(drawn, expected)
