import pytest

from projects.mask_jepa.utils import load_config


def test_loads_a_file_and_one_of_a_library(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('iterations = 7\n')
    assert load_config(str(path)).iterations == 7
    config = load_config(
        'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py')
    assert config.default_scope == 'mmseg'


@pytest.mark.parametrize('name, sentence', [
    ('no_such.py', 'There is no config file at no_such.py.'),
    ('mmdet::mask2former/no_such.py', 'No installed library has a config '),
    ('mmdet::no_such.py', 'No installed library has a config '),
    ('no_such_library::a/b.py', 'No installed library has a config '),
    ('mmrotate::a/b.py', 'No installed library has a config '),
])
def test_missing_config_is_named_in_one_sentence(name, sentence):
    with pytest.raises(FileNotFoundError) as caught:
        load_config(name)
    assert str(caught.value).startswith(sentence)
    assert name in str(caught.value) and '\n' not in str(caught.value)


def test_file_of_another_kind_is_named_in_one_sentence(tmp_path):
    path = tmp_path / 'iter_3.pth'
    path.write_bytes(b'weights')
    with pytest.raises(ValueError, match=r'iter_3.pth is no config: .*\.py'):
        load_config(str(path))
