"""The backbone for timm and torchvision, against their own models."""
import pytest
import torch
import torchvision

from projects.mask_jepa.export.frameworks import write_timm, write_torchvision

TIMM = {'r50': 'resnet50', 'swin-t': 'swin_tiny_patch4_window7_224',
        'convnext-t': 'convnext_tiny'}
TORCHVISION = {'r50': 'resnet50', 'swin-t': 'swin_t',
               'convnext-t': 'convnext_tiny'}


@pytest.fixture
def image():
    # Larger than what is common: on maps of a single window the others do
    # not shift it, and mmdet does.
    return torch.randn(1, 3, 448, 448,
                       generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def our_last_map(model, name, image):
    """What comes before the norm of the last map."""
    if name == 'r50':
        return model.backbone(image)[-1]
    norm = torch.nn.Identity()
    model.backbone.norm3, kept = norm, model.backbone.norm3
    last = model.backbone(image)[-1]
    model.backbone.norm3 = kept
    return last


def check(theirs, ours):
    if theirs.shape != ours.shape:
        theirs = theirs.permute(0, 3, 1, 2)  # Channels come last.
    assert ours.std() > 0.05
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', TIMM)
def test_timm(build, run_apart, tmp_path, image, name):
    config, model, weights = build(f'mask_jepa_{name}_coco')
    path = str(tmp_path / 'timm.pth')
    write_timm(weights, config, path)
    result = run_apart('run_timm.py',
                       dict(name=TIMM[name], path=path, image=image))
    assert not result['unexpected']
    # The norm before the classifier is the classifier's.
    assert all(key.startswith(('norm.', 'head.norm.'))
               for key in result['missing'])
    check(result['last'], our_last_map(model, name, image))


@pytest.mark.parametrize('name', TORCHVISION)
@torch.no_grad()
def test_torchvision(build, tmp_path, image, name):
    config, model, weights = build(f'mask_jepa_{name}_coco')
    path = str(tmp_path / 'torchvision.pth')
    write_torchvision(weights, config, path)
    theirs = getattr(torchvision.models, TORCHVISION[name])().eval()
    missing, unexpected = theirs.load_state_dict(
        torch.load(path, weights_only=True), strict=False)
    assert not unexpected
    assert all(key.startswith(('fc.', 'head.', 'norm.', 'classifier.'))
               or 'relative_position_index' in key for key in missing)
    if name == 'r50':
        layers = list(theirs.children())[:-2]
        last = torch.nn.Sequential(*layers)(image)
    else:
        last = theirs.features(image)
    check(last, our_last_map(model, name, image))


@pytest.mark.parametrize('write', [write_timm, write_torchvision])
def test_other_backbones_are_refused(build, tmp_path, write):
    config, _, weights = build('mask_jepa_r50_coco')
    config.backbone.type = 'mmdet.RegNet'
    with pytest.raises(ValueError, match='RegNet cannot'):
        write(weights, config, str(tmp_path / 'x.pth'))
    assert not list(tmp_path.iterdir())
