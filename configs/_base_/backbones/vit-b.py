"""Plain ViT-B/16 of mmpretrain, with mmseg's simple feature pyramid.

Layer norm, all trained; the pyramid, which is new, with group norm, since
batches are small. No weight decay for norms and the position embedding.
"""
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
vit_b = dict(
    model=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.VisionTransformer',
            arch='base',
            img_size=512,
            patch_size=16,
            out_indices=(2, 5, 8, 11),
            out_type='featmap',
            drop_path_rate=0.1,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/'
                'v0/vit/'
                'vit-base-p16_pt-32xb128-mae_in1k_20220623-4c544545.pth',
                prefix='backbone.')),
        neck=dict(
            type='mmseg.Feature2Pyramid',
            embed_dim=768,
            norm_cfg=dict(type='GN', num_groups=32)),
        panoptic_head=dict(in_channels=[768] * 4)),
    optim_wrapper=dict(
        paramwise_cfg=dict(
            custom_keys={
                'backbone.pos_embed': no_decay,
                'backbone.cls_token': no_decay,
                'backbone.ln1': no_decay,
                **{
                    f'backbone.layers.{layer}.ln': no_decay
                    for layer in range(12)
                }
            })))
