"""ResNet-101: batch norm frozen at ImageNet's, as in the stock config."""
r101 = dict(
    model=dict(
        backbone=dict(
            depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))))
