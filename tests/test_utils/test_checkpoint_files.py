"""Damaged checkpoints are told from whole ones, byte by byte."""
import os
import random
import re
from pathlib import Path

import pytest
import torch

from mask_jepa.utils import find_newest_whole, require_whole

CONTENT = dict(
    weight=torch.arange(7.0), note=[1, 'x'], half=torch.ones(3).half())


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'iter_9.pth'
    torch.save(CONTENT, path)
    require_whole(str(path))
    return path


def test_no_flipped_bit_is_loaded_as_another_value(checkpoint):
    """One in each second byte of the file: refused, or without effect."""
    whole = checkpoint.read_bytes()
    rng = random.Random(0)
    refused = 0
    for position in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randrange(8)
        checkpoint.write_bytes(damaged)
        try:
            require_whole(str(checkpoint))
        except ValueError as error:
            assert f'{checkpoint} is a damaged checkpoint' in str(error)
            refused += 1
            continue
        loaded = torch.load(checkpoint, weights_only=True)
        assert loaded['note'] == CONTENT['note']
        assert torch.equal(loaded['weight'], CONTENT['weight'])
        assert torch.equal(loaded['half'], CONTENT['half'])
    assert refused > 0.25 * len(whole)  # much of the rest is padding


@pytest.mark.parametrize('share, sentence', [
    (0, 'but empty'), (0.3, 'not all of one'), (0.99, 'not all of one')])
def test_cut_file_is_refused(checkpoint, share, sentence):
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ValueError, match=sentence):
        require_whole(str(checkpoint))


def test_objects_and_other_files_pass(checkpoint, root):
    torch.save(dict(CONTENT, pattern=re.compile('x')), checkpoint)
    require_whole(str(checkpoint))
    require_whole(str(root / 'README.md'))
    torch.save(CONTENT, checkpoint, _use_new_zipfile_serialization=False)
    require_whole(str(checkpoint))


def test_newest_whole_one_is_found(checkpoint):
    folder = checkpoint.parent
    for number in (80, 100, 110):
        torch.save(CONTENT, folder / f'iter_{number}.pth')
    (folder / 'best_score_iter_200.pth').touch()
    path, complaints = find_newest_whole(str(folder))
    assert path == str(folder / 'iter_110.pth') and complaints == []

    (folder / 'iter_110.pth').write_bytes(b'')
    whole = bytearray((folder / 'iter_100.pth').read_bytes())
    whole[len(whole) // 3] ^= 1
    (folder / 'iter_100.pth').write_bytes(whole)
    path, (newest, next_one) = find_newest_whole(str(folder))
    assert path == str(folder / 'iter_80.pth')
    assert 'iter_110.pth is no checkpoint of tensors, but empty' in newest
    assert 'iter_100.pth is a damaged checkpoint' in next_one

    # What has the name of a checkpoint alone.
    (folder / 'iter_200.pth').mkdir()
    (folder / 'iter_210.pth').symlink_to('gone.pth')
    os.mkfifo(folder / 'iter_220.pth')
    (folder / 'iter_230.pth').write_text('moved to the archive')
    torch.save([1], folder / 'iter_240.pth')
    found, complaints = find_newest_whole(str(folder))
    assert found == path
    assert [sentence.partition('iter_')[2] for sentence in complaints[:5]] == [
        '240.pth is no checkpoint of tensors: give another one.',
        '230.pth is no checkpoint of tensors: give another one.',
        '220.pth is no file: give another one.',
        '210.pth is no file: give another one.',
        '200.pth is no file: give another one.'
    ]

    for each in filter(Path.is_file, folder.glob('iter_*.pth')):
        each.write_bytes(b'')
    with pytest.raises(ValueError, match='No checkpoint in .* is whole'):
        find_newest_whole(str(folder))


def test_folder_without_checkpoints(tmp_path):
    assert find_newest_whole(str(tmp_path / '[none]')) == (None, [])
