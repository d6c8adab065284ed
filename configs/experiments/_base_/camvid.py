"""What the experiments on CamVid share: images, length, task.

In-domain images only, none of which is in the test set, and no pretrained
weights from anywhere.
"""
_base_ = './camvid_split.py'
camvid_images = '{{$MASK_JEPA_DATA:../shared/data}}/camvid/img_dir/train'
# 8 images an iteration; BYOL, which needs larger batches, 32.
pretrain_iters = 3750
# Crops that show things as large as fine-tuning does.
crop_size = 96
crop_ratio_range = (0.08, 0.35)
pretrain_options = {
    'train_dataloader.dataset.crop_size': crop_size,
    'train_dataloader.dataset.pipeline.1.crop_ratio_range': crop_ratio_range,
    'train_dataloader.dataset.data_root': camvid_images,
    'train_dataloader.dataset.indices': _base_.pool,
    'train_cfg.max_iters': pretrain_iters,
    'default_hooks.checkpoint.interval': 250,
    'default_hooks.visualization.interval': pretrain_iters,
    # The scores come from fine-tuning.
    'val_dataloader': None,
    'val_evaluator': None,
    'val_cfg': None,
    'default_hooks.checkpoint.save_best': None,
}
byol_options = {
    **{
        f'train_dataloader.dataset.pipeline.1.transforms.{view}.0.{key}': value
        for view in (0, 1)
        for key, value in dict(
            scale=crop_size, crop_ratio_range=crop_ratio_range).items()
    },
    'train_dataloader.dataset.indices': _base_.pool,
    'train_cfg.max_iters': pretrain_iters // 4,
}
finetune_iters = 300
finetune_options = {
    'train_cfg.max_iters': finetune_iters,
    'train_cfg.val_interval': finetune_iters,
    'default_hooks.checkpoint.interval': finetune_iters,
}
camvid_task = dict(
    config='configs/experiments/_base_/camvid_task.py',
    library='mmseg',
    metric='mIoU',
    options=finetune_options)
