"""The same with no pretraining at all; nothing else differs."""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-512x512_1-16.py'
model = dict(init_cfg=None)
