from typing import List

from .name_table import Row, row

HEAD = 'panoptic_head.'
PIXEL_DECODER = f'{HEAD}pixel_decoder.'
ENCODER_LAYER = f'{PIXEL_DECODER}encoder.layers.*.'
DECODER_LAYER = f'{HEAD}transformer_decoder.layers.*.'


def huggingface_mask2former() -> List[Row]:
    """Name Mask2Former's head as transformers does.

    Returns:
        list[Row]: The table.
    """
    pixel_decoder = 'model.pixel_level_module.decoder.'
    encoder_layer = f'{pixel_decoder}encoder.layers.*.'
    module = 'model.transformer_module.'
    layer = f'{module}decoder.layers.*.'
    return [
        row(f'{PIXEL_DECODER}input_convs.*.conv.*',
            f'{pixel_decoder}input_projections.*.0.*'),
        row(f'{PIXEL_DECODER}input_convs.*.gn.*',
            f'{pixel_decoder}input_projections.*.1.*'),
        row(f'{ENCODER_LAYER}self_attn.*.*', f'{encoder_layer}self_attn.*.*'),
        row(f'{ENCODER_LAYER}norms.0.*',
            f'{encoder_layer}self_attn_layer_norm.*'),
        row(f'{ENCODER_LAYER}ffn.layers.0.0.*', f'{encoder_layer}fc1.*'),
        row(f'{ENCODER_LAYER}ffn.layers.1.*', f'{encoder_layer}fc2.*'),
        row(f'{ENCODER_LAYER}norms.1.*', f'{encoder_layer}final_layer_norm.*'),
        row(f'{PIXEL_DECODER}level_encoding.weight',
            f'{pixel_decoder}level_embed'),
        row(f'{PIXEL_DECODER}lateral_convs.0.conv.*',
            f'{pixel_decoder}adapter_1.0.*'),
        row(f'{PIXEL_DECODER}lateral_convs.0.gn.*',
            f'{pixel_decoder}adapter_1.1.*'),
        row(f'{PIXEL_DECODER}output_convs.0.conv.*',
            f'{pixel_decoder}layer_1.0.*'),
        row(f'{PIXEL_DECODER}output_convs.0.gn.*',
            f'{pixel_decoder}layer_1.1.*'),
        row(f'{PIXEL_DECODER}mask_feature.*',
            f'{pixel_decoder}mask_projection.*'),
        row(f'{HEAD}query_embed.weight', f'{module}queries_embedder.weight'),
        row(f'{HEAD}query_feat.weight', f'{module}queries_features.weight'),
        row(f'{HEAD}level_embed.weight', f'{module}level_embed.weight'),
        row(f'{DECODER_LAYER}cross_attn.attn.in_proj_*',
            f'{layer}cross_attn.in_proj_*'),
        row(f'{DECODER_LAYER}cross_attn.attn.out_proj.*',
            f'{layer}cross_attn.out_proj.*'),
        row(f'{DECODER_LAYER}norms.0.*', f'{layer}cross_attn_layer_norm.*'),
        row(f'{DECODER_LAYER}self_attn.attn.in_proj_*',
            f'{layer}self_attn.q_proj.*', f'{layer}self_attn.k_proj.*',
            f'{layer}self_attn.v_proj.*'),
        row(f'{DECODER_LAYER}self_attn.attn.out_proj.*',
            f'{layer}self_attn.out_proj.*'),
        row(f'{DECODER_LAYER}norms.1.*', f'{layer}self_attn_layer_norm.*'),
        row(f'{DECODER_LAYER}ffn.layers.0.0.*', f'{layer}fc1.*'),
        row(f'{DECODER_LAYER}ffn.layers.1.*', f'{layer}fc2.*'),
        row(f'{DECODER_LAYER}norms.2.*', f'{layer}final_layer_norm.*'),
        row(f'{HEAD}transformer_decoder.post_norm.*',
            f'{module}decoder.layernorm.*'),
        *(row(f'{HEAD}mask_embed.{2 * index}.*',
              f'{module}decoder.mask_predictor.mask_embedder.{index}.0.*')
          for index in range(3)),
    ]


def detectron2_mask2former() -> List[Row]:
    """Name Mask2Former's head as its authors' code does.

    Returns:
        list[Row]: The table.
    """
    pixel_decoder = 'sem_seg_head.pixel_decoder.'
    encoder_layer = f'{pixel_decoder}transformer.encoder.layers.*.'
    predictor = 'sem_seg_head.predictor.'
    cross = f'{predictor}transformer_cross_attention_layers.*.'
    self_ = f'{predictor}transformer_self_attention_layers.*.'
    ffn = f'{predictor}transformer_ffn_layers.*.'
    return [
        row(f'{PIXEL_DECODER}input_convs.*.conv.*',
            f'{pixel_decoder}input_proj.*.0.*'),
        row(f'{PIXEL_DECODER}input_convs.*.gn.*',
            f'{pixel_decoder}input_proj.*.1.*'),
        row(f'{ENCODER_LAYER}self_attn.*.*', f'{encoder_layer}self_attn.*.*'),
        row(f'{ENCODER_LAYER}norms.0.*', f'{encoder_layer}norm1.*'),
        row(f'{ENCODER_LAYER}ffn.layers.0.0.*', f'{encoder_layer}linear1.*'),
        row(f'{ENCODER_LAYER}ffn.layers.1.*', f'{encoder_layer}linear2.*'),
        row(f'{ENCODER_LAYER}norms.1.*', f'{encoder_layer}norm2.*'),
        row(f'{PIXEL_DECODER}level_encoding.weight',
            f'{pixel_decoder}transformer.level_embed'),
        row(f'{PIXEL_DECODER}lateral_convs.0.conv.*',
            f'{pixel_decoder}adapter_1.*'),
        row(f'{PIXEL_DECODER}lateral_convs.0.gn.*',
            f'{pixel_decoder}adapter_1.norm.*'),
        row(f'{PIXEL_DECODER}output_convs.0.conv.*',
            f'{pixel_decoder}layer_1.*'),
        row(f'{PIXEL_DECODER}output_convs.0.gn.*',
            f'{pixel_decoder}layer_1.norm.*'),
        row(f'{PIXEL_DECODER}mask_feature.*',
            f'{pixel_decoder}mask_features.*'),
        row(f'{HEAD}query_embed.weight', f'{predictor}query_embed.weight'),
        row(f'{HEAD}query_feat.weight', f'{predictor}query_feat.weight'),
        row(f'{HEAD}level_embed.weight', f'{predictor}level_embed.weight'),
        row(f'{DECODER_LAYER}cross_attn.attn.in_proj_*',
            f'{cross}multihead_attn.in_proj_*'),
        row(f'{DECODER_LAYER}cross_attn.attn.out_proj.*',
            f'{cross}multihead_attn.out_proj.*'),
        row(f'{DECODER_LAYER}norms.0.*', f'{cross}norm.*'),
        row(f'{DECODER_LAYER}self_attn.attn.in_proj_*',
            f'{self_}self_attn.in_proj_*'),
        row(f'{DECODER_LAYER}self_attn.attn.out_proj.*',
            f'{self_}self_attn.out_proj.*'),
        row(f'{DECODER_LAYER}norms.1.*', f'{self_}norm.*'),
        row(f'{DECODER_LAYER}ffn.layers.0.0.*', f'{ffn}linear1.*'),
        row(f'{DECODER_LAYER}ffn.layers.1.*', f'{ffn}linear2.*'),
        row(f'{DECODER_LAYER}norms.2.*', f'{ffn}norm.*'),
        row(f'{HEAD}transformer_decoder.post_norm.*',
            f'{predictor}decoder_norm.*'),
        *(row(f'{HEAD}mask_embed.{2 * index}.*',
              f'{predictor}mask_embed.layers.{index}.*')
          for index in range(3)),
    ]
