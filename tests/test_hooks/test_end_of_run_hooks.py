"""Hooks that leave something when training ends."""
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import AmpOptimWrapper

from mask_jepa.hooks import ExportHook, RunSummaryHook
from mask_jepa.hooks.run_summary_hook import duration, network, precision
from mask_jepa.weights import export_weights

# RunSummaryHook.


OPTIONS = {
    'train_cfg.max_iters': 6,
    'default_hooks.checkpoint.interval': 4,
    'optim_wrapper.accumulative_counts': 2,
    'RunSummaryHook.estimate_after': 2
}


def said(runner, *beginnings, level='INFO'):
    """Lines of the log that begin so, without the time."""
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    lines = [line.rpartition(f' - {level} - ')[2]
             for line in text.splitlines()]
    return [line for line in lines if line.startswith(beginnings)]


def warned(runner, *beginnings):
    return said(runner, *beginnings, level='WARNING')


def test_run_and_its_resume_say_what_they_do(make_runner, image_folder):
    runner = make_runner(OPTIONS)
    runner.train()
    assert said(runner, 'Images', 'Length') == [
        f'Images: 8, from {image_folder}.',
        'Length: 1.5 passes over 8 images, 6 iterations; 4 images a step of '
        'the optimiser (2 x 1 process(es) x 2 iteration(s)).'
    ]
    line, = said(runner, 'Output')
    assert runner.work_dir in line and runner.timestamp in line
    assert len(said(runner, 'MaskJEPA trains ResNet and Mask2FormerHead '
                    'in float32: ')) == 1
    line, = said(runner, 'At ')
    assert ' s an iteration, all 6 take about 0:0' in line

    resumed = make_runner({
        **OPTIONS, 'resume': True,
        'load_from': f'{runner.work_dir}/iter_4.pth'
    }, 'resumed')
    resumed.train()
    line, = said(resumed, 'Length')
    assert ' 6 iterations, from iteration 4 on; ' in line
    # Of the time since the start; nothing is left.
    line, = said(resumed, 'At ')
    assert line.endswith('0:00:00 are left.')


def test_start_is_quiet(make_runner):
    """No line for each tensor, and no warning, between config and losses."""
    runner = make_runner({'train_cfg.max_iters': 2})
    runner.train()
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    _, _, start = text.partition('Hooks will be executed')
    start, *_ = start.partition('- INFO - Iter(train)')
    assert 'WARNING' not in start
    assert 'paramwise_options' not in text and 'requires_grad' not in text
    # Optimiser, four of the summary, and where checkpoints go.
    assert start.count(' - mmengine - INFO - ') == 6


def test_settings_of_longer_runs_with_more_images_are_named(make_runner):
    """Eight images, three iterations, after which a rate may still rise."""
    options = {'train_cfg.max_iters': 3, 'param_scheduler.0.end': 3,
               'optim_wrapper.accumulative_counts': 4}
    beginnings = ('param_scheduler.', 'A step of the optimiser')
    runner = make_runner(options)
    runner.train()
    assert not warned(runner, *beginnings)
    runner = make_runner({**options, 'param_scheduler.0.end': 4,
                          'optim_wrapper.accumulative_counts': 5}, 'other')
    runner.train()
    schedule, batch = warned(runner, *beginnings)
    assert '0 (LinearLR) ends at iteration 4, after the training' in schedule
    assert 'takes 10 images, of the 8' in batch


def test_parameters_are_counted_by_part(make_runner):
    runner = make_runner()
    trained = [each for each in runner.model.parameters()
               if each.requires_grad]
    total = sum(each.numel() for each in trained) / 1e6
    backbone = sum(each.numel() for each in runner.model.backbone.parameters())
    text = network(runner)
    assert f': {total:.3g} M parameters (backbone {backbone / 1e6:.3g} M, ' \
        in text
    assert 'pixel decoder 0.' in text and 'pretraining parts 0.' in text


@pytest.mark.parametrize('dtype, name', [
    (torch.bfloat16, 'bfloat16'), (None, 'float16')])
def test_mixed_precision_is_named(dtype, name):
    wrapper = AmpOptimWrapper.__new__(AmpOptimWrapper)  # needs a GPU
    wrapper.cast_dtype = dtype
    assert precision(SimpleNamespace(optim_wrapper=wrapper)) == (
        f'mixed precision, {name} (off: --no-amp)')


@pytest.mark.parametrize('seconds, text', [
    (0.2, '0:00:00'), (61, '0:01:01'), (90000, '1 day, 1:00:00')])
def test_duration(seconds, text):
    assert str(duration(seconds)) == text


def test_short_run_gets_no_estimate(make_runner):
    runner = make_runner({'train_cfg.max_iters': 1})
    assert any(isinstance(hook, RunSummaryHook) for hook in runner.hooks)
    runner.train()
    assert not said(runner, 'At ')


def test_without_a_timer_there_is_no_estimate(make_runner):
    runner = make_runner({**OPTIONS, 'default_hooks.timer': None})
    runner.train()
    assert runner.iter == 6 and not said(runner, 'At ')


# ExportHook.


@pytest.mark.parametrize('branch', ['online', 'target'])
def test_writes_a_file_for_either_library(make_runner, branch):
    runner = make_runner({
        'train_cfg.max_iters': 3,
        'ExportHook.branch': branch
    })
    before = {name: value.clone()
              for name, value in runner.model.state_dict().items()}
    runner.train()
    for library, head in (('mmdet', 'panoptic_head.'),
                          ('mmseg', 'decode_head.')):
        path = Path(runner.work_dir) / f'mask_jepa_{library}.pth'
        content = torch.load(path, weights_only=True)
        weights = content['state_dict']
        assert content['meta']['library'] == library
        assert content['meta']['branch'] == branch
        assert {key.split('.')[0] for key in weights
                } == {'backbone', head.rstrip('.')}
        expected = export_weights(runner.model.state_dict(), library, branch)
        assert weights.keys() == expected.state_dict.keys()
        for key, value in weights.items():
            assert torch.equal(value, expected.state_dict[key]), key
        key = 'backbone.conv1.weight'
        own = runner.model.state_dict()
        source = key if branch == 'online' else f'target.{key}'
        assert torch.equal(weights[key], own[source])
        assert not torch.equal(weights[key], before[key])


def test_wrong_branch_is_named():
    with pytest.raises(ValueError, match='branch .*online, target.* teacher'):
        ExportHook(branch='teacher')
