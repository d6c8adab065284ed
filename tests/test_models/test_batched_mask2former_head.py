"""Anybody's Mask2Former: losses of mmdet and mmseg with fewer waits."""
import copy
import functools
import itertools

import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData

from mask_jepa.benchmark import StepCounts
from mask_jepa.models import DeformablePixelDecoder
from mask_jepa.models.batched_mask2former_head import split_classes

STOCK = {
    'instance': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    'panoptic':
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    'semantic':
    'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
}
BATCHED = dict.fromkeys(
    ('instance', 'panoptic'),
    'mask_jepa.models.BatchedMask2FormerHead') | dict(
        semantic='mask_jepa.models.mmseg_head.BatchedMask2FormerHead')
TRAIN_CFG = dict(instance='train_cfg', panoptic='train_cfg',
                 semantic='decode_head.train_cfg')
SIZE = 64
SMALL_HEAD = dict(
    in_channels=[32, 64, 128, 256], feat_channels=32, out_channels=32,
    num_queries=10, positional_encoding=dict(num_feats=16),
    pixel_decoder=dict(
        positional_encoding=dict(num_feats=16),
        encoder=dict(num_layers=1, layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=32),
            ffn_cfg=dict(embed_dims=32, feedforward_channels=64)))),
    transformer_decoder=dict(num_layers=3, layer_cfg=dict(
        self_attn_cfg=dict(embed_dims=32), cross_attn_cfg=dict(embed_dims=32),
        ffn_cfg=dict(embed_dims=32, feedforward_channels=64))))


def head_of(model):
    return getattr(model, 'panoptic_head', None) or model.decode_head


def load(task, batched, small=True):
    """The stock config, with the one key or without, for small images."""
    config = Config.fromstring(f"_base_ = '{STOCK[task]}'", '.py')
    head = 'decode_head' if task == 'semantic' else 'panoptic_head'
    config.merge_from_dict({
        'model.backbone.init_cfg': None,
        'model.data_preprocessor': dict(size=(SIZE, SIZE))
        if task == 'semantic' else dict(batch_augments=None),
        f'model.{TRAIN_CFG[task]}.num_points': 1024})
    if small:
        config.merge_from_dict({
            'model.backbone': dict(depth=18, base_channels=32,
                                   stem_channels=32),
            f'model.{head}': SMALL_HEAD})
    if batched:
        config.merge_from_dict({f'model.{head}.type': BATCHED[task]})
    return config


@functools.lru_cache(maxsize=None)
def build(task, batched, small=True):
    # mmseg's modules, for mmdet's as well, as in its tools.
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    config = load(task, batched, small)
    init_default_scope(config.default_scope)
    MMLogger.get_instance('tests', log_level='WARNING')
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    model.init_weights()
    return model.train()


def make_batch(task, counts, seed=0):
    """Images with so many instances, or classes in four by four blocks."""
    from mmdet.structures import DetDataSample
    from mmseg.structures import SegDataSample
    generator = torch.Generator().manual_seed(seed)

    def integers(high, *shape):
        return torch.randint(high, shape, generator=generator)

    def label_map(first, count):
        blocks = first + integers(count, 1, 4, 4) if count else torch.full(
            (1, 4, 4), 255)
        blocks[:, 0, 0] = 255  # and what is ignored
        return blocks.repeat_interleave(SIZE // 4, 1).repeat_interleave(
            SIZE // 4, 2)

    images, samples = [], []
    for count in counts:
        images.append(integers(256, 3, SIZE, SIZE).byte())
        metainfo = dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE))
        if task == 'semantic':
            sample = SegDataSample(metainfo=metainfo)
            sample.gt_sem_seg = PixelData(data=label_map(0, count))
        else:
            sample = DetDataSample(metainfo=metainfo)
            masks = integers(2, count, 8, 8).repeat_interleave(
                SIZE // 8, 1).repeat_interleave(SIZE // 8, 2)
            sample.gt_instances = InstanceData(
                labels=integers(80, count),
                masks=BitmapMasks(masks.byte().numpy(), SIZE, SIZE))
        if task == 'panoptic':  # things, stuff, and what is ignored
            sample.gt_sem_seg = PixelData(
                sem_seg=label_map(79, min(count, 3)).byte())
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


def losses_of(model, batch):
    data = model.data_preprocessor(copy.deepcopy(batch), training=True)
    return model(**data, mode='loss')


@pytest.fixture
def same_points(monkeypatch):
    """Give each kind of draw a stream of its own: mmdet draws in turn for
    matching and for the losses of each layer."""
    draw = torch.rand

    def rand(*shape, device=None, **kwargs):
        shape = tuple(shape[0]) if len(shape) == 1 else shape
        return draw(shape, generator=streams.setdefault(
            shape[-2], torch.Generator().manual_seed(shape[-2])))

    streams = {}
    monkeypatch.setattr(torch, 'rand', rand)
    return streams


@pytest.mark.parametrize('counts', [
    (3, 2), (0, 1), (0, 0), (13, 4)], ids=str)
@pytest.mark.parametrize('task', STOCK)
def test_losses_and_gradients_are_those_of_the_stock_model(
        task, counts, same_points):
    """At the same points; 13 masks are more than there are queries."""
    results = []
    for batched in (False, True):
        model = build(task, batched)
        model.zero_grad()
        same_points.clear()
        losses = losses_of(model, make_batch(task, counts))
        model.parse_losses(losses)[0].backward()
        results.append((losses, {
            name: parameter.grad for name, parameter in
            model.named_parameters() if parameter.grad is not None}))
    (stock, stock_gradients), (ours, gradients) = results
    assert [*ours] == [*stock]  # also in this order
    assert type(head_of(model).pixel_decoder) is DeformablePixelDecoder
    for name, value in stock.items():
        torch.testing.assert_close(
            ours[name], value.squeeze(), rtol=1e-5, atol=1e-5)
    # Biases before a norm have no gradient but rounding.
    assert gradients.keys() == stock_gradients.keys()
    stock, ours = (
        torch.cat([each[name].flatten() for name in stock_gradients])
        for each in (stock_gradients, gradients))
    assert (ours - stock).norm() < 1e-5 * stock.norm()


# Host syncs and operator calls; stock models have 687 and 7,277, 751 and
# 7,445, 695 and 7,409.
MOST = dict(instance=(3, 4450), panoptic=(5, 4450), semantic=(4, 4450))


@pytest.mark.slow
@pytest.mark.parametrize('task', STOCK)
def test_a_step_of_resnet_50_with_eight_images(task):
    """Images are padded on the host, which is not counted."""
    model = build(task, True, small=False)
    data = model.data_preprocessor(make_batch(task, [8] * 8), training=True)
    with StepCounts() as counts:
        model(**data, mode='loss')
    num_syncs, num_operators = MOST[task]
    assert counts.num_syncs == num_syncs, counts.syncs
    assert counts.num_operators <= num_operators


@pytest.mark.parametrize('task', STOCK)
def test_more_images_wait_no_more(task):
    waits = []
    for counts in ((1, 2), (5, 0, 3)):
        model = build(task, True)
        data = model.data_preprocessor(make_batch(task, counts), training=True)
        with StepCounts() as step:
            model(**data, mode='loss')
        waits.append(step.num_syncs)
    assert waits == [MOST[task][0]] * 2


@pytest.mark.parametrize('task', STOCK)
def test_optimiser_has_the_groups_of_the_stock_config(task):
    """With as few groups as there are different options."""
    model, config = build(task, True), load(task, True)
    stock = build_optim_wrapper(model, config.optim_wrapper).optimizer
    config.optim_wrapper.constructor = 'GroupedOptimWrapperConstructor'
    ours = build_optim_wrapper(model, config.optim_wrapper).optimizer

    def settings(optimizer):
        return {tensor: (group['lr'], group['weight_decay'])
                for group in optimizer.param_groups
                for tensor in group['params']}

    # mmengine takes along what is frozen, and never moves it.
    assert settings(ours) == {
        tensor: values for tensor, values in settings(stock).items()
        if tensor.requires_grad}
    assert len(ours.param_groups) == len(set(settings(ours).values())) <= 4
    assert len(stock.param_groups) > 99


@pytest.mark.parametrize('task', STOCK)
def test_a_step_in_bfloat16_is_near_float32(task, monkeypatch):
    """By MMEngine's own wrapper, which is made for GPUs alone."""
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.'
                        'is_cuda_available', lambda: True)
    model, config = copy.deepcopy(build(task, True)), load(task, True)
    batch = make_batch(task, (3, 2))
    torch.manual_seed(1)
    exact = losses_of(model, batch)
    before = copy.deepcopy(model.state_dict())
    wrapper = build_optim_wrapper(model, dict(
        config.optim_wrapper, type='AmpOptimWrapper', dtype='bfloat16',
        constructor='GroupedOptimWrapperConstructor'))
    torch.manual_seed(1)
    logged = model.train_step(copy.deepcopy(batch), wrapper)
    for name, value in exact.items():
        torch.testing.assert_close(logged[name], value, rtol=0.1, atol=0.1)
    after = model.state_dict()
    assert all(each.isfinite().all() for each in after.values())
    assert any(not torch.equal(after[name], before[name]) for name in after)


@pytest.mark.parametrize('task', STOCK)
def test_checkpoint_is_that_of_the_stock_model(task):
    ours, stock = build(task, True), copy.deepcopy(build(task, False))
    stock.load_state_dict(ours.state_dict())  # by the same names
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        (scores, masks), (stock_scores, stock_masks) = (
            head_of(model)(model.extract_feat(images), None)
            for model in (copy.deepcopy(ours).eval(), stock.eval()))
    for found, expected in zip((*scores, *masks),
                               (*stock_scores, *stock_masks)):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('task', STOCK)
def test_not_a_number_stops_as_in_the_stock_model(task):
    model = copy.deepcopy(build(task, True))
    torch.nn.init.constant_(head_of(model).cls_embed.bias, float('nan'))
    with pytest.raises(ValueError, match='invalid numeric'):
        losses_of(model, make_batch(task, (3, 2)))


def test_label_maps_are_taken_apart():
    maps = torch.tensor([[[0, 2, 2], [255, 0, 2]], [[255] * 3, [1, 255, 1]]])
    first, second = split_classes(maps, maps == 255, 3)
    assert first.labels.tolist() == [0, 2] and second.labels.tolist() == [1]
    assert torch.equal(first.masks, torch.stack([maps[0] == 0, maps[0] == 2]))
    assert torch.equal(second.masks, maps[1:] == 1)
    with pytest.raises(ValueError, match='beyond the 2 classes .* reduce_ze'):
        split_classes(maps, maps == 255, 2)


def peak_memory(function):
    """Bytes that are allocated at a time, at most, on the CPU."""
    with torch.profiler.profile(profile_memory=True) as profiler:
        function()
    events = [event for event in profiler.profiler.kineto_results.events()
              if event.name() == '[memory]']
    sizes = [event.nbytes() for event in
             sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(sizes))


@pytest.mark.parametrize('counts', [(0, 1), (12, 9)], ids=str)
@pytest.mark.parametrize('task', STOCK)
def test_losses_take_no_more_memory(task, counts):
    peaks = []
    for batched in (False, True):
        model = build(task, batched)
        head = head_of(model)
        data = model.data_preprocessor(make_batch(task, counts), training=True)
        with torch.no_grad():
            features = model.extract_feat(data['inputs'])
            outputs = head(features, data['data_samples'])
        outputs = [[each.requires_grad_() for each in layers]
                   for layers in outputs]
        head.forward = lambda *args: outputs
        more = [None] if task == 'semantic' else []
        peaks.append(peak_memory(lambda: sum(head.loss(
            features, data['data_samples'], *more).values()).backward()))
        del head.forward
    assert peaks[1] <= peaks[0]
