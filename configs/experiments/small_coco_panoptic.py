"""Does pretraining help panoptic segmentation?

On the small COCO set, with panopticapi. Of its 133 classes most are on one or
two of the 80 images, so expect a panoptic quality near zero.
"""
_base_ = './small_coco_labels.py'

tasks = {
    '_delete_':
    True,
    'COCO panoptic':
    dict(
        config='configs/finetune/mmdet/mask2former_r18-tiny-mask-jepa-pre_'
        '1xb4-160i_small-coco-panoptic.py',
        library='mmdet',
        metric='coco_panoptic/PQ',
        options=_base_.tasks['COCO person instances'].options),
}
