from typing import List

from torch import Tensor

from .name_table import Row, row

# The order in which neighbouring places are merged: mmdet goes through a
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


def merging(ours: str, theirs: str) -> Row:
    """Name a tensor over merged channels."""
    return Row(ours, (theirs, ), merge_like_theirs, merge_like_ours)


def huggingface_swin(prefix: str) -> List[Row]:
    """Name a Swin transformer as transformers does.

    Args:
        prefix (str): Of the backbone's names.

    Returns:
        list[Row]: The table.
    """
    ours = 'backbone.stages.*.blocks.*.'
    theirs = f'{prefix}encoder.layers.*.blocks.*.'
    attention = f'{theirs}attention.self.'
    downsample = f'{prefix}encoder.layers.*.downsample.'
    return [
        row('backbone.patch_embed.projection.*',
            f'{prefix}embeddings.patch_embeddings.projection.*'),
        row('backbone.patch_embed.norm.*', f'{prefix}embeddings.norm.*'),
        row(f'{ours}norm1.*', f'{theirs}layernorm_before.*'),
        row(f'{ours}attn.w_msa.qkv.*', f'{attention}query.*',
            f'{attention}key.*', f'{attention}value.*'),
        row(f'{ours}attn.w_msa.proj.*', f'{theirs}attention.output.dense.*'),
        row(f'{ours}attn.w_msa.*', f'{attention}*'),
        row(f'{ours}norm2.*', f'{theirs}layernorm_after.*'),
        row(f'{ours}ffn.layers.0.0.*', f'{theirs}intermediate.dense.*'),
        row(f'{ours}ffn.layers.1.*', f'{theirs}output.dense.*'),
        merging('backbone.stages.*.downsample.norm.*', f'{downsample}norm.*'),
        merging('backbone.stages.*.downsample.reduction.*',
                f'{downsample}reduction.*'),
        *(row(f'backbone.norm{stage}.*',
              f'{prefix}hidden_states_norms.stage{stage + 1}.*')
          for stage in range(4)),
    ]


def detectron2_swin() -> List[Row]:
    """Name a Swin transformer as Mask2Former's own code does.

    Returns:
        list[Row]: The table.
    """
    ours, theirs = 'backbone.stages.*.blocks.*.', 'backbone.layers.*.blocks.*.'
    return [
        row('backbone.patch_embed.projection.*',
            'backbone.patch_embed.proj.*'),
        row('backbone.patch_embed.norm.*', 'backbone.patch_embed.norm.*'),
        *_original_block(ours, theirs),
        merging('backbone.stages.*.downsample.norm.*',
                'backbone.layers.*.downsample.norm.*'),
        merging('backbone.stages.*.downsample.reduction.*',
                'backbone.layers.*.downsample.reduction.*'),
        row('backbone.norm*.*', 'backbone.norm*.*'),
    ]


def timm_swin() -> List[Row]:
    """Name a Swin transformer as timm does, without its last norm.

    Returns:
        list[Row]: The table.
    """
    rows = [
        row('backbone.patch_embed.projection.*', 'patch_embed.proj.*'),
        row('backbone.patch_embed.norm.*', 'patch_embed.norm.*'),
        # timm computes it.
        row('backbone.stages.*.blocks.*.attn.w_msa.relative_position_index'),
        *_original_block('backbone.stages.*.blocks.*.', 'layers.*.blocks.*.'),
        # Norms of the maps, which a classifier does not have.
        row('backbone.norm*.*'),
    ]
    # There a stage begins with the merging, here it ends with it.
    for stage in range(3):
        for name in ('norm', 'reduction'):
            rows.append(
                merging(f'backbone.stages.{stage}.downsample.{name}.*',
                        f'layers.{stage + 1}.downsample.{name}.*'))
    return rows


def torchvision_swin() -> List[Row]:
    """Name a Swin transformer as torchvision does, without its last norm.

    Returns:
        list[Row]: The table.
    """
    rows = [
        row('backbone.patch_embed.projection.*', 'features.0.0.*'),
        row('backbone.patch_embed.norm.*', 'features.0.2.*'),
        row('backbone.norm*.*'),
    ]
    for stage in range(4):
        ours = f'backbone.stages.{stage}.blocks.*.'
        theirs = f'features.{2 * stage + 1}.*.'
        rows += [
            row(f'{ours}norm1.*', f'{theirs}norm1.*'),
            # torchvision computes it.
            row(f'{ours}attn.w_msa.relative_position_index'),
            row(f'{ours}attn.w_msa.*.*', f'{theirs}attn.*.*'),
            row(f'{ours}attn.w_msa.*', f'{theirs}attn.*'),
            row(f'{ours}norm2.*', f'{theirs}norm2.*'),
            row(f'{ours}ffn.layers.0.0.*', f'{theirs}mlp.0.*'),
            row(f'{ours}ffn.layers.1.*', f'{theirs}mlp.3.*'),
            *(merging(f'backbone.stages.{stage}.downsample.{name}.*',
                      f'features.{2 * stage + 2}.{name}.*')
              for name in ('norm', 'reduction')),
        ]
    return rows


def _original_block(ours: str, theirs: str) -> List[Row]:
    """Name a block as in the code of Swin's authors."""
    return [
        row(f'{ours}norm1.*', f'{theirs}norm1.*'),
        row(f'{ours}attn.w_msa.*.*', f'{theirs}attn.*.*'),
        row(f'{ours}attn.w_msa.*', f'{theirs}attn.*'),
        row(f'{ours}norm2.*', f'{theirs}norm2.*'),
        row(f'{ours}ffn.layers.0.0.*', f'{theirs}mlp.fc1.*'),
        row(f'{ours}ffn.layers.1.*', f'{theirs}mlp.fc2.*'),
    ]
