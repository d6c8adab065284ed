from pathlib import Path

import pytest
import torch


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
