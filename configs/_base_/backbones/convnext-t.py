"""ConvNeXt-T of mmpretrain.

Layer norm, all trained; no weight decay for norms and layer scales. No norm
after the last stage's mean: the maps are what is wanted.
"""
depths = [3, 3, 9, 3]
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
backbone = dict(
    _delete_=True,
    type='mmpretrain.ConvNeXt',
    arch='tiny',
    out_indices=[0, 1, 2, 3],
    drop_path_rate=0.3,
    gap_before_final_norm=False)
convnext_t = dict(
    # For fine-tuning: with init_cfg=None it would not even be initialised.
    backbone=backbone,
    model=dict(
        backbone=dict(
            backbone,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/'
                'v0/convnext/convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth',
                prefix='backbone.')),
        panoptic_head=dict(in_channels=[96, 192, 384, 768])),
    optim_wrapper=dict(
        paramwise_cfg=dict(
            custom_keys={
                'backbone.norm': no_decay,
                # The norm of the stem.
                'backbone.downsample_layers.0.1': no_decay,
                **{
                    f'backbone.downsample_layers.{stage}.0': no_decay
                    for stage in range(1, len(depths))
                },
                **{
                    f'backbone.stages.{stage}.{block}.{name}': no_decay
                    for stage, depth in enumerate(depths)
                    for block in range(depth)
                    for name in ('norm', 'gamma')
                }
            })))
del backbone
