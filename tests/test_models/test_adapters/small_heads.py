"""Configs of heads of every family, very small."""
from mmengine.config import ConfigDict

CHANNELS = 32
IN_CHANNELS = [32, 64, 128, 256]
NUM_CLASSES = 5
NORM = dict(type='GN', num_groups=32)
RELU = dict(type='ReLU')
ATTENTION = dict(
    embed_dims=CHANNELS, num_heads=8, dropout=0.1, batch_first=True)
FFN = dict(
    embed_dims=CHANNELS,
    feedforward_channels=64,
    ffn_drop=0.1,
    act_cfg=dict(type='ReLU', inplace=True))
PIXEL_DECODERS = {
    'PixelDecoder':
    dict(type='mmdet.PixelDecoder', norm_cfg=NORM, act_cfg=RELU),
    'TransformerEncoderPixelDecoder':
    dict(
        type='mmdet.TransformerEncoderPixelDecoder',
        norm_cfg=NORM,
        act_cfg=RELU,
        encoder=dict(
            num_layers=1,
            layer_cfg=dict(self_attn_cfg=ATTENTION, ffn_cfg=FFN)),
        positional_encoding=dict(num_feats=CHANNELS // 2, normalize=True)),
}
FAMILIES = [
    'mmdet.Mask2FormerHead',
    'mmseg.Mask2FormerHead',
    *(f'{library}.MaskFormerHead, {pixel_decoder}'
      for library in ('mmdet', 'mmseg') for pixel_decoder in PIXEL_DECODERS),
]


def maskformer_head(pixel_decoder):
    """The stock MaskFormer's, made small."""
    return dict(
        in_channels=IN_CHANNELS,
        feat_channels=CHANNELS,
        out_channels=CHANNELS,
        num_queries=10,
        pixel_decoder=PIXEL_DECODERS[pixel_decoder],
        positional_encoding=dict(num_feats=CHANNELS // 2, normalize=True),
        transformer_decoder=dict(
            num_layers=2,
            return_intermediate=True,
            layer_cfg=dict(
                self_attn_cfg=ATTENTION, cross_attn_cfg=ATTENTION,
                ffn_cfg=FFN)),
        loss_cls=dict(
            type='mmdet.CrossEntropyLoss',
            use_sigmoid=False,
            class_weight=[1.0] * NUM_CLASSES + [0.1]),
        loss_mask=dict(
            type='mmdet.FocalLoss', use_sigmoid=True, loss_weight=20.0),
        loss_dice=dict(
            type='mmdet.DiceLoss',
            use_sigmoid=True,
            activate=True,
            naive_dice=True,
            eps=1.0),
        train_cfg=dict(
            assigner=dict(
                type='mmdet.HungarianAssigner',
                match_costs=[
                    dict(type='mmdet.ClassificationCost', weight=1.0),
                    dict(
                        type='mmdet.FocalLossCost',
                        weight=20.0,
                        binary_input=True),
                    dict(
                        type='mmdet.DiceCost',
                        weight=1.0,
                        pred_act=True,
                        eps=1.0)
                ]),
            sampler=dict(type='mmdet.MaskPseudoSampler')))


def head_config(family, mask2former_head):
    """Config of a head with five classes, as its library spells it."""
    kind, _, pixel_decoder = family.partition(', ')
    config = (
        maskformer_head(pixel_decoder)
        if pixel_decoder else dict(mask2former_head))
    config['loss_cls'] = dict(
        config['loss_cls'], class_weight=[1.0] * NUM_CLASSES + [0.1])
    if kind.startswith('mmdet.'):
        config.update(num_things_classes=NUM_CLASSES, num_stuff_classes=0)
    else:
        config.pop('num_things_classes', None)
        config.pop('num_stuff_classes', None)
        config.update(num_classes=NUM_CLASSES)
    return ConfigDict(config, type=kind)
