"""Mask-JEPA as the paper has it, without what we add, on the images of COCO.

The paper: Gaussian noise on the input, masked memory, random queries, the
target's features predicted by the decoder, the image by F_last. What it leaves
open keeps our values, as marked in mask_jepa_r50_coco.py: shares and grids of
noise and masking, kind and weight of the losses, EMA, optimiser, length.
"""
_base_ = './mask_jepa_r50_coco.py'

model = dict(
    # The whole input is equally noisy, and F_last sees what is hidden.
    noise=dict(masked_gamma=_base_.model.noise.gamma),
    photometric_change=None,
    loss_regularizer=None,
    centering=None,
    prototypes=None)
default_hooks = dict(query_noise=dict(schedule='constant'))
