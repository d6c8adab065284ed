"""What other libraries leave, whole or not, and files that are no weights."""
import pickle
from argparse import Namespace
from io import BytesIO

import numpy as np
import pytest
import torch
from safetensors.torch import save

from mask_jepa.weights import load_foreign_weights

WEIGHTS = {'backbone.a': torch.arange(6.).view(2, 3), 'b': torch.ones(2).int()}
ARRAYS = {name: value.numpy() for name, value in WEIGHTS.items()}


class Intruder:
    """Ends the process on unpickling."""

    def __reduce__(self):
        return (exec, ('raise SystemExit("it ran")', ))


def write(path, content):
    """As the ending of the file asks; bytes as they are."""
    if not isinstance(content, bytes) and path.suffix == '.pkl':
        content = pickle.dumps(content)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return str(path)


def in_the_old_format(content):
    """As torch saved before 1.6, and many published files are."""
    file = BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


@pytest.mark.parametrize('name, content', [
    ('plain.pth', WEIGHTS),
    ('old.pth', in_the_old_format(dict(model=WEIGHTS))),
    ('ours.pth', dict(state_dict=WEIGHTS, meta=dict())),
    ('nested.pth', dict(state_dict=dict(model=WEIGHTS))),
    ('model.pth', dict(model=WEIGHTS, iteration=3)),
    ('detr.pth', dict(model=WEIGHTS, args=Namespace(lr=0.1))),
    ('detectron2.pth', dict(model=WEIGHTS, best=np.float64(1))),
    ('without.pth', dict(state_dict=None, model=WEIGHTS)),
    ('intruder.pth', dict(model=WEIGHTS, other=Intruder())),
    ('model.safetensors', save(WEIGHTS)),
    ('model.pkl', dict(model=ARRAYS, __author__='someone')),
    ('plain.pkl', ARRAYS),
    ('names.pkl', dict(ARRAYS, names=np.array(['cat', 'dog']))),
    ('intruder.pkl', dict(model=ARRAYS, other=Intruder())),
])
def test_weights_are_found_and_no_object_is_built(tmp_path, name, content):
    weights = load_foreign_weights(write(tmp_path / name, content))
    assert weights.keys() == WEIGHTS.keys()
    for key, value in WEIGHTS.items():
        assert weights[key].dtype == value.dtype
        assert torch.equal(weights[key], value)


@pytest.mark.parametrize('name, content, sentence', [
    ('empty.pth', b'', 'is no checkpoint of tensors'),
    ('text.pth', b'<!DOCTYPE html>', 'is no checkpoint of tensors'),
    ('empty.pkl', b'', 'is no pickle of arrays'),
    ('text.pkl', b'<!DOCTYPE html>', 'is no pickle of arrays'),
    ('empty.safetensors', b'', 'is no safetensors file'),
    ('tensor.pth', torch.ones(2), 'holds no weights'),
    ('list.pth', [torch.ones(2)], 'holds no weights'),
    ('none.pth', dict(state_dict=None), 'holds no weights'),
    ('number.pth', dict(model=3), 'holds no weights'),
    ('object.pth', dict(model=Intruder()), 'holds no weights'),
    ('nameless.pth', dict([(0, torch.ones(2))]), 'holds no weights'),
    ('list.pkl', [np.ones(2)], 'holds no weights'),
    ('array.pkl', np.ones(2), 'holds no weights'),
    ('words.pkl', dict(model=np.array(['cat'])), 'holds no weights'),
])
def test_other_files_get_one_sentence(tmp_path, name, content, sentence):
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError) as caught:
        load_foreign_weights(path)
    assert str(caught.value).startswith(f'{path} {sentence}')
    assert ': give ' in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.99])
@pytest.mark.parametrize('name, content', [
    ('model.pth', dict(model=WEIGHTS)),
    ('objects.pth', dict(model=WEIGHTS, args=Namespace(lr=0.1))),
    ('old.pth', in_the_old_format(dict(model=WEIGHTS))),
    ('model.pkl', dict(model=ARRAYS)),
    ('model.safetensors', save(WEIGHTS)),
])
def test_a_part_of_a_file_gets_one_sentence(tmp_path, name, content, share):
    path = tmp_path / name
    write(path, content)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ValueError, match='or not all of one: give') as caught:
        load_foreign_weights(str(path))
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['weights.pth', 'folder'])
def test_missing_file_is_named(tmp_path, name):
    (tmp_path / 'folder').mkdir()
    with pytest.raises(FileNotFoundError, match=f'There is .*{name}'):
        load_foreign_weights(str(tmp_path / name))
