"""What a user changes is one key: hooks, length, crop, initial weights."""
import copy
import math
import re

import pytest
from config_files import (CONFIGS, FULL_SIZE, PRETRAINING, load, name,
                          parse_finetuning, plain)
from mmengine.runner import Runner

# Those of equal priority in the order of default_hooks.
HOOKS = [
    'RuntimeInfoHook', 'IterTimerHook', 'DistSamplerSeedHook',
    'EMATargetHook', 'QueryNoiseHook', 'FeatureHealthHook',
    'MonitoringCostHook', 'NonFiniteLossHook', 'ExactResumeHook',
    'MatchingCheckpointHook', 'ResumedSettingsHook', 'UnusedParameterHook',
    'ExportHook', 'RankConsistencyHook', 'LoggerHook', 'RunSummaryHook',
    'ParamSchedulerHook', 'PretrainVisualizationHook', 'AtomicCheckpointHook',
    'PlainMessageHubHook', 'StopSignalHook'
]


def hooks_of(runner):
    return [type(hook).__name__ for hook in runner.hooks]


def build(path, tmp_path, **options):
    config = load(path)
    config.merge_from_dict({'work_dir': str(tmp_path), **options})
    return Runner.from_cfg(config)


def test_order_of_the_hooks(tmp_path):
    runner = build(CONFIGS / 'mask_jepa_r18_tiny.py', tmp_path)
    assert hooks_of(runner) == HOOKS


def test_custom_hooks_of_an_heir_only_add(tmp_path):
    heir = tmp_path / 'heir.py'
    heir.write_text(f"_base_ = '{CONFIGS}/mask_jepa_r18_tiny.py'\n"
                    "custom_hooks = [dict(type='EmptyCacheHook')]\n")
    hooks = hooks_of(build(heir, tmp_path))
    hooks.remove('EmptyCacheHook')
    assert hooks == HOOKS


@pytest.mark.parametrize('path', PRETRAINING, ids=name)
def test_custom_hooks_belong_to_the_user(path):
    assert not load(path).get('custom_hooks')


@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')), ids=name)
def test_no_schedule_of_ours_repeats_the_length(path):
    assert not re.search(r'max_iters *=[^)]*\bmax_iters\b|end=max_iters',
                         path.read_text())


@pytest.mark.parametrize('length', [50, 20])  # 20: within the warm-up
def test_length_alone_sets_the_end_of_the_schedule(make_runner, length):
    runner = make_runner({
        'train_cfg.max_iters': length, 'param_scheduler.0.end': 40})
    runner.train_loop  # builds it
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    warmup, cosine = runner.build_param_scheduler(runner.param_schedulers)
    assert (cosine.begin, cosine.end) == (0, length)
    for step in range(length):
        warm = min(1e-3 + (1 - 1e-3) * step / 39, 1)
        falling = (1 + math.cos(math.pi * step / length)) / 2
        assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(
            1e-3 * warm * falling)
        for scheduler in (warmup, cosine):
            scheduler.step()


# With timm's it is model.backbone.pretrained.
OTHER_BACKBONES = [path for path in FULL_SIZE
                   if parse_finetuning(path)[1] in ('swin-t', 'convnext-t')]


@pytest.mark.parametrize('path', OTHER_BACKBONES, ids=name)
def test_initial_weights_are_one_line(path):
    """What the twins of ResNet-50 are, for the other backbones."""
    config = load(path)
    scratch, in1k = copy.deepcopy(config), copy.deepcopy(config)
    scratch.merge_from_dict({'model.init_cfg': None})
    backbone = parse_finetuning(path)[1]
    imagenet = load(CONFIGS / f'mask_jepa_{backbone}_coco.py').model.backbone
    # A backbone of mmpretrain has an initialisation of its own, unless told.
    if backbone != 'convnext-t':
        assert scratch.model.backbone.init_cfg is None
        in1k.merge_from_dict({'model.backbone.init_cfg._delete_': True})
    in1k.merge_from_dict({
        'model.init_cfg': None,
        **{f'model.backbone.init_cfg.{key}': value
           for key, value in imagenet.init_cfg.items()}})
    assert scratch.model.init_cfg is None
    assert not scratch.model.backbone.get('init_cfg')
    assert plain(in1k.model.backbone.init_cfg) == plain(imagenet.init_cfg)
    for other in (scratch, in1k):
        other.model.init_cfg = config.model.init_cfg
        other.model.backbone.pop('init_cfg', None)
        config.model.backbone.pop('init_cfg', None)
        assert plain(other) == plain(config)
