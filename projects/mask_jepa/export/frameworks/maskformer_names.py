from typing import List

from .mask2former_names import DECODER_LAYER, HEAD, PIXEL_DECODER
from .name_table import Row, row


def huggingface_maskformer() -> List[Row]:
    """Name MaskFormer's head, with the plain pixel decoder, as transformers
    does.

    Returns:
        list[Row]: The table.
    """
    pixel_decoder = 'model.pixel_level_module.decoder.'
    module = 'model.transformer_module.'
    layer = f'{module}decoder.layers.*.'
    rows = []
    for level in range(3):  # Here fine to coarse, there coarse to fine.
        theirs = f'{pixel_decoder}fpn.layers.{2 - level}.'
        for ours, name in (('lateral_convs', 'proj'), ('output_convs',
                                                       'block')):
            rows += [
                row(f'{PIXEL_DECODER}{ours}.{level}.conv.*',
                    f'{theirs}{name}.0.*'),
                row(f'{PIXEL_DECODER}{ours}.{level}.gn.*',
                    f'{theirs}{name}.1.*'),
            ]
    for ours, theirs in (('self_attn', 'self_attn'), ('cross_attn',
                                                      'encoder_attn')):
        rows += [
            row(f'{DECODER_LAYER}{ours}.attn.in_proj_*',
                *(f'{layer}{theirs}.{name}_proj.*' for name in 'qkv')),
            row(f'{DECODER_LAYER}{ours}.attn.out_proj.*',
                f'{layer}{theirs}.out_proj.*'),
        ]
    return [
        *rows,
        row(f'{PIXEL_DECODER}last_feat_conv.conv.*',
            f'{pixel_decoder}fpn.stem.0.*'),
        row(f'{PIXEL_DECODER}last_feat_conv.gn.*',
            f'{pixel_decoder}fpn.stem.1.*'),
        row(f'{PIXEL_DECODER}mask_feature.*',
            f'{pixel_decoder}mask_projection.*'),
        row(f'{HEAD}decoder_input_proj.*', f'{module}input_projection.*'),
        row(f'{HEAD}query_embed.weight', f'{module}queries_embedder.weight'),
        row(f'{DECODER_LAYER}norms.0.*', f'{layer}self_attn_layer_norm.*'),
        row(f'{DECODER_LAYER}norms.1.*', f'{layer}encoder_attn_layer_norm.*'),
        row(f'{DECODER_LAYER}ffn.layers.0.0.*', f'{layer}fc1.*'),
        row(f'{DECODER_LAYER}ffn.layers.1.*', f'{layer}fc2.*'),
        row(f'{DECODER_LAYER}norms.2.*', f'{layer}final_layer_norm.*'),
        row(f'{HEAD}transformer_decoder.post_norm.*',
            f'{module}decoder.layernorm.*'),
        *(row(f'{HEAD}mask_embed.{2 * index}.*', f'mask_embedder.{index}.0.*')
          for index in range(3)),
    ]
