import re
from typing import List, Tuple

from mmengine.logging import print_log
from torch import Tensor, nn
from torch.optim import Optimizer

from .grouped_constructor import MULTIPLIERS

# Values of the console's lines that are means over several iterations.
AVERAGED = re.compile('loss|time|grad_norm')
# Of Adam and its kin, and of SGD.
MOMENTS = ('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'momentum_buffer')


def adapt_older_checkpoint(checkpoint: dict, model: nn.Module,
                           optimizer: Optimizer) -> None:
    """Let a training that release 0.1.0 began go on, in place.

    Its checkpoints have a parameter group for each tensor, in the order of the
    model. The state of each tensor, and the learning rates of optimiser and
    schedulers, come into the groups of ``optimizer``. Values that are no
    longer on the console are dropped, or it would show them for ever. A
    checkpoint of today, or without an optimiser, stays as it is.

    Raises:
        ValueError: If the optimiser's state belongs to other tensors, or to
            groups that cannot become these.
    """
    state = checkpoint.get('optimizer')
    if not state:
        return
    if kinds(state['param_groups']) == kinds(optimizer.param_groups):
        require_fit(state, optimizer)
        return
    saved = saved_by_parameter(state, model)
    state.pop('base_param_settings', None)
    groups, moments, first_positions = [], {}, []
    for group in optimizer.param_groups:
        indices, positions = zip(*(saved[each] for each in group['params']))
        options, *others = (
            options_of(state['param_groups'][position])
            for position in positions)
        if any(other != options for other in others):
            raise ValueError(
                'The checkpoint has several learning rates or weight decays '
                'where this config has one: set optim_wrapper.optimizer and '
                'optim_wrapper.paramwise_cfg as they were.')
        new_indices = range(len(moments), len(moments) + len(indices))
        moments.update((new, state['state'].get(index, {}))
                       for new, index in zip(new_indices, indices))
        name = {key: group[key] for key in ('name', ) if key in group}
        groups.append(dict(options, **name, params=list(new_indices)))
        first_positions.append(positions[0])
    num_saved = len(state['param_groups'])
    state.update(state=moments, param_groups=groups)
    for scheduler in checkpoint.get('param_schedulers', []):
        for key in ('base_values', '_last_value'):
            # mmengine has one more, of the values before the multipliers.
            if len(scheduler[key]) in (num_saved, num_saved + 1):
                scheduler[key] = [
                    scheduler[key][position] for position in first_positions
                ]
    message_hub = checkpoint['message_hub']
    for name in list(message_hub['log_scalars']):
        if name.startswith('train/') and not AVERAGED.search(name):
            del message_hub['log_scalars'][name]
            message_hub['resumed_keys'].pop(name, None)
    print_log(
        'The checkpoint is of release 0.1.0: took over its optimiser, '
        f'{num_saved} group(s) of parameters, into {len(groups)}.',
        logger='current')


def saved_by_parameter(state: dict, model: nn.Module) -> dict:
    """Find the saved state of each parameter, which has no name.

    Saved in the order of the model, each is in a group of its own, or all are
    in one. A parameter gets the indices of its state and of its group.

    Raises:
        ValueError: If the state is not of this model.
    """
    saved = [(index, position)
             for position, group in enumerate(state['param_groups'])
             for index in group['params']]
    parameters = list(model.parameters())
    # One group of all has tensors without gradient as well.
    if len(saved) != len(parameters):
        parameters = [each for each in parameters if each.requires_grad]
    in_order = len(state['param_groups']) in (1, len(saved))
    if not in_order or len(saved) != len(parameters) or not all(
            fits(state['state'].get(index, {}), parameter)
            for parameter, (index, _) in zip(parameters, saved)):
        raise ValueError(
            f'The optimiser of the checkpoint has {len(saved)} tensors in '
            f'{len(state["param_groups"])} group(s), which are not those of '
            'this config: resume with the config of the checkpoint, or start '
            'a new run from its weights with --init.')
    return dict(zip(parameters, saved))


def require_fit(state: dict, optimizer: Optimizer) -> None:
    """Raise a ValueError if moments have another shape than their tensors.

    torch's fused optimisers do not look, and would write elsewhere.
    """
    for group, saved in zip(optimizer.param_groups, state['param_groups']):
        for parameter, index in zip(group['params'], saved['params']):
            if not fits(state['state'].get(index, {}), parameter):
                raise ValueError(
                    'The optimiser of the checkpoint holds moments of '
                    f'another shape than {tuple(parameter.shape)}, which a '
                    'tensor has: resume with the config of the checkpoint, or '
                    'start a new run from its weights with --init.')


def kinds(groups: List[dict]) -> List[Tuple[bool, int]]:
    """Tell groups of today from those of older releases, without names."""
    return [('name' in group, len(group['params'])) for group in groups]


def options_of(group: dict) -> dict:
    """Take what tells groups apart, and no multipliers of that."""
    left_out = ('params', 'name', *MULTIPLIERS)
    return {key: value for key, value in group.items() if key not in left_out}


def fits(moments: dict, parameter: Tensor) -> bool:
    """Tell whether running means of gradients can be of a parameter."""
    return all(moments[key].shape == parameter.shape
               and moments[key].is_floating_point() for key in MOMENTS
               if moments.get(key) is not None)
