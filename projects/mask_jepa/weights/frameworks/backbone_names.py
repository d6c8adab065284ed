from typing import List

from mmengine.config import ConfigDict
from torch import Tensor

from .name_table import Row, below, name_tables

# Where transformers has the backbone of a mask classifier.
ENCODER = 'model.pixel_level_module.encoder.'
# The order in which Swin merges neighbouring places: mmdet goes through a
# channel's four places, row by row, the others through the channels of a
# place, column by column.
COLUMN_BY_COLUMN = [0, 2, 1, 3]


def merge_like_theirs(value: Tensor) -> Tensor:
    """Reorder the merged channels, the last dimension."""
    channels = value.unflatten(-1, (-1, 4)).transpose(-1, -2)
    return channels[..., COLUMN_BY_COLUMN, :].flatten(-2)


def merge_like_ours(value: Tensor) -> Tensor:
    """Undo :func:`merge_like_theirs`."""
    places = value.unflatten(-1, (4, -1))[..., COLUMN_BY_COLUMN, :]
    return places.transpose(-1, -2).flatten(-2)


RESNET = name_tables(
    ('huggingface', 'detectron2'),
    # detectron2's frozen batch norm counts no batches.
    below(
        ('backbone.', None, 'backbone.'),
        ('bn1.num_batches_tracked', None, None),
        ('layer*.*.*.num_batches_tracked', None, None),
        ('layer*.*.downsample.1.num_batches_tracked', None, None),
    ),
    below(
        ('backbone.', f'{ENCODER}embedder.embedder.', 'backbone.stem.'),
        ('conv1.weight', 'convolution.weight', 'conv1.weight'),
        ('bn1.*', 'normalization.*', 'conv1.norm.*'),
    ),
    below(
        ('backbone.layer#+1.#.', f'{ENCODER}encoder.stages.#.layers.#.',
         'backbone.res#+2.#.'),
        ('conv#+1.weight', 'layer.#.convolution.weight', 'conv#+1.weight'),
        ('bn#+1.*', 'layer.#.normalization.*', 'conv#+1.norm.*'),
        ('downsample.0.weight', 'shortcut.convolution.weight',
         'shortcut.weight'),
        ('downsample.1.*', 'shortcut.normalization.*', 'shortcut.norm.*'),
    ),
)
# They name a ResNet as mmdet does.
RESNET['timm'] = RESNET['torchvision'] = [
    Row(each.ours, (each.ours.removeprefix('backbone.'), ))
    for each in RESNET['huggingface']
]

# The norms of the maps are no part of a classifier, whose last norm none of
# the maps has; timm and torchvision compute the positions in a window.
SWIN = name_tables(
    ('huggingface', 'detectron2', 'timm', 'torchvision'),
    below(
        ('backbone.', ENCODER, 'backbone.', '', 'features.0.'),
        ('patch_embed.projection.*',
         'embeddings.patch_embeddings.projection.*', 'patch_embed.proj.*',
         'patch_embed.proj.*', '0.*'),
        ('patch_embed.norm.*', 'embeddings.norm.*', 'patch_embed.norm.*',
         'patch_embed.norm.*', '2.*'),
        ('norm#.*', 'hidden_states_norms.stage#+1.*', 'norm#.*', None, None),
    ),
    below(
        ('backbone.stages.#.blocks.#.', f'{ENCODER}encoder.layers.#.blocks.#.',
         'backbone.layers.#.blocks.#.', 'layers.#.blocks.#.',
         'features.2#+1.#.'),
        ('norm1.*', 'layernorm_before.*', 'norm1.*', 'norm1.*', 'norm1.*'),
        ('attn.w_msa.qkv.*', 'attention.self.{query,key,value}.*',
         'attn.qkv.*', 'attn.qkv.*', 'attn.qkv.*'),
        ('attn.w_msa.proj.*', 'attention.output.dense.*', 'attn.proj.*',
         'attn.proj.*', 'attn.proj.*'),
        ('attn.w_msa.relative_position_index',
         'attention.self.relative_position_index',
         'attn.relative_position_index', None, None),
        ('attn.w_msa.*', 'attention.self.*', 'attn.*', 'attn.*', 'attn.*'),
        ('norm2.*', 'layernorm_after.*', 'norm2.*', 'norm2.*', 'norm2.*'),
        ('ffn.layers.0.0.*', 'intermediate.dense.*', 'mlp.fc1.*', 'mlp.fc1.*',
         'mlp.0.*'),
        ('ffn.layers.1.*', 'output.dense.*', 'mlp.fc2.*', 'mlp.fc2.*',
         'mlp.3.*'),
    ),
    # In timm a stage begins with the merging, elsewhere it ends with it.
    below(('backbone.stages.#.downsample.',
           f'{ENCODER}encoder.layers.#.downsample.',
           'backbone.layers.#.downsample.', 'layers.#+1.downsample.',
           'features.2#+2.'),
          5 * ('norm.*', ),
          5 * ('reduction.*', ),
          to_theirs=merge_like_theirs,
          to_ours=merge_like_ours),
)

CONVNEXT = name_tables(
    ('timm', 'torchvision'),
    below(
        ('backbone.', '', 'features.'),
        ('downsample_layers.0.*.*', 'stem.*.*', '0.*.*'),
        ('downsample_layers.#.*.*', 'stages.#.downsample.*.*', '2#.*.*'),
        ('norm#.*', None, None),
    ),
    below(
        ('backbone.stages.#.#.', 'stages.#.blocks.#.', 'features.2#+1.#.'),
        ('depthwise_conv.*', 'conv_dw.*', 'block.0.*'),
        ('norm.*', 'norm.*', 'block.2.*'),
        ('pointwise_conv1.*', 'mlp.fc1.*', 'block.3.*'),
        ('pointwise_conv2.*', 'mlp.fc2.*', 'block.5.*'),
    ),
    # torchvision holds the scale of the channels for a map of one pixel.
    below(('backbone.stages.#.#.gamma', 'stages.#.blocks.#.gamma', None),
          ('', '', None)),
    below(('backbone.stages.#.#.gamma', None, 'features.2#+1.#.layer_scale'),
          ('', None, ''),
          to_theirs=lambda scale: scale[:, None, None],
          to_ours=Tensor.flatten),
)

BACKBONES = dict(ResNet=RESNET, SwinTransformer=SWIN, ConvNeXt=CONVNEXT)


def require_rgb(model: ConfigDict) -> None:
    """Refuse, by a ValueError, a model that was trained on BGR images."""
    preprocessor = model.get('data_preprocessor')
    if (preprocessor and not preprocessor.get('bgr_to_rgb')
            and model.backbone.get('in_channels', 3) == 3):
        raise ValueError(
            'The other frameworks read images as RGB, but '
            'model.data_preprocessor.bgr_to_rgb=False: this network has '
            'learned on BGR.')


def backbone_table(framework: str, backbone: str) -> List[Row]:
    """Choose the names of a backbone in another framework.

    Args:
        framework (str): 'huggingface', 'detectron2', 'timm' or 'torchvision'.
        backbone (str): Type in the config, with or without its library.

    Raises:
        ValueError: If the framework has no such backbone.
    """
    name = backbone.split('.')[-1]
    if framework not in BACKBONES.get(name, ()):
        known = [each for each in BACKBONES if framework in BACKBONES[each]]
        raise ValueError(f'Weights of a {name} cannot be converted for '
                         f'{framework}: of {", ".join(known)} they can.')
    return BACKBONES[name][framework]
