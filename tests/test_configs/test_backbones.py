"""Every backbone of the configs can learn, and as its family is trained."""
import pytest
import torch
from config_files import (FULL_SIZE, PRETRAINING, TWINS, load, name,
                          parse_finetuning)
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

# The data set does not matter: one config for each library and backbone, with
# no initial weights: a twin, or a line of --cfg-options.
SCRATCH = {
    parse_finetuning(path)[:2]: path
    for path in FULL_SIZE + [
        path for path in TWINS if path.stem.endswith('_scratch')]
}.values()
FULL_PRETRAINING = [path for path in PRETRAINING if 'tiny' not in path.stem]
NORMS = (nn.LayerNorm, nn.GroupNorm)


def build_backbone(config):
    init_default_scope(config.default_scope)
    backbone = config.model.backbone
    if backbone.get('norm_cfg', {}).get('type') == 'SyncBN':
        backbone.norm_cfg.type = 'BN'  # The other needs a GPU.
    return MODELS.build(backbone)


@pytest.mark.parametrize('path', SCRATCH, ids=name)
def test_all_of_a_random_backbone_learns(path):
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    backbone = build_backbone(load(path))
    before = {key: value.clone()
              for key, value in backbone.named_parameters()}
    backbone.init_weights()
    weights = dict(backbone.named_parameters())
    changed = [key for key in weights
               if not torch.equal(weights[key], before[key])]
    # The family's own initialisation, and not what torch's layers have; timm's
    # begin with theirs.
    assert type(backbone).__name__ == 'TIMMBackbone' or len(changed) > len(
        [key for key in weights if weights[key].ndim > 1]) / 2
    backbone.train()
    optimizer = torch.optim.SGD(weights.values(), lr=1e-2)
    image = torch.randn(2, 3, 64, 64)
    # A residual branch may begin at zero, but not stay there.
    for _ in range(2):
        optimizer.zero_grad()
        sum(output.square().mean() for output in backbone(image)).backward()
        optimizer.step()
    dead = [key for key, value in weights.items()
            if value.requires_grad and not value.grad.any()]
    assert not dead


@pytest.mark.parametrize(
    'path', FULL_PRETRAINING + [
        path for path in FULL_SIZE if parse_finetuning(path)[1] != 'r50'
    ], ids=name)
def test_norms_do_not_decay(path):
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    config = load(path)
    paramwise = config.optim_wrapper.paramwise_cfg
    assert paramwise.norm_decay_mult == 0
    network = nn.Module()
    config.model.backbone.init_cfg = None
    network.backbone = build_backbone(config)
    options = dict(config.optim_wrapper)
    options.pop('type')
    options.pop('constructor', None)
    wrapper = DefaultOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=options['optimizer']),
        paramwise)(network)
    decays = {id(group['params'][0]): group['weight_decay']
              for group in wrapper.optimizer.param_groups}
    for module in network.modules():
        if isinstance(module, NORMS):
            for value in module.parameters(recurse=False):
                assert decays[id(value)] == 0
    assert any(decays.values())


@pytest.mark.parametrize('path', [
    path for path in FULL_PRETRAINING
    if 'TIMM' in load(path).model.backbone.type], ids=name)
def test_backbone_of_timm_trains_a_step(tiny_config, images, path):
    """With random weights and a small head; the stem learns slowest."""
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    config = load(path)
    small = tiny_config({
        'model.backbone': dict(
            config.model.backbone, init_cfg=None, _delete_=True),
        'model.neck': config.model.get('neck'),
        'model.panoptic_head.in_channels':
        config.model.panoptic_head.in_channels,
        'optim_wrapper.paramwise_cfg': dict(
            config.optim_wrapper.paramwise_cfg, _delete_=True)})
    network = MODELS.build(small.model)
    network.init_weights()
    before = {key: value.clone()
              for key, value in network.named_parameters()}
    wrapper = build_optim_wrapper(network, small.optim_wrapper.to_dict())
    wrapper.update_params(
        network.parse_losses(network(images, mode='loss'))[0])
    assert not [key for key, value in network.named_parameters()
                if key.startswith(('backbone.', 'neck.'))
                and torch.equal(value, before[key])]
    rates = {value: group['lr'] for group in wrapper.optimizer.param_groups
             for value in group['params']}
    stem = next(value for key, value in network.named_parameters()
                if key.endswith(('stem.0.weight', 'patch_embed.proj.weight')))
    assert rates[stem] == min(rates.values()) < 0.03 * max(rates.values())
