"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of ADE20K."""
_base_ = './mask_jepa_r50_coco.py'

data_root = 'data/ade/ADEChallengeData2016/images'
train_dataloader = dict(dataset=dict(data_root=f'{data_root}/training'))
test_dataloader = dict(dataset=dict(data_root=f'{data_root}/validation'))
# 200 passes over 20,210 images at a batch of 64
train_cfg = dict(max_iters=63200)
