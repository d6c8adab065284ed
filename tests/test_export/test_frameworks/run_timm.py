"""Load an exported backbone with timm; return what comes before its last
norm."""
import sys

import timm
import torch

content = torch.load(sys.argv[1])
size = (
    dict(img_size=content['image'].shape[-1])
    if 'swin' in content['name'] else {})
model = timm.create_model(content['name'], num_classes=0, **size).eval()
missing, unexpected = model.load_state_dict(
    torch.load(content['path'], weights_only=True), strict=False)
last = {'resnet50': 'layer4', 'swin_tiny_patch4_window7_224': 'layers',
        'convnext_tiny': 'stages'}[content['name']]
maps = {}
getattr(model, last).register_forward_hook(
    lambda module, inputs, output: maps.update(last=output))
with torch.no_grad():
    model(content['image'])
torch.save(dict(last=maps['last'], missing=missing, unexpected=unexpected),
           sys.argv[2])
