from typing import List

from torch import nn

from ..utils import RunError

KEY = 'optim_wrapper.paramwise_cfg.layer_decay_rate'
PREFIX = 'backbone.'


def decay_by_layer(groups: List[dict], model: nn.Module, rate: float,
                   base_lr: float) -> None:
    """Lower the learning rates of a backbone from its last layer to its stem.

    As mmpretrain's ``LearningRateDecayOptimWrapperConstructor`` does for a
    classifier: what follows the backbone keeps its learning rate, the last
    layer has ``rate`` times that, the one below ``rate ** 2`` times. Other
    multipliers stay.

    Args:
        groups (list[dict]): One for each tensor; their ``lr`` is changed.
        model (nn.Module): With a ``backbone``.
        rate (float): In (0, 1].
        base_lr (float): Of groups without an ``lr``.

    Raises:
        RunError: If the rate lies outside its range, or the backbone does not
            tell how deep its layers are.
    """
    if not 0 < rate <= 1:
        raise RunError(f'{KEY}={rate} must be above 0 and at most 1.')
    try:
        depths = {
            tensor: model.backbone.get_layer_depth(name, PREFIX)
            for name, tensor in model.backbone.named_parameters(PREFIX[:-1])
        }
    # Without the method, or with that of mmpretrain's base class, which has
    # none.
    except (AttributeError, NotImplementedError) as error:
        kind = type(getattr(model, 'backbone', model)).__name__
        raise RunError(
            f'{KEY} needs a backbone that tells how deep its layers are, '
            f'which this {kind} does not: leave it out, or take one of '
            'mmpretrain that does, such as VisionTransformer, or of timm by '
            'FrozenNormTIMMBackbone with feature_cls="getter".') from error
    for group in groups:
        tensor, = group['params']
        if tensor in depths:
            depth, num_layers = depths[tensor]
            below = num_layers - 1 - depth
            group['lr'] = group.get('lr', base_lr) * rate**below
