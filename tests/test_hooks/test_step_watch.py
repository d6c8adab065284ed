"""Gradients and updates of one step, by part."""
import pytest
import torch
from torch import nn

from projects.mask_jepa.hooks.step_watch import (StepWatch, parameters_by_part,
                                                 total_norm)

PARTS = ('backbone', 'pixel_decoder', 'transformer_decoder',
         'pretraining_parts')


def part_of(name):
    """The part that a parameter belongs to, spelt out."""
    if name.startswith('backbone.'):
        return 'backbone'
    if not name.startswith('panoptic_head.'):
        return 'pretraining_parts'
    if name.startswith('panoptic_head.pixel_decoder.'):
        return 'pixel_decoder'
    return 'transformer_decoder'


def by_part(tensors):
    """Sort the values of some parameters, by name, into flat vectors."""
    sorted_values = {part: [torch.zeros(1)] for part in PARTS}
    for name, value in tensors.items():
        sorted_values[part_of(name)].append(value.flatten().double())
    return {part: torch.cat(values) for part, values in sorted_values.items()}


def trained(model):
    return {name: parameter for name, parameter in model.named_parameters()
            if parameter.requires_grad}


def copies(model):
    return {name: parameter.detach().clone()
            for name, parameter in trained(model).items()}


def test_every_trained_parameter_has_its_one_part(tiny_model):
    parts = parameters_by_part(tiny_model)
    assert set(parts) == set(PARTS)
    names = {parameter: name for name, parameter in trained(
        tiny_model).items()}
    sorted_names = {part: {names.pop(parameter) for parameter in parameters}
                    for part, parameters in parts.items()}
    assert not names
    assert 'backbone.conv1.weight' in sorted_names['backbone']
    assert 'mask_tokens.tokens.0' in sorted_names['pretraining_parts']
    for part, members in sorted_names.items():
        assert {part_of(name) for name in members} == {part}


def test_norm_worked_by_hand():
    tensors = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]]),
               torch.tensor(12.0).bfloat16()]
    assert total_norm(tensors).item() == 13
    assert total_norm([]).item() == 0


def test_values_of_a_step_of_the_model(make_model, images):
    """Against autograd, and against the weights before and after."""
    model = make_model()
    weights = trained(model)
    gradients = torch.autograd.grad(
        sum(model(images, mode='loss').values()), list(weights.values()),
        allow_unused=True)
    expected = by_part({
        name: gradient for name, gradient in zip(weights, gradients)
        if gradient is not None})

    model = make_model()
    optimizer = torch.optim.SGD(trained(model).values(), lr=0.02)
    reports = []

    def keep(values, seconds):
        assert seconds > 0
        reports.append(values)

    StepWatch(model, optimizer, keep).look_at_next_step()
    before = copies(model)
    model.parse_losses(model(images, mode='loss'))[0].backward()
    optimizer.step()

    values, = reports
    changes = {name: value - before[name]
               for name, value in copies(model).items()}
    change, weight = by_part(changes), by_part(before)
    assert len(values) == 2 * len(PARTS)
    for part in PARTS:
        assert values[f'gradient_{part}'] == pytest.approx(
            expected[part].norm().item(), rel=1e-4)
        ratio = (change[part].norm() / weight[part].norm()).item()
        assert values[f'update_ratio_{part}'] == pytest.approx(
            ratio, rel=1e-4)
        assert ratio > 0


@pytest.fixture
def small():
    """Weights 3 and 4 of one part, gradients 1 and 0; 2 of another."""
    model = nn.Module()
    model.backbone = nn.Linear(2, 1, bias=False)
    model.head = nn.Linear(1, 1, bias=False)
    model.frozen = nn.Linear(1, 1).requires_grad_(False)
    with torch.no_grad():
        model.backbone.weight.copy_(torch.tensor([[3.0, 4.0]]))
        model.head.weight.fill_(2.0)
    return model


def test_values_worked_by_hand(small):
    optimizer = torch.optim.SGD(small.parameters(), lr=0.5)
    reports = []

    def keep(values, seconds):
        assert seconds > 0
        reports.append(values)

    StepWatch(small, optimizer, keep).look_at_next_step()
    small.backbone.weight.sum().backward()
    optimizer.step()
    # The head got no gradient; what is frozen is nowhere.
    assert reports == [
        dict(
            gradient_backbone=pytest.approx(2**0.5),
            update_ratio_backbone=pytest.approx(0.5 * 2**0.5 / 5),
            gradient_pretraining_parts=0.0,
            update_ratio_pretraining_parts=0.0)
    ]
    assert all(type(value) is float for value in reports[0].values())


def test_it_looks_at_a_step_when_it_is_asked(small):
    optimizer = torch.optim.SGD(small.parameters(), lr=0.5)
    reports = []

    def keep(values, seconds):
        assert seconds > 0
        reports.append(values)

    watch = StepWatch(small, optimizer, keep)
    counts = []
    for asked in (0, 1, 0, 2, 0):
        for _ in range(asked):
            watch.look_at_next_step()
        small.backbone.weight.sum().backward()
        optimizer.step()
        counts.append(len(reports))
    assert counts == [0, 1, 1, 2, 2]
