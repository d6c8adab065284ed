"""Mask-JEPA of a Mask2Former with ResNet-50, on images of your own, one GPU.

Set train_dataloader.dataset.data_root, here or by --cfg-options. A folder is
searched recursively; a .txt list of paths, or a list of both, serves as well.
"""
_base_ = './mask_jepa_r50_coco.py'

train_dataloader = dict(dataset=dict(data_root='data/my_images/train'))
# Some that are held out, for the pictures; without them, training images.
test_dataloader = dict(dataset=dict(data_root='data/my_images/val'))

# Your images may be darker or flatter than photographs, and noise that fits
# those would hide what is on them; for photographs it comes to much the same.
model = dict(
    noise=dict(per_image=True), photometric_change=dict(per_image=True))

# 8 images an iteration, 8 iterations a step of the optimiser: the recipe's
# batch of 64 on one GPU. On 8 GPUs: accumulative_counts=1.
optim_wrapper = dict(accumulative_counts=8)
# As often as Cityscapes is seen; of more than 5,000 images, as many in all as
# of ADE20K, and of less than 50 as many as of these.
train_cfg = dict(
    _delete_=True,
    type='PassBasedTrainLoop',
    max_passes=800,
    max_images=4000000,
    min_images=40000)
# A checkpoint holds no accumulated gradients.
default_hooks = dict(checkpoint=dict(interval=2000))
