import pytest

from projects.mask_jepa.export import check_out


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with a folder, a file and what is read in it."""
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').write_text('')
    (tmp_path / 'source').write_text('')
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('path, is_folder', [
    ('file', False),
    ('new', False),
    ('folder/new', False),
    ('new/folder/new', False),
    ('folder', True),
    ('folder/', True),
    ('new', True),
    ('new/', True),
    ('folder/new/new', True),
])
def test_what_can_be_written_is_taken(path, is_folder):
    check_out(path, 'source', is_folder)


@pytest.mark.parametrize('path, is_folder, sentence', [
    ('folder', False, 'folder is a folder, but a file will be written: '),
    ('new/', False, 'new/ is a folder, but a file will be written: '),
    ('file', True, 'file is a file, but a folder will be written: '),
    ('file/new', False, 'file/new cannot be written, since '),
    ('file/new/new', True, 'file/new/new cannot be written, since '),
    ('source', False, 'source is what is read, and would be lost: '),
    ('folder/../source', False, 'folder/../source is what is read, '),
])
def test_what_cannot_be_written_is_told_in_one_sentence(
        path, is_folder, sentence):
    with pytest.raises(ValueError) as caught:
        check_out(path, 'source', is_folder)
    assert str(caught.value).startswith(sentence)
    assert '--out' in str(caught.value)
