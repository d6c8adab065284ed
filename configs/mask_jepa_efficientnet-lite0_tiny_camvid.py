"""All of CamVid's training images, from an ImageNet backbone, at CPU size.

Masks learn what recurs, and single things beside it.
"""
_base_ = './mask_jepa_efficientnet-lite0_tiny_nuclei.py'
camvid = '{{$MASK_JEPA_DATA:../shared/data}}/camvid_full/img_dir'
num_classes = 17  # 16 prototypes, and the things

model = dict(
    panoptic_head=dict(
        num_things_classes=num_classes,
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])),
    prototypes=dict(_delete_=True, loss_weight=0.03),
    pseudo_instances=dict(_delete_=True, num_clusters=[2, 3]))
train_dataloader = dict(dataset=dict(data_root=f'{camvid}/train'))
test_dataloader = dict(dataset=dict(data_root=f'{camvid}/val'))
