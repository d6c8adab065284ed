"""The folder for transformers, against transformers itself."""
import pytest
import torch

from projects.mask_jepa.export.frameworks import write_huggingface

# Of the class predictor, which knows no classes yet; and a norm that
# transformers has and does not use.
NEW = ('class_predictor.', 'criterion.empty_weight',
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
    theirs = run_apart('run_huggingface.py',
                       dict(folder=folder, image=image))
    mask_features, mask_logits = masks(model, image)
    assert mask_features.std() > 0.1 and mask_logits.std() > 0.1
    torch.testing.assert_close(
        theirs['mask_features'], mask_features, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        theirs['mask_logits'], mask_logits, rtol=0, atol=1e-4)
    assert [each for each in theirs['missing']
            if not each.startswith(NEW)] == []
    # Older versions keep it in the file.
    assert [each for each in theirs['unexpected']
            if not each.endswith('relative_position_index')] == []
    assert theirs['mismatched'] == []
    assert theirs['dtype'] == 'torch.float32'
    assert theirs['processor'].startswith(kind + 'Image')
    assert theirs['mean'] == pytest.approx([0.485, 0.456, 0.406])


def test_other_architecture_is_refused(build, tmp_path):
    config, _, weights = build('mask_jepa_convnext-t_coco')
    with pytest.raises(ValueError, match='has no ConvNeXt, .* has ResNet'):
        write_huggingface(weights, config, str(tmp_path))
    assert not list(tmp_path.iterdir())
