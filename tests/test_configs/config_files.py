"""The configs of the repository, and what their names say."""
import copy
import functools
import re
from pathlib import Path

from mmengine.config import Config

from mask_jepa.utils import load_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PRETRAINING = sorted(CONFIGS.glob('*.py'))
# Of the heads that have no twins: what they start from.
OTHER_HEADS = {
    'mmdet/maskformer_r50-mask-jepa-pre_ms-16xb1-75e_coco':
    ('mask_jepa_r50_coco_maskformer', 'mmdet'),
    'mmseg/maskformer_r50-d32-mask-jepa-pre_8xb2-160k_ade20k-512x512':
    ('mask_jepa_r50_ade20k_maskformer', 'mmseg'),
    'mmdet/mask2former_r50-mask-jepa-pre_8xb2-8e_youtubevis2021':
    ('mask_jepa_r50_coco', 'mmdet-vis'),
}
OTHERS = [CONFIGS / 'finetune' / f'{stem}.py' for stem in OTHER_HEADS]
FINETUNING = sorted(
    set(CONFIGS.glob('finetune/*/*-pre_*.py')) - set(OTHERS))
TWINS = sorted(
    set(CONFIGS.glob('finetune/*/*.py')) - {*FINETUNING, *OTHERS})
FEW_LABELS = [path for path in FINETUNING if path.stem.endswith('_1-16')]
FULL_SIZE = [path for path in FINETUNING
             if '_8xb2-' in path.name and path not in FEW_LABELS]
STOCK = {
    ('mmdet', 'r50', 'coco-panoptic'):
    'mask2former_r50_8xb2-lsj-50e_coco-panoptic',
    ('mmdet', 'r50', 'coco'):
    'mask2former_r50_8xb2-lsj-50e_coco',
    ('mmdet', 'swin-t', 'coco-panoptic'):
    'mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic',
    ('mmdet', 'swin-t', 'coco'):
    'mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco',
    ('mmseg', 'r50', 'ade20k-512x512'):
    'mask2former_r50_8xb2-160k_ade20k-512x512',
    ('mmseg', 'r50', 'cityscapes-512x1024'):
    'mask2former_r50_8xb2-90k_cityscapes-512x1024',
    ('mmseg', 'swin-t', 'ade20k-512x512'):
    'mask2former_swin-t_8xb2-160k_ade20k-512x512',
    ('mmseg', 'swin-t', 'cityscapes-512x1024'):
    'mask2former_swin-t_8xb2-90k_cityscapes-512x1024',
}
# Type, a setting and the channels of the last map of each backbone.
BACKBONES = {
    'r18-tiny': ('ResNet', dict(depth=18, base_channels=32), 256),
    'r18': ('ResNet', dict(depth=18), 512),
    'r50': ('ResNet', dict(depth=50), 2048),
    'r101': ('ResNet', dict(depth=101), 2048),
    'swin-t': ('SwinTransformer',
               dict(embed_dims=96, depths=[2, 2, 6, 2]), 768),
    'swin-s': ('SwinTransformer',
               dict(embed_dims=96, depths=[2, 2, 18, 2]), 768),
    'swin-b': ('SwinTransformer',
               dict(embed_dims=128, depths=[2, 2, 18, 2]), 1024),
    'swin-l': ('SwinTransformer',
               dict(embed_dims=192, depths=[2, 2, 18, 2]), 1536),
    'convnext-t': ('mmpretrain.ConvNeXt', dict(arch='tiny'), 768),
    'vit-b': ('mmpretrain.VisionTransformer', dict(arch='base'), 768),
    # Ours in pretraining, mmpretrain's in fine-tuning.
    'dinov2-vit-s': ('TIMMBackbone', dict(
        model_name='vit_small_patch14_reg4_dinov2.lvd142m'), 384),
    'dinov3-vit-s': ('TIMMBackbone', dict(
        model_name='vit_small_patch16_dinov3.lvd1689m'), 384),
    'convnext-t-timm': ('TIMMBackbone', dict(
        model_name='convnext_tiny.in12k_ft_in1k'), 768),
}


def name(path):
    """What a test is called after."""
    return path.stem


def load(path):
    return copy.deepcopy(read(path))


def load_stock(library, backbone, task):
    """The stock config of the same name; None if there is none."""
    stem = STOCK.get((library, backbone, task))
    return stem and copy.deepcopy(read(f'{library}::mask2former/{stem}.py'))


@functools.lru_cache(maxsize=None)
def read(name):
    """Read a config once for all tests of a process."""
    return load_config(str(name))


def parse_finetuning(path):
    """Library, backbone and task that a name of a fine-tuning states."""
    stem = re.sub('(_1-16)?(_scratch|_in1k)?$', '', path.stem)
    head, backbone, _, task = stem.split('_')
    assert head == 'mask2former'
    return path.parent.name, backbone.removesuffix('-mask-jepa-pre'), task


def check_backbone(backbone, model):
    """Whether a model has the backbone of that name."""
    kind, settings, channels = BACKBONES[backbone]
    assert model.backbone.type.endswith(kind)
    for key, value in settings.items():
        assert model.backbone[key] == value, key
    head = model.get('panoptic_head') or model.decode_head
    assert head.in_channels[-1] == channels


def plain(config):
    """As plain containers, for comparison."""
    if isinstance(config, Config):
        config = config._cfg_dict
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config
