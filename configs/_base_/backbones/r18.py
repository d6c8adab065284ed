"""ResNet-18: batch norm frozen at ImageNet's, as in the stock ResNet-50."""
r18 = dict(
    model=dict(
        backbone=dict(
            depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
        panoptic_head=dict(in_channels=[64, 128, 256, 512])))
