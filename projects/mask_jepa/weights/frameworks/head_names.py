from .name_table import below, name_tables

HEAD = 'panoptic_head.'
PIXEL_DECODER = f'{HEAD}pixel_decoder.'
LAYER = f'{HEAD}transformer_decoder.layers.#.'
# In transformers and in the code of Mask2Former's authors, on detectron2.
THEIR_PIXEL_DECODER = 'model.pixel_level_module.decoder.'
THEIR_DECODER = 'model.transformer_module.'
THEIR_LAYER = f'{THEIR_DECODER}decoder.layers.#.'
AUTHORS_DECODER = 'sem_seg_head.predictor.'
AUTHORS_LAYER = f'{AUTHORS_DECODER}transformer_'

# What the transformer decoders of Mask2Former and MaskFormer share.
SHARED_LAYER = (
    ('self_attn.attn.in_proj_*', 'self_attn.{q,k,v}_proj.*',
     'self_attention_layers.#.self_attn.in_proj_*'),
    ('self_attn.attn.out_proj.*', 'self_attn.out_proj.*',
     'self_attention_layers.#.self_attn.out_proj.*'),
    ('ffn.layers.0.0.*', 'fc1.*', 'ffn_layers.#.linear1.*'),
    ('ffn.layers.1.*', 'fc2.*', 'ffn_layers.#.linear2.*'),
    ('norms.2.*', 'final_layer_norm.*', 'ffn_layers.#.norm.*'),
)

MASK2FORMER = name_tables(
    ('huggingface', 'detectron2'),
    below(
        (PIXEL_DECODER, THEIR_PIXEL_DECODER, 'sem_seg_head.pixel_decoder.'),
        ('input_convs.#.conv.*', 'input_projections.#.0.*',
         'input_proj.#.0.*'),
        ('input_convs.#.gn.*', 'input_projections.#.1.*', 'input_proj.#.1.*'),
        ('level_encoding.weight', 'level_embed', 'transformer.level_embed'),
        ('lateral_convs.0.conv.*', 'adapter_1.0.*', 'adapter_1.*'),
        ('lateral_convs.0.gn.*', 'adapter_1.1.*', 'adapter_1.norm.*'),
        ('output_convs.0.conv.*', 'layer_1.0.*', 'layer_1.*'),
        ('output_convs.0.gn.*', 'layer_1.1.*', 'layer_1.norm.*'),
        ('mask_feature.*', 'mask_projection.*', 'mask_features.*'),
    ),
    below(
        (f'{PIXEL_DECODER}encoder.layers.#.',
         f'{THEIR_PIXEL_DECODER}encoder.layers.#.',
         'sem_seg_head.pixel_decoder.transformer.encoder.layers.#.'),
        ('self_attn.*.*', 'self_attn.*.*', 'self_attn.*.*'),
        ('norms.0.*', 'self_attn_layer_norm.*', 'norm1.*'),
        ('ffn.layers.0.0.*', 'fc1.*', 'linear1.*'),
        ('ffn.layers.1.*', 'fc2.*', 'linear2.*'),
        ('norms.1.*', 'final_layer_norm.*', 'norm2.*'),
    ),
    below(
        (HEAD, THEIR_DECODER, AUTHORS_DECODER),
        ('query_embed.weight', 'queries_embedder.weight',
         'query_embed.weight'),
        ('query_feat.weight', 'queries_features.weight', 'query_feat.weight'),
        ('level_embed.weight', 'level_embed.weight', 'level_embed.weight'),
        ('transformer_decoder.post_norm.*', 'decoder.layernorm.*',
         'decoder_norm.*'),
        ('mask_embed.2#.*', 'decoder.mask_predictor.mask_embedder.#.0.*',
         'mask_embed.layers.#.*'),
    ),
    below(
        (LAYER, THEIR_LAYER, AUTHORS_LAYER),
        ('cross_attn.attn.in_proj_*', 'cross_attn.in_proj_*',
         'cross_attention_layers.#.multihead_attn.in_proj_*'),
        ('cross_attn.attn.out_proj.*', 'cross_attn.out_proj.*',
         'cross_attention_layers.#.multihead_attn.out_proj.*'),
        ('norms.0.*', 'cross_attn_layer_norm.*',
         'cross_attention_layers.#.norm.*'),
        ('norms.1.*', 'self_attn_layer_norm.*',
         'self_attention_layers.#.norm.*'),
        *SHARED_LAYER,
    ),
)

# With the plain pixel decoder, in transformers. There its levels run from
# coarse to fine, here from fine to coarse.
MASKFORMER = name_tables(
    ('huggingface', ),
    below(
        (PIXEL_DECODER, THEIR_PIXEL_DECODER),
        *((f'{ours}.{level}.{part}.*',
           f'fpn.layers.{2 - level}.{theirs}.{place}.*') for level in range(3)
          for ours, theirs in (('lateral_convs', 'proj'), ('output_convs',
                                                           'block'))
          for place, part in enumerate(('conv', 'gn'))),
        ('last_feat_conv.conv.*', 'fpn.stem.0.*'),
        ('last_feat_conv.gn.*', 'fpn.stem.1.*'),
        ('mask_feature.*', 'mask_projection.*'),
    ),
    below(
        (HEAD, THEIR_DECODER),
        ('decoder_input_proj.*', 'input_projection.*'),
        ('query_embed.weight', 'queries_embedder.weight'),
        ('transformer_decoder.post_norm.*', 'decoder.layernorm.*'),
    ),
    below((HEAD, ''), ('mask_embed.2#.*', 'mask_embedder.#.0.*')),
    below(
        (LAYER, THEIR_LAYER),
        ('norms.0.*', 'self_attn_layer_norm.*'),
        ('norms.1.*', 'encoder_attn_layer_norm.*'),
        ('cross_attn.attn.in_proj_*', 'encoder_attn.{q,k,v}_proj.*'),
        ('cross_attn.attn.out_proj.*', 'encoder_attn.out_proj.*'),
        *SHARED_LAYER,
    ),
)
