"""Tiles of images with instances, read back by the stock data set."""
import json

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from PIL import Image
from pycocotools import mask as coco_mask

TOOL = 'tools/dataset_converters/tile_coco.py'
WIDTH, HEIGHT, SIZE = 150, 100, 64
# x, y, width, height: whole in a tile, cut in four, and one of which a tile
# gets only a sliver.
BOXES = [(5, 5, 20, 20), (30, 30, 40, 30), (60, 2, 30, 20)]


@pytest.fixture
def source(tmp_path):
    """An image whose pixels tell where they are, and its annotations."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = np.arange(WIDTH)
    pixels[..., 1] = np.arange(HEIGHT)[:, None]
    (tmp_path / 'photos').mkdir()
    Image.fromarray(pixels).save(tmp_path / 'photos/field.png')
    annotations = [
        dict(id=number, image_id=7, category_id=1, iscrowd=0, area=w * h,
             bbox=[x, y, w, h],
             segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]])
        for number, (x, y, w, h) in enumerate(BOXES, 1)]
    (tmp_path / 'labels.json').write_text(json.dumps(dict(
        images=[dict(id=7, file_name='field.png', width=WIDTH,
                     height=HEIGHT)],
        annotations=annotations, categories=[dict(id=1, name='cell')])))
    return tmp_path


def cut(python, source, *options, **kwargs):
    return python(TOOL, source / 'labels.json', source / 'photos', '--out',
                  source / 'tiles', '--size', SIZE, *options, **kwargs)


def test_tiles_cover_the_image_and_its_objects(python, source):
    cut(python, source, '--min-share', '0.01')
    content = json.loads((source / 'tiles/annotations.json').read_text())
    covered = np.zeros((HEIGHT, WIDTH), bool)
    together = {box: np.zeros((HEIGHT, WIDTH), bool) for box in BOXES}
    for tile in content['images']:
        assert tile['parent'] == 'field.png'
        x, y = tile['x'], tile['y']
        pixels = np.asarray(
            Image.open(source / 'tiles/images' / tile['file_name']))
        assert pixels.shape == (SIZE, SIZE, 3)
        assert pixels[0, 0].tolist() == [x, y, 0]
        assert pixels[-1, -1].tolist() == [x + SIZE - 1, y + SIZE - 1, 0]
        window = slice(y, y + SIZE), slice(x, x + SIZE)
        covered[window] = True
        for each in content['annotations']:
            if each['image_id'] == tile['id']:
                mask = coco_mask.decode(each['segmentation']).astype(bool)
                assert mask.sum() == each['area']
                for (bx, by, w, h), whole in together.items():
                    expected = np.zeros((HEIGHT, WIDTH), bool)
                    expected[by:by + h, bx:bx + w] = True
                    if np.array_equal(expected[window], mask):
                        whole[window] |= mask
    assert covered.all()
    for (x, y, w, h), whole in together.items():
        assert whole.sum() == w * h


def test_a_sliver_of_an_object_is_left_out(python, source):
    cut(python, source, '--min-share', '0.5')
    content = json.loads((source / 'tiles/annotations.json').read_text())
    areas = [each['area'] for each in content['annotations']]
    assert areas
    assert min(areas) >= 0.5 * min(w * h for _, _, w, h in BOXES)
    # The large one lies in four tiles, in none of them by half of it.
    assert all(area != 0.25 * 40 * 30 for area in areas)


def test_the_stock_data_set_reads_them(python, source):
    cut(python, source, '--overlap', '16')
    dataset = CocoDataset(
        ann_file=str(source / 'tiles/annotations.json'),
        data_prefix=dict(img=str(source / 'tiles/images')),
        metainfo=dict(classes=('cell', )), pipeline=[])
    assert len(dataset) == 6  # 3 x 2 cover 150 x 100 with this overlap
    assert sum(len(dataset.get_data_info(index)['instances'])
               for index in range(len(dataset))) >= len(BOXES)


@pytest.mark.parametrize('options, sentence', [
    (['--overlap', '64'], '--overlap must lie in'),
    (['--min-share', '0'], '--min-share in')])
def test_wrong_options_are_refused(python, source, options, sentence):
    assert sentence in cut(python, source, *options, fails=True)


def test_tiles_are_not_mixed_with_others(python, source):
    cut(python, source)
    assert 'holds tiles already' in cut(python, source, fails=True)


def change(source, edit):
    content = json.loads((source / 'labels.json').read_text())
    edit(content)
    (source / 'labels.json').write_text(json.dumps(content))


def add_namesake(content):
    image, = content['images']
    content['images'].append(dict(image, id=8, file_name='field.jpg'))


@pytest.mark.parametrize('edit, sentence', [
    (add_namesake, 'field.png and field.jpg would make tiles of the same'),
    (lambda content: content['images'][0].update(width=90),
     'has 150 x 100 pixels, but its annotations are for 90 x 100'),
    (lambda content: content.pop('annotations'), 'not in the form of COCO'),
])
def test_what_would_be_cut_wrongly_is_refused(python, source, edit, sentence):
    change(source, edit)
    output = cut(python, source, fails=True)
    assert sentence in output and 'Traceback' not in output
    assert not (source / 'tiles/annotations.json').exists()


def test_floats_are_no_tiles(python, source):
    pixels = np.zeros((HEIGHT, WIDTH), np.float32)
    Image.fromarray(pixels).save(source / 'photos/field.tif')
    change(source, lambda content: content['images'][0].update(
        file_name='field.tif'))
    assert 'holds float32, which tiles cannot' in cut(
        python, source, fails=True)


def test_ids_may_be_text_and_masks_be_missing(python, source):
    cut(python, source)
    expected = json.loads((source / 'tiles/annotations.json').read_text())
    (source / 'tiles/annotations.json').unlink()

    def edit(content):
        content['images'][0]['id'] = 'seven'
        for each in content['annotations']:
            each['image_id'] = 'seven'
        content['annotations'].append(
            dict(content['annotations'][0], id=9, segmentation=[]))

    change(source, edit)
    assert '1 annotations have no mask, and are left out' in cut(
        python, source)
    content = json.loads((source / 'tiles/annotations.json').read_text())
    assert content == expected
