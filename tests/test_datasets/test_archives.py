"""Images in zip and tar are those of the folder that was packed."""
import gzip
import io
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mask_jepa.datasets import (LoadUnlabeledImage, ReadUnlabeledImage,
                                UnlabeledImageDataset, UnreadableImageError)

NAMES = ['a/0.jpg', 'a/1.PNG', 'b c/2.tif', '3.jpg', 'ü/4.jpg']
OTHERS = ['a/0.json', 'a/._0.jpg', 'a/0.cls', '0.txt', 'masks/5.png']
LONG = '/'.join(['folder'] * 30) + '/6.jpg'  # beyond tar's first header


@pytest.fixture(scope='module')
def files(real_data):
    """Contents of images, by their names, and of what is none."""
    contents = {}
    for number, name in enumerate([*NAMES, LONG]):
        file = io.BytesIO()
        with Image.open(real_data[number % len(real_data)]) as image:
            image.convert('RGB').resize((60, 40 + number)).save(
                file, name[-3:].lower().replace('jpg',
                                                'jpeg').replace('tif', 'tiff'))
        contents[name] = file.getvalue()
    return {**contents, **dict.fromkeys(OTHERS, contents['a/0.jpg'])}


def pack_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, 'w', compression) as archive:
        archive.writestr('folder.jpg/', b'')
        for name, content in files.items():
            archive.writestr(name, content)


def pack_tar(path, files, format=tarfile.PAX_FORMAT):
    with tarfile.open(path, 'w', format=format) as archive:
        folder = tarfile.TarInfo('folder.jpg')
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo('link.jpg')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)


KINDS = {
    'stored.zip': (pack_zip, zipfile.ZIP_STORED),
    'deflated.zip': (pack_zip, zipfile.ZIP_DEFLATED),
    'LZMA.ZIP': (pack_zip, zipfile.ZIP_LZMA),
    'pax.tar': (pack_tar, tarfile.PAX_FORMAT),
    'gnu.tar': (pack_tar, tarfile.GNU_FORMAT)
}


def open_all(source, **options):
    return UnlabeledImageDataset(source, [dict(type='LoadUnlabeledImage')],
                                 **options)


def paths_of(dataset):
    return [
        dataset.get_data_info(index)['img_path']
        for index in range(len(dataset))
    ]


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('kind', KINDS)
def test_images_are_those_that_were_packed(files, tmp_path, kind, num_workers):
    pack, how = KINDS[kind]
    pack(tmp_path / kind, files, how)
    loader = DataLoader(
        open_all(str(tmp_path / kind)),
        num_workers=num_workers,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork' if num_workers else None)
    wanted = {name: files[name] for name in sorted([*NAMES, LONG])}
    count = 0
    for batch, (name, content) in zip(loader, wanted.items()):
        assert batch['img_path'] == [f'{tmp_path}/{kind}/{name}']
        assert type(batch['img_path'][0]) is str
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image)[..., ::-1]
        # JPEG by another decoder.
        assert np.abs(pixels.astype(int) - batch['img'][0]).max() <= 2
        count += 1
    assert count == len(loader) == len(wanted)


def test_shards_are_one_source(files, tmp_path, log):
    (tmp_path / 'shards').mkdir()
    for number in range(3):
        pack_tar(tmp_path / f'shards/{number:03}.tar', {
            f'{number}{name}': files['3.jpg']
            for name in '.jpg .json'.split()
        })
    shutil.copy(tmp_path / 'shards/000.tar', tmp_path / 'shards/x.txt')
    pack_zip(tmp_path / 'more.zip', {'a.jpg': files['3.jpg']})
    sources = [str(tmp_path / 'shards/*.tar'), str(tmp_path / 'more.zip')]
    dataset = open_all(sources)
    assert dataset.listing == ('000.tar/0.jpg\n001.tar/1.jpg\n002.tar/2.jpg'
                               '\n\nmore.zip/a.jpg')
    assert dataset.cumulative_sizes == [3, 4]
    assert all(len(dataset[index]['img']) for index in range(4))


def test_labels_in_archives_are_left_out(files, tmp_path, log):
    packed = {name: files['3.jpg'] for name in ('0.jpg', '0.seg.png', '0.png')}
    pack_tar(tmp_path / 'a.tar', packed)
    assert open_all(str(tmp_path / 'a.tar')).listing == 'a.tar/0.jpg'
    assert 'Left out: 2 of 3 images' in log()


def test_earlier_list_keeps_later_images_out(files, tmp_path):
    archive, listing = tmp_path / 'a.zip', tmp_path / 'listing'
    pack_zip(archive, {'b.jpg': files['a/0.jpg']})
    before = open_all(str(archive))
    listing.write_text(before.listing)
    pack_zip(archive, {'a.jpg': files['3.jpg'], 'b.jpg': files['a/0.jpg']})
    (tmp_path / 'moved').mkdir()
    archive.rename(tmp_path / 'moved/a.zip')
    after = open_all(str(tmp_path / 'moved/a.zip'), image_list=str(listing))
    assert after.listing == before.listing == 'a.zip/b.jpg'
    with Image.open(io.BytesIO(files['a/0.jpg'])) as image:
        assert after[0]['img_shape'] == image.size[::-1]


def test_place_of_an_image_survives_the_way_to_a_process(files, tmp_path):
    pack_zip(tmp_path / 'a.zip', files)
    path = paths_of(open_all(str(tmp_path / 'a.zip')))[0]
    again = pickle.loads(pickle.dumps(path))
    assert again == path and again.read() == files[path[-5:]]


def spoil(path, begin, content):
    with open(path, 'r+b') as file:
        file.seek(begin)
        file.write(content)


@pytest.mark.parametrize('kind', ['stored.zip', 'deflated.zip', 'gnu.tar'])
def test_damaged_image_is_named_and_the_others_are_read(files, tmp_path, kind):
    path = tmp_path / kind
    pack, how = KINDS[kind]
    pack(path, files, how)
    paths = paths_of(open_all(str(path)))
    damaged = next(each for each in paths if each.endswith('a/1.PNG'))
    spoil(path, damaged.place.begin + damaged.place.stored // 2, bytes(50))
    load = LoadUnlabeledImage()
    with pytest.raises(UnreadableImageError, match='a/1.PNG'):
        load(dict(img_path=damaged))
    assert all(load(dict(img_path=each)) for each in paths if each != damaged)
    # The archive gets shorter, or goes, while a run reads it.
    with open(path, 'r+b') as file:
        file.truncate(paths[0].place.begin + 40)
    for change in (lambda: None, path.unlink):
        change()
        with pytest.raises(UnreadableImageError, match=kind):
            load(dict(img_path=paths[0]))


def cut(length):

    def spoil_end(path):
        with open(path, 'r+b') as file:
            file.truncate(file.seek(0, 2) * length // 100)

    return spoil_end


def encrypt(path):
    content = bytearray(path.read_bytes())
    content[content.index(b'PK\1\2') + 8] |= 1
    path.write_bytes(content)


def compress(path):
    path.write_bytes(gzip.compress(path.read_bytes()))


def second_header(path):
    with tarfile.open(path) as archive:
        spoil(path, archive.getmembers()[2].offset + 10, b'nothing')


def end_of_last(path):
    """Cut where a header begins, so that all that is left is whole."""
    with tarfile.open(path) as archive:
        begin = archive.getmembers()[-1].offset
    with open(path, 'r+b') as file:
        file.truncate(begin)


@pytest.mark.parametrize('kind, change, wrong', [
    ('deflated.zip', cut(90), 'File is not a zip file'),
    ('deflated.zip', cut(0), 'File is not a zip file'),
    ('stored.zip', encrypt, 'is encrypted'),
    ('gnu.tar', cut(50), 'unexpected end of data|no end after'),
    ('gnu.tar', cut(0), 'empty file'),
    ('gnu.tar', second_header, 'no end after'),
    ('gnu.tar', end_of_last, 'no end after'),
    ('gnu.tar', compress, 'invalid header|truncated header'),
])
def test_broken_archive_is_one_sentence(files, tmp_path, kind, change, wrong):
    pack, how = KINDS[kind]
    pack(tmp_path / kind, files, how)
    change(tmp_path / kind)
    with pytest.raises(ValueError, match=f'{kind} is no archive') as error:
        open_all(str(tmp_path / kind))
    assert error.match(wrong) and '\n' not in str(error.value)


def test_archive_without_images_is_named(tmp_path):
    pack_tar(tmp_path / 'a.tar', {'a.txt': b'1'})
    with pytest.raises(ValueError, match='a.tar holds no image'):
        open_all(str(tmp_path / 'a.tar'))
    with pytest.raises(ValueError, match=r'it has .*: give .*/\*\.tar for'):
        open_all(str(tmp_path))
    for missing in ('b.tar', '*.zip'):
        with pytest.raises(FileNotFoundError, match='There is no image'):
            open_all(str(tmp_path / missing))


@pytest.mark.parametrize('kind', ['deflated.zip', 'gnu.tar'])
def test_nothing_is_written_or_read_by_names(files, tmp_path, kind):
    pack, how = KINDS[kind]
    (tmp_path / 'in').mkdir()
    packed = {
        name: files['3.jpg']
        for name in ('../up.jpg', '/etc/top.jpg', '0.jpg')
    }
    pack(tmp_path / 'in' / kind, packed, how)
    dataset = open_all(str(tmp_path / 'in' / kind))
    assert all(
        path.startswith(f'{tmp_path}/in/{kind}/')
        for path in paths_of(dataset))
    assert all(len(dataset[index]['img']) for index in range(3))
    assert [path.name for path in tmp_path.rglob('*')] == ['in', kind]


def test_image_is_no_longer_than_its_pixels_can_be(tmp_path):
    pack_zip(tmp_path / 'bomb.zip', {'a.jpg': bytes(2**21)})
    path, = paths_of(open_all(str(tmp_path / 'bomb.zip')))
    with pytest.raises(UnreadableImageError, match='2097152 bytes long'):
        ReadUnlabeledImage(max_pixels=2**10).read(path)
