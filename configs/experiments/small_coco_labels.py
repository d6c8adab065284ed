"""Does pretraining help instance segmentation?

On the small COCO set, whose 80 images are too few for 80 classes: people
alone.
"""
_base_ = './_base_/camvid.py'

seeds = [0, 1, 2]
label_fractions = [1 / 8, 1]
compare_with = ['no pretraining']
coco_images = '{{$MASK_JEPA_DATA:../shared/data}}/coco128/train2017'
finetune_iters = 1200
tasks = {
    'COCO person instances':
    dict(
        config='configs/experiments/_base_/coco_person_task.py',
        library='mmdet',
        metric='coarse/segm_mAP',
        scale=100,
        options={
            'train_cfg.max_iters': finetune_iters,
            'train_cfg.val_interval': finetune_iters,
            'default_hooks.checkpoint.interval': finetune_iters,
        }),
}
pretrainings = {
    'Mask-JEPA':
    dict(
        config='configs/mask_jepa_r18_tiny.py',
        options={
            **_base_.pretrain_options,
            'train_dataloader.dataset.data_root': coco_images,
            'train_dataloader.dataset.indices': None,
        }),
}
arms = {
    'no pretraining': dict(),
    'Mask-JEPA': dict(pretraining='Mask-JEPA'),
    'Mask-JEPA, backbone only':
    dict(pretraining='Mask-JEPA', parts=['backbone']),
}
