"""Checkpoints that are loaded: weights and moments that fit."""
from pathlib import Path

import pytest
import torch

from mask_jepa.utils import RunError

SHORT = {'train_cfg.max_iters': 2, 'default_hooks.checkpoint.interval': 2}


@pytest.fixture
def saved(make_runner):
    """A model, and its weights in a file with options to start from it."""
    runner = make_runner()
    path = Path(runner.work_dir) / 'start.pth'

    def save(change=None):
        weights = dict(runner.model.state_dict())
        for name, value in weights.items():
            if value.is_floating_point() and not name.startswith('random'):
                weights[name] = torch.full_like(value, 0.5)
        if change:
            change(weights)
        torch.save(dict(state_dict=weights), path)
        return {'load_from': str(path), 'train_cfg.max_iters': 1}

    return save


def test_fitting_checkpoint_is_loaded(make_runner, saved):
    runner = make_runner(saved())
    runner.load_or_resume()
    assert (runner.model.backbone.conv1.weight == 0.5).all()


def test_other_classes_are_no_reason_to_refuse(make_runner, saved):
    def other_classes(weights):
        weights['panoptic_head.cls_embed.weight'] = torch.zeros(3, 32)

    runner = make_runner(saved(other_classes))
    runner.load_or_resume()
    assert (runner.model.backbone.conv1.weight == 0.5).all()


def remove(weights):
    del weights['backbone.conv1.weight']


def reshape(weights):
    weights['backbone.conv1.weight'] = torch.zeros(8, 3, 7, 7)


@pytest.mark.parametrize('change', [remove, reshape])
def test_other_network_is_refused(make_runner, saved, change):
    runner = make_runner(saved(change))
    with pytest.raises(ValueError, match='1 of .* backbone.conv1.weight'):
        runner.load_or_resume()
    assert not (runner.model.panoptic_head.query_feat.weight == 0.5).any()


@pytest.mark.parametrize('resume', [True, False])
def test_moments_of_other_classes_are_not_resumed(make_runner, resume):
    """torch's fused AdamW would write beyond them; weights alone may go."""
    first = make_runner(SHORT)
    first.train()
    other = {
        'load_from': f'{first.work_dir}/iter_2.pth',
        'resume': resume,
        'model.panoptic_head.num_things_classes': 3,
        'model.panoptic_head.loss_cls.class_weight': [1.0, 1.0, 1.0, 0.1]
    }
    second = make_runner(dict(SHORT, **other), 'other')
    if resume:
        with pytest.raises(RunError, match='tensors of the whole model are'):
            second.train()
    else:
        second.load_or_resume()


def test_moments_of_another_shape_are_refused(make_runner):
    first = make_runner(SHORT)
    first.train()
    path = f'{first.work_dir}/iter_2.pth'
    checkpoint = torch.load(path, weights_only=True)
    moments = checkpoint['optimizer']['state'][0]
    moments['exp_avg_sq'] = moments['exp_avg_sq'].flatten()[:1]
    torch.save(checkpoint, path)
    second = make_runner(dict(SHORT, load_from=path, resume=True), 'second')
    with pytest.raises(RunError, match='moments of another shape than'):
        second.train()
