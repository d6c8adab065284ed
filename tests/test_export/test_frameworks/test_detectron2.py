"""The file for detectron2, against the names of the published model.

``detectron2_names`` lists names and shapes as the authors' code has them
(facebookresearch/Mask2Former at 9b0651c6, detectron2 at 02b5c4e2, the configs
maskformer2_R50_bs16_50ep and maskformer2_swin_tiny_bs16_50ep).
"""
from pathlib import Path

import pytest
import torch

from projects.mask_jepa.export.frameworks import (detectron2_table,
                                                  rename_to_ours,
                                                  write_detectron2)

# They depend on the classes.
NEW = {'sem_seg_head.predictor.class_embed.weight',
       'sem_seg_head.predictor.class_embed.bias', 'criterion.empty_weight'}


def published(name):
    path = Path(__file__).with_name('detectron2_names')
    lines = (path / f'mask2former_{name}.txt').read_text().splitlines()
    shapes = dict(line.split(' ') for line in lines)
    return {key: tuple(map(int, shape.split('x')))
            for key, shape in shapes.items() if key not in NEW}


@pytest.mark.parametrize('name', ['r50', 'swin-t'])
def test_names_shapes_and_values(build, tmp_path, name):
    config, _, weights = build(f'mask_jepa_{name}_coco')
    path = tmp_path / 'mask_jepa_detectron2.pth'
    write_detectron2(weights, config, str(path))
    content = torch.load(path, weights_only=True)
    theirs = content['model']
    assert {key: tuple(value.shape) for key, value in theirs.items()
            } == published(name)
    # Every value is somewhere, and comes back to its place.
    ours, unknown = rename_to_ours(theirs, detectron2_table(config))
    assert not unknown
    lost = {key for key in weights if key not in ours}
    assert all(key.endswith('num_batches_tracked') for key in lost)
    for key, value in ours.items():
        assert torch.equal(value, weights[key]), key


def test_versions_survive(build, tmp_path):
    """Without them the authors' code would rename the pixel decoder."""
    config, _, weights = build('mask_jepa_r50_coco')
    path = tmp_path / 'mask_jepa_detectron2.pth'
    write_detectron2(weights, config, str(path))
    metadata = torch.load(path, weights_only=True)['model']._metadata
    assert metadata['sem_seg_head'] == dict(version=2)
    assert metadata['sem_seg_head.predictor'] == dict(version=2)


def test_other_architectures_are_refused(build, tmp_path):
    config, _, weights = build('mask_jepa_convnext-t_coco')
    with pytest.raises(ValueError, match='ConvNeXt cannot .*detectron2'):
        write_detectron2(weights, config, str(tmp_path / 'x.pth'))
    config.panoptic_head.type = 'MaskFormerHead'
    with pytest.raises(ValueError, match='MaskFormerHead cannot'):
        write_detectron2(weights, config, str(tmp_path / 'x.pth'))
    assert not list(tmp_path.iterdir())
