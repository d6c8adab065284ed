"""How often a step waits for the host and calls an operator.

On a GPU these, not the arithmetic, made the step slow: no time is measured.
"""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook

from mask_jepa.benchmark import StepCounts


def count(model, images):
    counts = StepCounts()
    with counts.no_syncs_of(*pixel_decoders(model)), counts:
        model(images, mode='loss')
    return counts


def pixel_decoders(model):
    """mmdet's own have a count of their own."""
    return model.panoptic_head.pixel_decoder, model.target.pixel_decoder


@pytest.mark.parametrize('options, most', [
    ({}, 2), (dict(prototypes=None), 0),
    (dict(pseudo_instances=dict(min_places=1), clean_share=0.5), 2),
    ({'noise.per_image': True, 'photometric_change.per_image': True}, 2),
    (dict(target_levels=['c2', 'c3', 'c4'], centering=None), 2),
], ids=['all_losses', 'no_prototypes', 'things', 'by_the_image', 'stages'])
def test_only_the_matching_waits(make_model, images, options, most):
    model = make_model(options)
    counts = count(model, images)
    assert counts.num_syncs == most, counts.syncs


def test_more_images_call_no_more_operators(make_model, images):
    model = make_model({'prototypes.min_places': 1})
    few, many = count(model, images), count(model, images.repeat(3, 1, 1, 1))
    assert many.num_operators <= few.num_operators, (
        many.operators - few.operators)
    assert many.num_syncs == few.num_syncs


def test_a_step_of_resnet_50_with_eight_images(root):
    config = Config.fromfile(str(root / 'configs/mask_jepa_r50_coco.py')).model
    config.backbone.init_cfg = None
    config.prototypes.min_places = 1  # the images are small
    model = MODELS.build(config)
    images = torch.randn(8, 3, 64, 64)
    counts = count(model, images)
    assert counts.num_syncs == 2, counts.syncs
    assert counts.num_operators <= 2450


class CountSteps(Hook):
    """Count from after the data to after all hooks, the optimiser's step and
    the logger included."""

    priority = 'LOWEST'

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.counts = StepCounts()
        # Padding to a batch is worked out on the host.
        self.context = self.counts.no_syncs_of(
            runner.model.data_preprocessor, *pixel_decoders(runner.model))
        self.context.__enter__()
        self.counts.__enter__()

    def after_train_iter(self, runner, *args, **kwargs):
        self.counts.__exit__(None, None, None)
        self.context.__exit__(None, None, None)
        self.steps.append(self.counts)


def test_a_whole_iteration_waits_five_times(make_runner):
    """Matching: one read, one copy back; one look at the losses; two at the
    norm of the gradient, within `clip_grad`."""
    hook = CountSteps()
    runner = make_runner({
        'train_cfg.max_iters': 4,
        # AdamW keeps its count of steps on the host, and reads it there.
        'optim_wrapper.optimizer': dict(
            _delete_=True, type='SGD', lr=1e-3, weight_decay=0.0),
        'default_hooks.checkpoint.interval': 100,
        'default_hooks.health.interval': 100,
        'default_hooks.logger.interval': 100
    }, hooks=[(hook, 'LOWEST')])
    runner.train()
    for counts in hook.steps[1:-1]:  # others check the features as well
        assert counts.num_syncs <= 5, counts.syncs
