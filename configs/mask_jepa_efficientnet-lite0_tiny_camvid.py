"""All of CamVid's training images, from an ImageNet backbone, at CPU size.

Masks learn what recurs in the stages of the backbone.
"""
_base_ = './mask_jepa_efficientnet-lite0_tiny_nuclei.py'
camvid = '{{$MASK_JEPA_DATA:../shared/data}}/camvid_full/img_dir'
num_prototypes = 32

model = dict(
    panoptic_head=dict(
        num_things_classes=num_prototypes,
        loss_cls=dict(class_weight=[1.0] * num_prototypes + [0.1])),
    # They have learned on ImageNet, and so mean something from the first step
    # on; F_last does not yet. What all streets have at a place, sky above and
    # road below, is part of it.
    target_levels=['c2', 'c3', 'c4'],
    centering=None,
    prototypes=dict(_delete_=True, loss_weight=0.3),
    pseudo_instances=None)
train_dataloader = dict(dataset=dict(data_root=f'{camvid}/train'))
test_dataloader = dict(dataset=dict(data_root=f'{camvid}/val'))
