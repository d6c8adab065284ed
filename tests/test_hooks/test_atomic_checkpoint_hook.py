import os
from pathlib import Path

import pytest
import torch


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


def test_old_checkpoint_goes_after_the_new_one_is_there(make_runner, events):
    runner = make_runner(options())
    runner.train()
    assert [event for event in events if 'mask_jepa' not in event[1]] == [
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
