import pytest

from projects.mask_jepa.export import load_pretraining_config


@pytest.mark.parametrize('kind', ['MaskJEPA', 'mmdet.MaskJEPA'])
def test_pretraining_is_taken_with_and_without_its_library(tmp_path, kind):
    path = tmp_path / 'config.py'
    path.write_text(f'model = dict(type={kind!r}, size=3)\n')
    assert load_pretraining_config(str(path)).model.size == 3


@pytest.mark.parametrize('text', [
    'model = dict(type="mmdet.Mask2Former")',
    'model = dict(type="NotMaskJEPA")',
    'model = dict(backbone=dict(type="MaskJEPA"))',
    'model = "MaskJEPA"',
    'data_root = "data"',
])
def test_others_are_refused_in_one_sentence(tmp_path, text):
    path = tmp_path / 'config.py'
    path.write_text(text + '\n')
    with pytest.raises(ValueError) as caught:
        load_pretraining_config(str(path))
    assert str(caught.value) == (f'{path} is no pretraining config: give one '
                                 'such as configs/mask_jepa_r50_coco.py.')
