"""Masks without labels against drawn discs."""
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from mask_jepa.evaluation import load_model
from mask_jepa.utils import load_config

TOOL = 'tools/analysis_tools/pseudo_mask_quality.py'
CONFIG = 'configs/mask_jepa_efficientnet-lite0_tiny_nuclei.py'
DISCS = [(30, 24, 12), (90, 30, 16), (40, 90, 20)]  # x, y, radius in pixels


def draw(folder, side):
    """An image with three bright discs, and its annotations."""
    y, x = np.mgrid[:side, :side]
    masks = [(x - cx)**2 + (y - cy)**2 < radius**2
             for cx, cy, radius in DISCS]
    image = np.where(np.any(masks, axis=0), 200, 20).astype(np.uint8)
    Image.fromarray(image).convert('RGB').save(folder / 'discs.png')
    annotations = []
    for number, mask in enumerate(masks, 1):
        encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        encoded['counts'] = encoded['counts'].decode()
        annotations.append(dict(
            id=number, image_id=1, category_id=1, iscrowd=0,
            area=int(mask.sum()), segmentation=encoded))
    path = folder / 'labels.json'
    path.write_text(json.dumps(dict(
        images=[dict(id=1, file_name='discs.png', width=side, height=side)],
        annotations=annotations, categories=[dict(id=1, name='disc')])))
    return path


def test_things_fit_what_is_drawn(python, tmp_path):
    labels, out = draw(tmp_path, 128), tmp_path / 'quality.json'
    printed = python(
        TOOL, CONFIG, 'none', labels, tmp_path, '--out', out, '--cfg-options',
        'model.pseudo_instances.num_clusters=[2]', '--picture',
        tmp_path / 'masks.png', '--detector', 'untrained',
        'configs/experiments/_base_/nuclei_task.py', 'none')
    found = json.loads(out.read_text())
    things = found['pseudo-instances']
    assert things['recall'] == things['precision'] == 1
    assert things['masks_per_image'] == len(DISCS)
    assert found.keys() == {
        'pseudo-instances', 'predicted', 'predicted as things', 'untrained'}
    assert found['untrained']['masks_per_image'] == 0  # sure of nothing
    # One row of five panels of 150 pixels: the discs of the second and of the
    # third are coloured, the image is grey.
    sheet = np.array(Image.open(tmp_path / 'masks.png')).astype(int)
    panels = [sheet[-140:-14, start:start + 126]
              for start in range(sheet.shape[1] - 5 * 154 + 14, 770, 154)]
    colourful = [bool((np.ptp(panel, axis=2) > 50).any()) for panel in panels]
    assert [colourful[index] for index in (0, 1, 2, 4)] == [
        False, True, True, False]
    assert f'| pseudo-instances | {things["mean_best_iou"]:.3f} |' in printed


def test_another_class_predictor_is_refused(python, tmp_path):
    """Its masks would be judged by random numbers."""
    labels = draw(tmp_path, 128)
    model = load_model(load_config(CONFIG), None)
    weights = model.state_dict()
    name = 'panoptic_head.cls_embed.weight'
    weights[name] = weights[name].repeat(2, 1)
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    assert f'another shape, {name} for example' in python(
        TOOL, CONFIG, tmp_path / 'other.pth', labels, tmp_path, fails=True)


@pytest.mark.parametrize('side, config, options, sentence', [
    (120, CONFIG, (), 'cut tiles with tools/dataset_converters/tile_coco.py'),
    (128, 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
     ('--cfg-options', 'model.backbone.init_cfg=None'), 'no MaskJEPA'),
    (128, CONFIG, ('--min-area', '9999'), 'No image has an object'),
])
def test_what_cannot_be_compared_is_named(
        python, tmp_path, side, config, options, sentence):
    labels = draw(tmp_path, side)
    assert sentence in python(
        TOOL, config, 'none', labels, tmp_path, *options, fails=True)
