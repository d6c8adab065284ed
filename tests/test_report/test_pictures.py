import base64
import io

import numpy as np
from PIL import Image

from projects.mask_jepa.report.pictures import (LARGE_PICTURE, embed_picture,
                                                find_pictures)


def test_pictures_are_found_by_name_and_iteration(tmp_path):
    for name in ('a_1.png', 'a_20.png', 'b_c_3.png', 'a.png', 'a_1.jpg'):
        (tmp_path / name).touch()
    found = find_pictures(str(tmp_path))
    assert {name: set(steps) for name, steps in found.items()} == {
        'a': {1, 20},
        'b_c': {3}
    }
    assert find_pictures(str(tmp_path / 'nowhere')) == {}


def test_small_picture_is_embedded_as_it_is(tmp_path):
    path = tmp_path / 'a_1.png'
    Image.new('RGB', (8, 8), 'red').save(path)
    head, content = embed_picture(str(path)).split(',')
    assert head == 'data:image/png;base64'
    assert base64.b64decode(content) == path.read_bytes()


def test_large_picture_shrinks_in_bytes_not_in_pixels(tmp_path):
    path = tmp_path / 'a_1.png'
    ramp = np.linspace(0, 200, 500)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 8, (400, 500, 3))
    pixels = (ramp + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    assert path.stat().st_size > LARGE_PICTURE
    head, content = embed_picture(str(path)).split(',')
    assert head == 'data:image/webp;base64'
    content = base64.b64decode(content)
    assert len(content) < path.stat().st_size / 2
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (500, 400)
        difference = np.asarray(picture).astype(float) - pixels
    assert np.abs(difference).mean() < 10


def test_torn_picture_is_left_out(tmp_path):
    path = tmp_path / 'a_1.png'
    Image.new('RGB', (64, 64), 'red').save(path)
    path.write_bytes(path.read_bytes()[:60])
    assert embed_picture(str(path)) == ''
