"""The same with no pretraining at all; nothing else differs."""
_base_ = './mask2former_swin-t-mask-jepa-pre_8xb2-lsj-50e_coco-panoptic.py'
model = dict(init_cfg=None)
