"""All of CamVid's training images, from an ImageNet backbone, at CPU size."""
_base_ = './mask_jepa_efficientnet-lite0_tiny_nuclei.py'
camvid = '{{$MASK_JEPA_DATA:../shared/data}}/camvid_full/img_dir'
train_dataloader = dict(dataset=dict(data_root=f'{camvid}/train'))
test_dataloader = dict(dataset=dict(data_root=f'{camvid}/val'))
