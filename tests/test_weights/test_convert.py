"""Exported weights against the stock models' own names and shapes."""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from mask_jepa.weights import export_weights, left_out_reasons

HEADS = dict(mmdet='panoptic_head.', mmseg='decode_head.')
NOT_EXPORTED = {'target', 'random', 'random_queries', 'mask_tokens',
                'query_to_map', 'reconstruction_head', 'centering',
                'prototypes'}
NEVER_EXPORTED = ('panoptic_head.cls_embed.', 'panoptic_head.loss_cls.')
PARTS = {'backbone', 'pixel_decoder', 'transformer_decoder'}


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


def part_of(name):
    """Which part of a stock model a tensor belongs to."""
    module, _, rest = name.partition('.')
    if module == 'backbone':
        return module
    return ('pixel_decoder' if rest.startswith('pixel_decoder.') else
            'transformer_decoder')


@pytest.mark.parametrize('branch', ['online', 'target'])
@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_names_shapes_and_values(model, build_detector, library, branch):
    state = model.state_dict()
    weights = export_weights(state, library, branch).state_dict
    expected = {
        name.replace('panoptic_head.', HEADS[library], 1): value.shape
        for name, value in build_detector().state_dict().items()
        if not name.startswith(NEVER_EXPORTED)
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
            'mask_tokens.tokens.0': 'mask token',
            'query_to_map.query_projection.weight': 'self-attention',
            'reconstruction_head.projection.weight': 'reconstruction',
            'random.step': 'random',
            'centering.mean': 'mean of the target',
            'prototypes.centers': 'prototypes',
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
    with pytest.raises(ValueError, match='mmdet-vis, but is detectron'):
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


@pytest.mark.parametrize('branch', ['online', 'target'])
@pytest.mark.parametrize('parts', [['backbone'], ['pixel_decoder'],
                                   ['transformer_decoder'],
                                   ['backbone', 'pixel_decoder'],
                                   ['transformer_decoder', 'backbone']])
def test_stock_model_keeps_its_own_weights_in_the_other_parts(
        model, build_detector, tmp_path, branch, parts):
    state = model.state_dict()
    path = str(tmp_path / 'weights.pth')
    export = export_weights(state, 'mmdet', branch, parts)
    torch.save(dict(state_dict=export.state_dict), path)
    torch.manual_seed(3)
    untouched = build_detector()
    untouched.init_weights()
    initial = untouched.state_dict()
    torch.manual_seed(3)
    detector = build_detector(
        init_cfg=dict(type='Pretrained', checkpoint=path))
    detector.init_weights()

    distinct = set()
    for name, value in detector.state_dict().items():
        expected = initial[name]
        if not name.startswith(NEVER_EXPORTED) and part_of(name) in parts:
            expected = state[source(name, 'mmdet', branch)]
            if not torch.equal(expected, initial[name]):
                distinct.add(part_of(name))
        assert torch.equal(value, expected), name
    assert distinct == set(parts)


@pytest.mark.parametrize('branch', ['online', 'target'])
@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_the_parts_make_up_the_whole(model, library, branch):
    state = model.state_dict()
    whole = export_weights(state, library, branch)
    assert set(whole.parts) == PARTS
    names = []
    for part in PARTS:
        export = export_weights(state, library, branch, [part])
        assert export.parts == (part, )
        assert {part_of(name) for name in export.state_dict} == {part}
        names += export.state_dict
        used = {source(name, library, branch) for name in export.state_dict}
        assert used.isdisjoint(export.left_out)
        assert used | export.left_out.keys() == state.keys()
    assert sorted(names) == sorted(whole.state_dict)


@pytest.mark.parametrize('branch, backbone, pixel_decoder', [
    ('online', 'backbone', 'panoptic_head.pixel_decoder'),
    ('target', 'target.backbone', 'target.pixel_decoder'),
])
def test_reasons_name_the_option_that_takes_the_part(model, branch, backbone,
                                                     pixel_decoder):
    state = model.state_dict()
    by_design = export_weights(state, 'mmdet', branch).left_out
    left_out = export_weights(state, 'mmdet', branch,
                              ['pixel_decoder']).left_out
    assert by_design.items() <= left_out.items()
    options = {reason.split(': ')[1]
               for key, reason in left_out.items() if key not in by_design}
    assert options == {
        '--parts backbone takes it along',
        '--parts transformer_decoder takes it along'
    }
    assert left_out[f'{backbone}.conv1.weight'].startswith('backbone: ')
    assert left_out['panoptic_head.query_embed.weight'].startswith(
        'transformer decoder: ')
    assert f'{pixel_decoder}.mask_feature.weight' not in left_out


@pytest.mark.parametrize(
    'parts', [[], ['neck'], ['backbone', 'neck'], 'backbone', ''])
def test_wrong_parts_are_named_in_one_sentence(model, parts):
    with pytest.raises(ValueError) as caught:
        export_weights(model.state_dict(), 'mmdet', parts=parts)
    assert str(caught.value) == (
        'The parts must be a list of one or more of backbone, pixel_decoder, '
        f'transformer_decoder, but are {parts!r}.')


def test_parts_have_one_order_and_no_repeats(model):
    export = export_weights(
        model.state_dict(),
        'mmdet',
        parts=['transformer_decoder', 'backbone', 'backbone'])
    assert export.parts == ('backbone', 'transformer_decoder')
