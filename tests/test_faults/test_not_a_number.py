"""Numbers that are none stop a run by name, and are never kept."""
import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mask_jepa.hooks import NonFiniteLossError
from mask_jepa.utils import RunError, find_newest_whole, find_non_finite


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, -1e27])
def test_spoilt_tensor_is_named(value):
    content = dict(
        a=torch.ones(2),
        b=[3, dict(c=torch.zeros(0))],
        d=[None, torch.tensor([1.0, value, 2.0])])
    assert find_non_finite(content) == 'd.1'
    content['d'][1][1] = 1e18
    assert find_non_finite(content) is None
    content['e'] = torch.tensor(2**62)
    assert find_non_finite(content, 'x') is None


# Nothing that is spoilt is kept.


class Spoil(Hook):
    """Spoil a weight, as a step without clipping does, before a save."""

    priority = 'LOW'

    def __init__(self, value):
        self.value = value

    def after_train_iter(self, runner, **kwargs):
        if runner.iter == 2:
            weight = runner.model.panoptic_head.mask_embed[0].weight
            weight.data[0, 0] = self.value


@pytest.mark.parametrize('value', [math.nan, 1e27])
def test_no_spoilt_checkpoint_is_written(make_runner, value):
    runner = make_runner(
        {
            'train_cfg.max_iters': 6,
            'default_hooks.checkpoint.interval': 1,
            'default_hooks.checkpoint.max_keep_ckpts': 1
        },
        hooks=[(Spoil(value), 'LOW')])
    with pytest.raises(
            RunError,
            match='Iteration 3: '
            r'panoptic_head.mask_embed.0.weight is not finite'):
        runner.train()
    path, = Path(runner.work_dir).glob('iter_*.pth')
    assert path.name == 'iter_2.pth'
    make_runner({'train_cfg.max_iters': 3, 'resume': True}).train()


def test_spoilt_checkpoint_is_refused_by_name(make_runner, python, root,
                                              tmp_path):
    """By export, --init, --resume PATH and test; auto takes the one before."""
    runner = make_runner({
        'train_cfg.max_iters': 4,
        'default_hooks.checkpoint.interval': 2
    })
    runner.train()
    path = Path(runner.work_dir) / 'iter_4.pth'
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['state_dict']['prototypes.centers'][0, 0] = math.nan
    torch.save(checkpoint, path)
    sentence = (f'{path} holds numbers that are infinite, NaN or nearly so, '
                'in prototypes.centers first')
    for start in (dict(load_from=str(path)),
                  dict(load_from=str(path), resume=True)):
        with pytest.raises(RunError) as caught:
            make_runner(start, 'other').load_or_resume()
        assert sentence in str(caught.value)
    output = python(
        'tools/export_pretrained.py',
        path,
        '--to',
        'mmdet',
        '--out',
        tmp_path / 'export.pth',
        fails=True)
    assert sentence in output and 'Traceback' not in output
    newest, complaints = find_newest_whole(runner.work_dir)
    assert newest.endswith('iter_2.pth') and sentence in complaints[0]


# What is said of a step that fails.


def test_gradient_is_named(make_runner):
    runner = make_runner({'train_cfg.max_iters': 4})
    weight = runner.model.backbone.conv1.weight
    weight.register_hook(lambda gradient: gradient *
                         (math.inf if runner.iter == 2 else 1))
    with pytest.raises(
            NonFiniteLossError,
            match=r'Iteration 3: non-finite '
            r'gradient of backbone.conv1.weight. Input and weights '
            'are finite; nothing was updated.'):
        runner.train()
    assert find_non_finite(dict(runner.model.named_parameters())) is None


def test_weights_of_an_earlier_step_are_named(make_runner):
    runner = make_runner({'train_cfg.max_iters': 4},
                         hooks=[(Spoil(math.nan), 'LOW')])
    with pytest.raises(
            NonFiniteLossError,
            match='Iteration 4: .*=nan.* The '
            'weights have not been finite since an earlier step, '
            'panoptic_head.mask_embed.0.weight first'):
        runner.train()


class SpoilImage(Hook):
    """Let one image of the third batch have no numbers."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            data_batch['inputs'][1] = data_batch['inputs'][1] * math.nan
            self.path = data_batch['data_samples'][1].img_path


def test_input_is_named(make_runner):
    spoil = SpoilImage()
    runner = make_runner({'train_cfg.max_iters': 4},
                         hooks=[(spoil, 'VERY_HIGH')])
    with pytest.raises(NonFiniteLossError) as caught:
        runner.train()
    assert ('The input is not finite already, in '
            f'{spoil.path}. Look at these images') in str(caught.value)
    assert 'lower learning rate' not in str(caught.value)


def test_deviation_of_zero_is_named_before_anything_is_drawn(make_runner):
    runner = make_runner({
        'model.data_preprocessor.std': [58.0, 0.0, 57.0],
        'default_hooks.visualization':
        dict(_delete_=True, type='PretrainVisualizationHook', interval=5)
    })
    with pytest.raises(
            NonFiniteLossError,
            match='look at mean and std of '
            'model.data_preprocessor'):
        runner.train()


# Steps that are left out.


class Fail(Hook):
    """Let the loss of some iterations, from 1, be no number."""

    def __init__(self, iterations):
        self.iterations = iterations
        self.states = []

    def before_train(self, runner):
        loss = runner.model.loss

        def spoilt(*args, **kwargs):
            losses = loss(*args, **kwargs)
            if runner.iter + 1 in self.iterations:
                # Everything that the model remembers of its batches, too.
                runner.model.prototypes.centers.fill_(math.nan)
                losses['loss_jepa'] = losses['loss_jepa'] + math.nan
            return losses

        runner.model.loss = spoilt

    def after_train_iter(self, runner, **kwargs):
        model = runner.model
        self.states.append({
            name: value.clone()
            for name, value in (*model.named_parameters(),
                                *model.named_buffers())
            if not name.startswith(('target.', 'random_queries.'))
        })


def test_steps_are_left_out(make_runner):
    fail = Fail({1, 3, 4})
    runner = make_runner(
        {
            'train_cfg.max_iters': 6,
            'default_hooks.finite_loss.max_skips': 2
        },
        hooks=[(fail, 'LOWEST')])
    runner.train()
    assert (Path(runner.work_dir) / 'mask_jepa_mmdet.pth').exists()
    states = fail.states
    for name, value in states[1].items():
        assert torch.equal(value, states[3][name]), name
    changed = [
        any(not torch.equal(value, two[name]) for name, value in one.items())
        for one, two in zip(states, states[1:])
    ]
    assert changed == [True, False, False, True, True]
    assert find_non_finite(states[-1]) is None
    log = next(Path(runner._log_dir).glob('*.log')).read_text()
    assert ('Iteration 4: loss_jepa=nan. This step is left out, 2 in a row of '
            'at most 2.') in log


def test_too_many_in_a_row_stop_the_run(make_runner):
    runner = make_runner(
        {
            'train_cfg.max_iters': 6,
            'optim_wrapper.accumulative_counts': 2,
            'default_hooks.finite_loss.max_skips': 1
        },
        hooks=[(Fail({1, 4}), 'LOWEST')])
    with pytest.raises(NonFiniteLossError, match='Iteration 4'):
        runner.train()


def test_skipping_needs_a_look_at_the_gradients(make_runner):
    runner = make_runner({
        'default_hooks.finite_loss.max_skips': 1,
        'optim_wrapper.clip_grad': None
    })
    with pytest.raises(RunError, match='max_skips needs .*error_if_nonfinite'):
        runner.train()


# A step is repeated.


def test_replay_names_the_module(make_runner, python):
    runner = make_runner({'train_cfg.max_iters': 4},
                         hooks=[(Spoil(math.nan), 'LOW')])
    with pytest.raises(NonFiniteLossError) as caught:
        runner.train()
    record = Path(runner.work_dir) / 'non_finite_loss_rank0.json'
    assert f'tools/replay.py {record}' in str(caught.value)
    content = json.loads(record.read_text())
    output = python('tools/replay.py', record)
    assert 'Not finite in iteration 4, rank 0, in this order:' in output
    first = output.partition('in this order:\n')[2].splitlines()[0]
    assert first == ('  the output of panoptic_head.mask_embed.0 (Linear); '
                     'its weight is not finite')
    # The same images, weights and random numbers.
    loss = float(content['losses']['loss_reconstruction'])
    assert f'loss_reconstruction {loss:.6g}' in output
