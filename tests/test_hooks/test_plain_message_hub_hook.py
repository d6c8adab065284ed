"""What is logged is saved as numbers, not objects."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MMLogger

from mask_jepa.hooks.plain_message_hub_hook import (PlainMessageHubHook,
                                                    to_plain)


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
