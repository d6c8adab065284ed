"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of Cityscapes."""
_base_ = './mask_jepa_r50_coco.py'

data_root = 'data/cityscapes/leftImg8bit'
# Crops of a 2048x1024 image that show things as large as fine-tuning does.
train_pipeline = list(_base_.train_pipeline)
train_pipeline[1] = dict(train_pipeline[1], crop_ratio_range=(0.05, 0.5))
train_dataloader = dict(
    dataset=dict(data_root=f'{data_root}/train', pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(data_root=f'{data_root}/val'))
train_cfg = dict(max_iters=37200)  # 800 passes over 2,975 at a batch of 64
