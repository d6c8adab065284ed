"""Networks in other libraries, against their own models."""
from pathlib import Path

import pytest
import torch
import torchvision

from mask_jepa.weights.frameworks import (detectron2_table, rename_to_ours,
                                          write_detectron2, write_huggingface,
                                          write_timm, write_torchvision)

# The backbone for timm and torchvision, against their own models.


TIMM = {'r50': 'resnet50', 'swin-t': 'swin_tiny_patch4_window7_224',
        'convnext-t': 'convnext_tiny'}
TORCHVISION = {'r50': 'resnet50', 'swin-t': 'swin_t',
               'convnext-t': 'convnext_tiny'}


@pytest.fixture
def image():
    # Larger than what is common: on maps of a single window the others do
    # not shift it, and mmdet does.
    return torch.randn(1, 3, 448, 448,
                       generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def our_last_map(model, name, image):
    """What comes before the norm of the last map."""
    if name == 'r50':
        return model.backbone(image)[-1]
    norm = torch.nn.Identity()
    model.backbone.norm3, kept = norm, model.backbone.norm3
    last = model.backbone(image)[-1]
    model.backbone.norm3 = kept
    return last


def check(theirs, ours):
    if theirs.shape != ours.shape:
        theirs = theirs.permute(0, 3, 1, 2)  # Channels come last.
    assert ours.std() > 0.05
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', TIMM)
def test_timm(build, run_apart, tmp_path, image, name):
    config, model, weights = build(f'mask_jepa_{name}_coco')
    path = str(tmp_path / 'timm.pth')
    write_timm(weights, config, path)
    result = run_apart('run_timm',
                       dict(name=TIMM[name], path=path, image=image))
    assert not result['unexpected']
    # The norm before the classifier is the classifier's.
    assert all(key.startswith(('norm.', 'head.norm.'))
               for key in result['missing'])
    check(result['last'], our_last_map(model, name, image))


@pytest.mark.parametrize('name', TORCHVISION)
@torch.no_grad()
def test_torchvision(build, tmp_path, image, name):
    config, model, weights = build(f'mask_jepa_{name}_coco')
    path = str(tmp_path / 'torchvision.pth')
    write_torchvision(weights, config, path)
    theirs = getattr(torchvision.models, TORCHVISION[name])().eval()
    missing, unexpected = theirs.load_state_dict(
        torch.load(path, weights_only=True), strict=False)
    assert not unexpected
    assert all(key.startswith(('fc.', 'head.', 'norm.', 'classifier.'))
               or 'relative_position_index' in key for key in missing)
    if name == 'r50':
        layers = list(theirs.children())[:-2]
        last = torch.nn.Sequential(*layers)(image)
    else:
        last = theirs.features(image)
    check(last, our_last_map(model, name, image))


@pytest.mark.parametrize('write', [write_timm, write_torchvision])
def test_other_backbones_are_refused(build, tmp_path, write):
    config, _, weights = build('mask_jepa_r50_coco')
    config.backbone.type = 'mmdet.RegNet'
    with pytest.raises(ValueError, match='RegNet cannot'):
        write(weights, config, str(tmp_path / 'x.pth'))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('options, sentence', [
    ({'model.backbone.style': 'caffe'}, "has no ResNet with style='caffe'"),
    ({'model.data_preprocessor.bgr_to_rgb': False}, 'has learned on BGR'),
])
@pytest.mark.parametrize('write', [write_timm, write_torchvision])
def test_what_would_be_another_network_is_refused(build, tmp_path, write,
                                                  options, sentence):
    config, _, weights = build('mask_jepa_r50_coco', options)
    with pytest.raises(ValueError, match=sentence):
        write(weights, config, str(tmp_path / 'x.pth'))
    assert not list(tmp_path.iterdir())


# The folder for transformers, against transformers itself.


# Of the class predictor, which knows no classes yet; and a norm that
# transformers has and does not use.
NEW_IN_TRANSFORMERS = (
    'class_predictor.', 'criterion.empty_weight',
    'model.pixel_level_module.encoder.swin.layernorm.')
PLAIN_PIXEL_DECODER = {
    'model.panoptic_head.pixel_decoder': dict(
        _delete_=True,
        type='PixelDecoder',
        norm_cfg=dict(type='GN', num_groups=32),
        act_cfg=dict(type='ReLU'))
}


@torch.no_grad()
def masks(model, image):
    """Mask features, and the masks of the learned queries."""
    mask_features, memory = model.encode(image)
    queries = model.adapter.learned_queries.expand(len(image), -1, -1)
    return mask_features, model.adapter.decode(memory, mask_features,
                                               queries)[2][-1]


@pytest.mark.parametrize('name, options, kind', [
    ('r50_coco', {}, 'Mask2Former'),
    ('r50_coco', {'model.backbone.style': 'caffe'}, 'Mask2Former'),
    ('swin-t_coco', {}, 'Mask2Former'),
    ('r50_coco_maskformer', PLAIN_PIXEL_DECODER, 'MaskFormer'),
])
def test_gives_the_same_masks(build, run_apart, tmp_path, name, options,
                              kind):
    config, model, weights = build(f'mask_jepa_{name}', options)
    folder = str(tmp_path / 'folder')
    write_huggingface(weights, config, folder)
    image = torch.randn(1, 3, 64, 96,
                        generator=torch.Generator().manual_seed(1))
    theirs = run_apart('run_huggingface', dict(folder=folder, image=image))
    mask_features, mask_logits = masks(model, image)
    assert mask_features.std() > 0.1 and mask_logits.std() > 0.1
    torch.testing.assert_close(
        theirs['mask_features'], mask_features, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        theirs['mask_logits'], mask_logits, rtol=0, atol=1e-4)
    assert [each for each in theirs['missing']
            if not each.startswith(NEW_IN_TRANSFORMERS)] == []
    # Older versions keep it in the file.
    assert [each for each in theirs['unexpected']
            if not each.endswith('relative_position_index')] == []
    assert theirs['mismatched'] == []
    assert theirs['dtype'] == 'torch.float32'
    assert theirs['processor'].startswith(kind + 'Image')
    assert theirs['mean'] == pytest.approx([0.485, 0.456, 0.406])


def test_transformers_reads_rgb(build, tmp_path):
    config, _, weights = build('mask_jepa_r50_coco',
                               {'model.data_preprocessor.bgr_to_rgb': False})
    with pytest.raises(ValueError, match='has learned on BGR'):
        write_huggingface(weights, config, str(tmp_path / 'folder'))
    assert not list(tmp_path.iterdir())


def test_other_architecture_is_refused(build, tmp_path):
    config, _, weights = build('mask_jepa_convnext-t_coco')
    with pytest.raises(ValueError, match='has no ConvNeXt, .* has ResNet'):
        write_huggingface(weights, config, str(tmp_path))
    assert not list(tmp_path.iterdir())


# The file for detectron2, against the names of the published model.
#
# ``detectron2_names`` lists names and shapes as the authors' code has them
# (facebookresearch/Mask2Former at 9b0651c6, detectron2 at 02b5c4e2, the
# configs maskformer2_R50_bs16_50ep and maskformer2_swin_tiny_bs16_50ep).


# They depend on the classes.
NEW_IN_DETECTRON2 = {
    'sem_seg_head.predictor.class_embed.weight',
    'sem_seg_head.predictor.class_embed.bias', 'criterion.empty_weight'}


def published(name):
    path = Path(__file__).with_name('detectron2_names')
    lines = (path / f'mask2former_{name}.txt').read_text().splitlines()
    shapes = dict(line.split(' ') for line in lines)
    return {key: tuple(map(int, shape.split('x')))
            for key, shape in shapes.items() if key not in NEW_IN_DETECTRON2}


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
