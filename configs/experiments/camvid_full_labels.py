"""Does it help all of CamVid, from an ImageNet backbone?"""
_base_ = './_base_/imagenet_arms.py'

tasks = dict(
    CamVid=dict(
        config='configs/experiments/_base_/camvid_full_task.py',
        library='mmseg',
        metric='mIoU',
        options=_base_.finetune_options))
pretrainings = {
    name:
    dict(
        config='configs/mask_jepa_efficientnet-lite0_tiny_camvid.py',
        options=options)
    for name, options in _base_.recipes.items()
}
pretrainings['BYOL'] = dict(
    config=_base_.byol_config,
    library='mmpretrain',
    options={
        'train_dataloader.dataset.data_prefix':
        '{{$MASK_JEPA_DATA:../shared/data}}/camvid_full/img_dir/train'
    })
