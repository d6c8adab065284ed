"""Exported weights against the stock models' own names and shapes."""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from projects.mask_jepa.export import export_weights, left_out_reasons

HEADS = dict(mmdet='panoptic_head.', mmseg='decode_head.')
NOT_EXPORTED = {'target', 'random', 'random_queries', 'mask_tokens',
                'query_to_map', 'reconstruction_head'}


@pytest.fixture
def model(make_model, images):
    """Trained for a moment below sigma 1; the target lags behind."""
    model = make_model(dict(query_sigma=0.5))
    model(images, mode='loss')
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    return model


@pytest.fixture
def build_detector(tiny_config):
    """Build a stock Mask2Former of mmdet."""

    def build(**options):
        config = tiny_config().model
        return MODELS.build(
            ConfigDict(
                type='Mask2Former',
                backbone=config.backbone,
                panoptic_head=config.panoptic_head,
                panoptic_fusion_head=dict(
                    type='MaskFormerFusionHead',
                    num_things_classes=80,
                    num_stuff_classes=53),
                **options))

    return build


def source(key, library, branch):
    """Where a key of the file comes from, worked out independently."""
    key = key.replace(HEADS[library], 'panoptic_head.', 1)
    if branch == 'target':
        if key.startswith('backbone.'):
            return f'target.{key}'
        if key.startswith('panoptic_head.pixel_decoder.'):
            return key.replace('panoptic_head', 'target', 1)
    return key


@pytest.mark.parametrize('branch', ['online', 'target'])
@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_names_shapes_and_values(model, build_detector, library, branch):
    state = model.state_dict()
    weights = export_weights(state, library, branch).state_dict
    expected = {
        name.replace('panoptic_head.', HEADS[library], 1): value.shape
        for name, value in build_detector().state_dict().items()
        if not name.startswith(('panoptic_head.cls_embed.',
                                'panoptic_head.loss_cls.'))
    }
    assert {name: value.shape for name, value in weights.items()} == expected
    for name, value in weights.items():
        assert torch.equal(value, state[source(name, library, branch)]), name
        assert value.device.type == 'cpu' and not value.requires_grad
    other = source('backbone.conv1.weight', library,
                   'online' if branch == 'target' else 'target')
    assert not torch.equal(weights['backbone.conv1.weight'], state[other])


@pytest.mark.parametrize('branch', ['online', 'target'])
def test_every_other_key_is_left_out_with_a_reason(model, branch):
    state = model.state_dict()
    export = export_weights(state, 'mmdet', branch)
    used = {source(key, 'mmdet', branch) for key in export.state_dict}
    assert used.isdisjoint(export.left_out)
    assert used | export.left_out.keys() == state.keys()
    assert all(export.left_out.values())
    reasons = left_out_reasons(export)
    assert sum(reasons.values()) == len(state) - len(used)


def test_reasons_name_the_part(model):
    left_out = export_weights(model.state_dict(), 'mmdet').left_out
    for key, word in {
            'panoptic_head.cls_embed.weight': 'class',
            'target.backbone.conv1.weight': '--branch target',
            'mask_tokens.tokens': 'mask token',
            'query_to_map.query_projection.weight': 'self-attention',
            'reconstruction_head.projection.weight': 'reconstruction',
            'random.step': 'random',
            'random_queries.lowest_sigma': 'noise'
    }.items():
        assert word in left_out[key], key
    assert {key.split('.')[0] for key in left_out
            } == NOT_EXPORTED | {'panoptic_head'}


def test_queries_that_were_never_used_stay_behind(make_model, images):
    model = make_model(dict(query_sigma=1.0))
    model(images, mode='loss')
    export = export_weights(model.state_dict(), 'mmdet')
    assert 'panoptic_head.query_feat.weight' not in export.state_dict
    assert 'sigma = 1' in export.left_out['panoptic_head.query_feat.weight']
    # They are used from the first step below one, and never lost again.
    model.random_queries.set_sigma(0.99)
    model(images, mode='loss')
    model.random_queries.set_sigma(1.0)
    model(images, mode='loss')
    export = export_weights(model.state_dict(), 'mmdet')
    assert 'panoptic_head.query_feat.weight' in export.state_dict


def test_exported_weights_are_copies(model):
    weights = export_weights(model.state_dict(), 'mmdet').state_dict
    before = weights['backbone.conv1.weight'].clone()
    with torch.no_grad():
        model.backbone.conv1.weight.zero_()
    assert torch.equal(weights['backbone.conv1.weight'], before)


@pytest.mark.parametrize('state, missing', [
    ({}, 'backbone, panoptic_head, random_queries, target'),
    ({'backbone.a': 0, 'panoptic_head.b': 0}, 'random_queries, target'),
])
def test_other_weights_are_refused_in_one_sentence(state, missing):
    with pytest.raises(ValueError, match=missing) as caught:
        export_weights(state, 'mmdet')
    assert 'no Mask-JEPA checkpoint' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_wrong_library_and_branch_are_named(model):
    with pytest.raises(ValueError, match='mmdet, mmseg, but is detectron'):
        export_weights(model.state_dict(), 'detectron')
    with pytest.raises(ValueError, match='online, target, but is teacher'):
        export_weights(model.state_dict(), 'mmdet', 'teacher')


@pytest.mark.parametrize('branch', ['online', 'target'])
def test_stock_model_takes_the_file_by_init_cfg(model, build_detector,
                                                tmp_path, branch):
    """Model-level init_cfg, with nothing of this project in the model."""
    weights = export_weights(model.state_dict(), 'mmdet', branch).state_dict
    path = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=weights), path)
    detector = build_detector(
        init_cfg=dict(type='Pretrained', checkpoint=path))
    detector.init_weights()
    own = detector.state_dict()
    assert 'backbone.conv1.weight' in weights
    for name, value in weights.items():
        assert torch.equal(own[name], value), name
