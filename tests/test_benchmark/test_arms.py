"""What is compared: real steps of one network."""
import functools

import pytest
import torch
from mmengine.config import Config

from mask_jepa.benchmark import ARMS, make_arm


@pytest.mark.parametrize('arm', ARMS)
def test_takes_a_step_that_moves_every_weight(make_step, arm):
    step = make_step(arm)
    before = {name: parameter.detach().clone()
              for name, parameter in step.model.named_parameters()}
    # In the first, some gradients are zero: of branches that begin with zero.
    for _ in range(3):
        step.time()
    for name, parameter in step.model.named_parameters():
        assert parameter.isfinite().all(), name
        moved = not torch.equal(parameter, before[name])
        # Of Mask-JEPA noise replaces the queries; the target has no gradient.
        excepted = name.startswith('target') or (
            arm == 'mask_jepa' and name == 'panoptic_head.query_feat.weight')
        assert moved or excepted or not parameter.requires_grad, name
    assert len(step.seconds) == 3
    for whole, stages in zip(step.seconds, step.seconds_of_stages):
        assert whole == pytest.approx(sum(stages.values()))
        has_target = arm in ('mask_jepa', 'byol')
        assert (stages['target'] > 0) == has_target
        assert (stages['pixel_decoder'] > 0) == (arm != 'byol')
        assert min(stages[name] for name in (
            'backbone', 'losses_and_rest', 'backward', 'optimizer')) > 0


def shapes(module):
    return {name: parameter.shape
            for name, parameter in module.named_parameters()}


def test_all_have_the_same_network(make_step):
    ours = make_step('mask_jepa').model
    for arm in ARMS[1:]:
        other = make_step(arm).model
        assert type(other.backbone) is type(ours.backbone)
        assert shapes(other.backbone) == shapes(ours.backbone)
        if arm != 'byol':
            assert shapes(other.panoptic_head) == shapes(ours.panoptic_head)
            assert other.panoptic_head.num_points == 12544


def test_supervised_has_labels_of_the_heads_classes(tiny_config):
    config, batch = make_arm('supervised', tiny_config(), 2, 64)
    for sample in batch['data_samples']:
        labels = sample.gt_instances.labels
        assert len(labels) == 8
        assert labels.max() < config.model.panoptic_head.num_things_classes


def test_byol_is_the_baseline_of_this_project(base_config):
    """But for the few channels of the tests."""
    config, batch = make_arm('byol', base_config, 2, 64)
    baseline = Config.fromfile('configs/baselines/byol_r18-tiny_camvid.py')
    for part in ('neck', 'head', 'base_momentum', 'type'):
        assert config.model[part] == baseline.model[part]
    for key in ('optimizer', 'clip_grad'):
        ours, theirs = (dict(each.optim_wrapper[key])
                        for each in (config, baseline))
        ours.pop('_scope_', None)
        assert ours == theirs
    assert [len(view) for view in batch['inputs']] == [2, 2]


def test_byol_with_one_image_is_refused(base_config):
    with pytest.raises(ValueError, match='--batch-size 2'):
        make_arm('byol', base_config, 1, 64)


def test_head_without_a_stock_config_is_named(tiny_config):
    config = tiny_config({'model.panoptic_head.type': 'MyHead'})
    with pytest.raises(ValueError, match='MyHead'):
        make_arm('supervised', config, 2, 64)


@pytest.mark.slow
@pytest.mark.parametrize('arm, regions', [
    ('mask_jepa', 5), ('supervised', 4), ('byol', 1)])
def test_compiled_regions_change_no_loss(make_step, monkeypatch, arm, regions):
    """Backbone, its target, and each of three layers of the decoder."""
    losses, compiled = [], []
    compile = functools.partial(torch.compile, backend='eager')
    monkeypatch.setattr(torch, 'compile', lambda forward: (
        compiled.append(forward), compile(forward))[1])
    for switch in (False, True):
        torch.manual_seed(0)
        step = make_step(arm, compile=switch)
        torch.manual_seed(0)
        losses.append(step.forward(step.preprocess()).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert len(compiled) == regions
