"""Checkpoints: whole files, and not too many."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mask_jepa.hooks import AtomicCheckpointHook
from mask_jepa.utils import find_checkpoints, find_newest_whole


def checkpoints(runner):
    return sorted(path.name for path in
                  Path(runner.work_dir).glob('*.pth')
                  if path.name.startswith('iter'))


def options(**extra):
    return {
        'train_cfg.max_iters': 6,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.checkpoint.max_keep_ckpts': 1,
        **extra
    }


@pytest.fixture
def events(monkeypatch):
    """Every file that appears by renaming, and every one that goes."""
    seen = []
    replace, remove = os.replace, os.remove

    def spy_replace(source, target):
        replace(source, target)
        seen.append(('appears', os.path.basename(target)))

    def spy_remove(path, *args, **kwargs):
        seen.append(('goes', os.path.basename(path)))
        remove(path, *args, **kwargs)

    monkeypatch.setattr(os, 'replace', spy_replace)
    monkeypatch.setattr(os, 'remove', spy_remove)
    return seen


def of_checkpoints(events):
    return [
        event for event in events
        if event[1].startswith(('iter', 'last', 'best'))
    ]


def test_old_checkpoint_goes_after_the_new_one_is_there(make_runner, events):
    runner = make_runner(options())
    runner.train()
    assert of_checkpoints(events) == [
        ('appears', 'iter_2.pth'), ('appears', 'last_checkpoint'),
        ('appears', 'iter_4.pth'), ('appears', 'last_checkpoint'),
        ('goes', 'iter_2.pth'),
        ('appears', 'iter_6.pth'), ('appears', 'last_checkpoint'),
        ('goes', 'iter_4.pth')
    ]
    assert checkpoints(runner) == ['iter_6.pth']
    last = Path(runner.work_dir) / 'last_checkpoint'
    assert last.read_text() == str(Path(runner.work_dir) / 'iter_6.pth')


def test_resumed_run_removes_what_the_first_one_left(make_runner):
    first = make_runner(options(**{'train_cfg.max_iters': 4}))
    first.train()
    assert checkpoints(first) == ['iter_4.pth']
    second = make_runner(options(resume=True))
    second.train()
    assert checkpoints(second) == ['iter_6.pth']


def test_what_a_kill_leaves_goes_when_the_run_goes_on(
        make_runner, monkeypatch):
    """The next checkpoint is there, and the old one not removed yet."""

    def kill(path):
        raise KeyboardInterrupt

    first = make_runner(options())
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, 'remove', kill)
        first.train()
    assert checkpoints(first) == ['iter_2.pth', 'iter_4.pth']
    piece = Path(first.work_dir) / '.iter_5.pth.partial'
    piece.touch()
    second = make_runner(options(resume=True))
    second.train()
    assert checkpoints(second) == ['iter_6.pth'] and not piece.exists()


def test_what_comes_after_the_resumed_one_is_set_aside(make_runner):
    """The next resume would go on from it, and not from this run."""
    first = make_runner(
        options(**{'default_hooks.checkpoint.max_keep_ckpts': 3}))
    first.train()
    folder = Path(first.work_dir)
    newest = (folder / 'iter_6.pth').read_bytes()
    (folder / 'iter_5.pth').write_bytes(newest[:-100])  # a damaged one
    second = make_runner(
        options(
            resume=True,
            load_from=str(folder / 'iter_2.pth'),
            **{'train_cfg.max_iters': 3,
               'default_hooks.checkpoint.interval': 3}))
    second.train()
    assert [Path(path).name for path in find_checkpoints(folder)][:2] == [
        'iter_5.pth', 'iter_3.pth']
    newest_whole, complaints = find_newest_whole(first.work_dir)
    assert newest_whole.endswith('iter_3.pth') and len(complaints) == 1
    aside = sorted(folder.glob('aside_*'))
    assert [path.name.split('_', 3)[3] for path in aside] == [
        'iter_4.pth', 'iter_6.pth']
    assert aside[1].read_bytes() == newest


def test_several_are_kept(make_runner):
    runner = make_runner(
        options(**{'default_hooks.checkpoint.max_keep_ckpts': 2}))
    runner.train()
    assert checkpoints(runner) == ['iter_4.pth', 'iter_6.pth']


def test_failed_save_leaves_the_last_whole_one(make_runner, monkeypatch):
    replace = os.replace

    def full_disk(source, target):
        if str(target).endswith('iter_4.pth'):
            raise OSError('no space left')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', full_disk)
    runner = make_runner(options())
    with pytest.raises(OSError, match='no space'):
        runner.train()
    assert checkpoints(runner) == ['iter_2.pth']
    last = (Path(runner.work_dir) / 'last_checkpoint').read_text()
    assert last.endswith('iter_2.pth')
    assert torch.load(last, weights_only=True)['meta']['iter'] == 2


@pytest.mark.parametrize('interval, accumulated', [(3, 2), (2, 4)])
def test_interval_must_fall_on_a_step(make_runner, interval, accumulated):
    runner = make_runner({
        'default_hooks.checkpoint.interval': interval,
        'optim_wrapper.accumulative_counts': accumulated
    })
    named = f'interval={interval} .*accumulative_counts={accumulated}'
    with pytest.raises(ValueError, match=named):
        runner.train()


class Validate(Hook):
    """Report a score after each iteration, as a validation would.

    Args:
        scores (dict): By iteration.
    """

    priority = 'LOWEST'

    def __init__(self, scores):
        self.scores = scores

    def after_train_iter(self, runner, **kwargs):
        if runner.iter + 1 in self.scores:
            score = self.scores[runner.iter + 1]
            checkpoint_hook = next(
                hook for hook in runner.hooks
                if isinstance(hook, AtomicCheckpointHook))
            checkpoint_hook.after_val_epoch(runner, {'probe/mIoU': score})


def best_options(**extra):
    return options(
        **{
            'train_cfg.max_iters': 4,
            'default_hooks.checkpoint.interval': 4,
            'default_hooks.checkpoint.save_best': 'probe/mIoU',
            **extra
        })


def best_checkpoints(runner):
    return [path.name for path in Path(runner.work_dir).glob('best*.pth')]


def test_best_checkpoint_goes_after_the_better_one_is_there(
        make_runner, events):
    runner = make_runner(best_options())
    runner.register_hook(Validate({1: 20.0, 2: 19.0, 3: 21.0}))
    runner.train()
    best = [event for event in of_checkpoints(events)
            if event[1].startswith('best')]
    # A validation after iteration n sees the count n - 1 in a hook.
    assert best == [('appears', 'best_probe_mIoU_iter_0.pth'),
                    ('appears', 'best_probe_mIoU_iter_2.pth'),
                    ('goes', 'best_probe_mIoU_iter_0.pth')]
    assert best_checkpoints(runner) == ['best_probe_mIoU_iter_2.pth']
    assert torch.load(
        Path(runner.work_dir) / best[1][1],
        weights_only=True)['message_hub']['runtime_info']['best_score'] == 21


def test_resumed_run_knows_the_best_checkpoint(make_runner):
    first = make_runner(best_options())
    first.register_hook(Validate({1: 20.0}))
    first.train()
    resumed = make_runner(
        best_options(**{'train_cfg.max_iters': 8, 'resume': True}))
    resumed.register_hook(Validate({6: 19.0, 7: 21.0}))
    resumed.train()
    assert best_checkpoints(resumed) == ['best_probe_mIoU_iter_6.pth']


def test_several_scores_have_a_best_checkpoint_each(make_runner):
    runner = make_runner(
        best_options(**{
            'default_hooks.checkpoint.save_best': ['a/mIoU', 'b/mIoU']
        }))
    runner.train()
    hook = next(hook for hook in runner.hooks
                if isinstance(hook, AtomicCheckpointHook))
    scores = [(20.0, 10.0), (21.0, 9.0)]
    for iteration, (first, second) in enumerate(scores):
        runner.train_loop._iter = iteration
        hook.after_val_epoch(runner, {'a/mIoU': first, 'b/mIoU': second})
    assert sorted(best_checkpoints(runner)) == [
        'best_a_mIoU_iter_1.pth', 'best_b_mIoU_iter_0.pth']


def test_best_checkpoint_that_is_gone_is_no_reason_to_stop(make_runner):
    first = make_runner(best_options())
    first.register_hook(Validate({1: 20.0}))
    first.train()
    name, = best_checkpoints(first)
    (Path(first.work_dir) / name).unlink()
    resumed = make_runner(
        best_options(**{'train_cfg.max_iters': 6, 'resume': True}))
    resumed.register_hook(Validate({6: 21.0}))
    resumed.train()
    assert best_checkpoints(resumed) == ['best_probe_mIoU_iter_5.pth']
