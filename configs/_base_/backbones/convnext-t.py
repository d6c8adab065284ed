"""ConvNeXt-T of mmpretrain.

Layer norm, all trained. No norm after the last stage's mean: the maps are
what is wanted.
"""
convnext_t = dict(
    _delete_=True,
    type='mmpretrain.ConvNeXt',
    arch='tiny',
    out_indices=[0, 1, 2, 3],
    drop_path_rate=0.3,
    gap_before_final_norm=False)
convnext_t_in1k = dict(
    type='Pretrained',
    checkpoint='https://download.openmmlab.com/mmclassification/v0/'
    'convnext/convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth',
    prefix='backbone.')
convnext_t_channels = [96, 192, 384, 768]
