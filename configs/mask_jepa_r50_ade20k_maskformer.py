"""Mask-JEPA of a MaskFormer with ResNet-50, on the images of ADE20K.

The head is mmseg's, with the plain pixel decoder.
"""
from mmengine import Config

_base_ = './mask_jepa_r50_ade20k.py'
stock = Config.fromstring(
    "_base_ = 'mmseg::maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512"
    ".py'", '.py').model
model = dict(
    panoptic_head=dict(
        stock.decode_head, _delete_=True, type='mmseg.MaskFormerHead'))
del Config, stock
