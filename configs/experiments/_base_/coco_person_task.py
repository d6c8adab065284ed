"""People on the small COCO set, scored by how well their masks overlap.

A network of CPU size that learns from tens of images places masks roughly: at
the overlaps of COCO's AP (IoU 0.5 to 0.95) the arm without pretraining scored
0.0 with all labels. So a second AP, of lower overlaps, is logged beside it as
``coarse``.
"""
_base_ = ('../../finetune/mmdet/mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_'
          'small-coco-person.py')

val_evaluator = [
    _base_.val_evaluator,
    dict(
        _base_.val_evaluator,
        prefix='coarse',
        iou_thrs=[0.1, 0.2, 0.3, 0.4, 0.5]),
]
test_evaluator = val_evaluator
