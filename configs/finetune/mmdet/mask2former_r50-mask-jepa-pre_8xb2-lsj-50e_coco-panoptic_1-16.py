"""COCO panoptic Mask2Former with ResNet-50 from Mask-JEPA, 1/16 of the labels.

They are chosen by
python tools/dataset_converters/make_subset.py \\
    data/coco/annotations/panoptic_train2017.json
which writes 1/2, 1/4 and 1/8 as well. A quarter of the stock length.
"""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-lsj-50e_coco-panoptic.py'
train_dataloader = dict(
    dataset=dict(ann_file='annotations/panoptic_train2017_1-16.json'))
param_scheduler = dict(
    _delete_=True,
    type='MultiStepLR',
    begin=0,
    by_epoch=False,
    milestones=[81945, 88773],
    gamma=0.1)
train_cfg = dict(max_iters=92188, dynamic_intervals=None)
