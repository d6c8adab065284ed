"""Hooks that write checkpoints, and that see what is loaded."""
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MMLogger

from mask_jepa.hooks import AtomicCheckpointHook
from mask_jepa.hooks.plain_message_hub_hook import (PlainMessageHubHook,
                                                    to_plain)
from mask_jepa.utils import RunError, find_checkpoints, find_newest_whole

# AtomicCheckpointHook: whole files, and not too many.


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


@pytest.mark.parametrize('resume', [True, False])
def test_moments_of_other_classes_are_not_resumed(make_runner, resume):
    """torch's fused AdamW would write beyond them; weights alone may go."""
    first = make_runner(options(**{'train_cfg.max_iters': 2}))
    first.train()
    other = {
        'load_from': f'{first.work_dir}/iter_2.pth',
        'resume': resume,
        'model.panoptic_head.num_things_classes': 3,
        'model.panoptic_head.loss_cls.class_weight': [1.0, 1.0, 1.0, 0.1]
    }
    second = make_runner(options(**other), 'other')
    if resume:
        with pytest.raises(RunError, match='tensors of the whole model are'):
            second.train()
    else:
        second.load_or_resume()


def test_moments_of_another_shape_are_refused(make_runner):
    first = make_runner(options(**{'train_cfg.max_iters': 2}))
    first.train()
    path = f'{first.work_dir}/iter_2.pth'
    checkpoint = torch.load(path, weights_only=True)
    moments = checkpoint['optimizer']['state'][0]
    moments['exp_avg_sq'] = moments['exp_avg_sq'].flatten()[:1]
    torch.save(checkpoint, path)
    second = make_runner(options(load_from=path, resume=True), 'second')
    with pytest.raises(RunError, match='moments of another shape than'):
        second.train()


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


# MatchingCheckpointHook: initial weights that fit.


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


# PlainMessageHubHook: numbers, not objects.


def test_saved_file_loads_and_gives_the_same_history(make_runner):
    runner = make_runner({
        'train_cfg.max_iters': 3,
        'default_hooks.checkpoint.interval': 3
    })
    runner.train()
    path = Path(runner.work_dir) / 'iter_3.pth'
    # Raises where anything but tensors and plain types lies in the file.
    checkpoint = torch.load(path, weights_only=True)
    assert 'HistoryBuffer' not in str(type(checkpoint['message_hub']))
    before = runner.message_hub

    resumed = make_runner({'train_cfg.max_iters': 3})
    resumed.resume(str(path))
    after = resumed.message_hub
    assert after is not before
    assert after.log_scalars.keys() == before.log_scalars.keys()
    assert {'train/loss_jepa', 'train/lr',
            'train/time'} <= after.log_scalars.keys()
    for name, buffer in before.log_scalars.items():
        other = after.log_scalars[name]
        assert isinstance(other, HistoryBuffer)
        for one, two in zip(buffer.data, other.data):
            assert np.array_equal(one, two) and len(one) > 0, name
        assert buffer.max_length == other.max_length
    assert after.get_info('iter') == before.get_info('iter')
    # A rebuilt buffer goes on counting.
    after.update_scalar('train/loss_jepa', 5.0)
    assert after.get_scalar('train/loss_jepa').current() == 5.0


def test_plain_and_numpy_values_keep_their_content():
    value = dict(
        text='a', number=np.float32(0.5), count=np.int64(3), none=None,
        nested=dict(pair=(1, np.bool_(True)), items=[2.5, 'b']))
    assert to_plain(value, 'x') == dict(
        text='a', number=0.5, count=3, none=None,
        nested=dict(pair=(1, True), items=[2.5, 'b']))
    array = np.arange(6.).reshape(2, 3)
    assert torch.equal(to_plain(array, 'x'), torch.from_numpy(array))


def test_everything_it_returns_is_safe_to_load(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0], [1, 1], max_length=10)
    plain = to_plain(dict(a=buffer, b=[np.float64(1)]), 'x')
    torch.save(plain, tmp_path / 'plain.pth')
    loaded = torch.load(tmp_path / 'plain.pth', weights_only=True)
    assert loaded['a']['log_history'].tolist() == [1.0, 2.0]
    assert loaded['a']['count_history'].tolist() == [1, 1]
    assert loaded['a']['max_length'] == 10


class Unknown:
    """Something that a plain file cannot hold."""


@pytest.mark.parametrize('value', [Unknown(), {1, 2}, Path('x')])
def test_unknown_object_becomes_none_with_a_warning(tmp_path, value):
    log = tmp_path / 'log.txt'
    MMLogger.get_instance('plain', log_file=str(log))
    assert to_plain(dict(a=dict(b=value), c=1), 'hub') == dict(
        a=dict(b=None), c=1)
    text = log.read_text()
    assert 'WARNING' in text
    assert f'hub.a.b is a {type(value).__name__}' in text


class OnDevice:
    """A tensor on a GPU, which numpy cannot see."""

    def __init__(self, tensor):
        self.tensor = tensor

    def cpu(self):
        return self.tensor


def test_histories_come_back_from_a_gpu():
    """Where there is one, mmengine resumes with the file loaded to it."""
    buffer = HistoryBuffer([1.0, 2.0], [1, 1], 10)
    plain = to_plain(buffer, 'x')
    for name in ('log_history', 'count_history'):
        plain[name] = OnDevice(plain[name])
    checkpoint = dict(message_hub=dict(log_scalars=dict(a=plain)))
    PlainMessageHubHook().after_load_checkpoint(None, checkpoint)
    restored = checkpoint['message_hub']['log_scalars']['a']
    assert restored.data[0].tolist() == [1, 2]
