import json
import os.path as osp
from typing import Any, Dict, List, Tuple

from mmdet.models.backbones import ResNet
from mmengine.config import ConfigDict
from safetensors.torch import save
from torch import Tensor

from ...utils import AtomicLocalBackend
from .backbone_names import backbone_table, require_rgb
from .head_names import MASK2FORMER, MASKFORMER
from .name_table import Row, Written, rename_to_theirs

STAGES = ['stage1', 'stage2', 'stage3', 'stage4']
# Backbone, head and pixel decoder of what transformers has too.
KNOWN = (('ResNet', 'Mask2FormerHead', 'MSDeformAttnPixelDecoder'),
         ('SwinTransformer', 'Mask2FormerHead', 'MSDeformAttnPixelDecoder'),
         ('ResNet', 'MaskFormerHead', 'PixelDecoder'))


def huggingface_table(model: ConfigDict) -> List[Row]:
    """Choose the names of a pretraining's model in transformers.

    Raises:
        ValueError: If transformers has no such model.
    """
    backbone, head = _families(model)
    heads = dict(Mask2FormerHead=MASK2FORMER, MaskFormerHead=MASKFORMER)
    return [
        *backbone_table('huggingface', backbone), *heads[head]['huggingface']
    ]


def write_huggingface(weights: Dict[str, Tensor], model: ConfigDict,
                      folder: str) -> Written:
    """Write a folder that ``from_pretrained`` of transformers loads.

    The class predictor is not in it, and begins anew there.

    Raises:
        ValueError: If transformers has no such model.
    """
    config = _model_config(model)
    written = rename_to_theirs(weights, huggingface_table(model))
    backend = AtomicLocalBackend()
    backend.put(
        save(written.weights, metadata=dict(format='pt')),
        osp.join(folder, 'model.safetensors'))
    for name, content in {
            'config.json': config,
            'preprocessor_config.json': _image_processor_config(model)
    }.items():
        backend.put_text(
            json.dumps(content, indent=2) + '\n', osp.join(folder, name))
    return written


def _families(model: ConfigDict) -> Tuple[str, str]:
    """Name backbone and head without their library; refuse others."""
    head = model.panoptic_head
    names = tuple(
        config.type.split('.')[-1]
        for config in (model.backbone, head, head.pixel_decoder))
    if names not in KNOWN or model.get('neck'):
        known = '; '.join(', '.join(each) for each in KNOWN)
        raise ValueError(
            f'transformers has no {", ".join(names)}'
            f'{" with a neck" if model.get("neck") else ""}: of these '
            f'architectures it has {known}.')
    return names[:2]


def _model_config(model: ConfigDict) -> Dict[str, Any]:
    """Describe a model as transformers' config.json does."""
    require_rgb(model)
    channels = model.backbone.get('in_channels', 3)
    if channels != 3:
        raise ValueError('The Mask2Former of transformers takes images of 3 '
                         f'channels, and this network {channels}.')
    backbone, head = _families(model)
    backbones = dict(ResNet=_resnet_config, SwinTransformer=_swin_config)
    heads = dict(
        Mask2FormerHead=_mask2former_config, MaskFormerHead=_maskformer_config)
    return dict(
        torch_dtype='float32',
        backbone_config=dict(
            out_features=STAGES, **backbones[backbone](model.backbone)),
        **heads[head](model.panoptic_head))


def _image_processor_config(model: ConfigDict) -> Dict[str, Any]:
    """Describe how images are prepared, as preprocessor_config.json does."""
    preprocessor = model.data_preprocessor
    _, head = _families(model)
    return dict(
        image_processor_type=head.replace('Head', 'ImageProcessor'),
        do_resize=True,
        size=dict(shortest_edge=800, longest_edge=1333),
        size_divisor=32,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[value / 255 for value in preprocessor.mean],
        image_std=[value / 255 for value in preprocessor.std],
        ignore_index=255,
        do_reduce_labels=False)


def _resnet_config(backbone: ConfigDict) -> Dict[str, Any]:
    block, depths = ResNet.arch_settings[backbone.depth]
    width = backbone.get('base_channels', 64)
    return dict(
        model_type='resnet',
        layer_type='basic' if block.expansion == 1 else 'bottleneck',
        downsample_in_bottleneck=backbone.get('style') == 'caffe',
        depths=list(depths),
        embedding_size=backbone.get('stem_channels') or width,
        hidden_sizes=[
            width * block.expansion * 2**stage for stage in range(4)
        ])


def _swin_config(backbone: ConfigDict) -> Dict[str, Any]:
    return dict(
        model_type='swin',
        image_size=backbone.get('pretrain_img_size', 224),
        embed_dim=backbone.embed_dims,
        depths=list(backbone.depths),
        num_heads=list(backbone.num_heads),
        window_size=backbone.window_size,
        mlp_ratio=backbone.get('mlp_ratio', 4),
        drop_path_rate=backbone.get('drop_path_rate', 0.1))


def _mask2former_config(head: ConfigDict) -> Dict[str, Any]:
    encoder = head.pixel_decoder.encoder
    decoder = head.transformer_decoder
    return dict(
        architectures=['Mask2FormerForUniversalSegmentation'],
        model_type='mask2former',
        feature_size=head.feat_channels,
        mask_feature_size=head.out_channels,
        hidden_dim=head.feat_channels,
        num_queries=head.num_queries,
        num_attention_heads=decoder.layer_cfg.cross_attn_cfg.num_heads,
        encoder_layers=encoder.num_layers,
        encoder_feedforward_dim=encoder.layer_cfg.ffn_cfg.feedforward_channels,
        # transformers counts the prediction before the first layer as well.
        decoder_layers=decoder.num_layers + 1,
        dim_feedforward=decoder.layer_cfg.ffn_cfg.feedforward_channels,
        dropout=0.0)


def _maskformer_config(head: ConfigDict) -> Dict[str, Any]:
    decoder = head.transformer_decoder
    return dict(
        architectures=['MaskFormerForInstanceSegmentation'],
        model_type='maskformer',
        fpn_feature_size=head.feat_channels,
        mask_feature_size=head.out_channels,
        decoder_config=dict(
            model_type='detr',
            d_model=head.feat_channels,
            num_queries=head.num_queries,
            decoder_layers=decoder.num_layers,
            decoder_attention_heads=decoder.layer_cfg.cross_attn_cfg.num_heads,
            decoder_ffn_dim=decoder.layer_cfg.ffn_cfg.feedforward_channels,
            dropout=decoder.layer_cfg.ffn_cfg.get('ffn_drop', 0.0)))
