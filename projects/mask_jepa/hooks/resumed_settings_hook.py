import warnings
from typing import Any, Dict, List

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ..engine import PassBasedTrainLoop
from ..utils import RunError
from ..weights import pretraining_config

# What a training follows from, beside what it was given by --resume.
SECTIONS = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
            'train_cfg', 'auto_scale_lr', 'randomness', 'default_hooks')
LEFT_OUT = ('train_dataloader.dataset.image_list', )
# Of a scheduler: where it is, not what it is.
POSITION = ('last_step', '_global_step', '_last_value')
MISSING = '(none)'


@HOOKS.register_module()
class ResumedSettingsHook(Hook):
    """Let a resumed run follow the settings that it is given now.

    mmengine takes learning rates, weight decay and schedules from the
    checkpoint, and says nothing. Here the schedules go on as if they had been
    the new ones from the start, and one line says what is different. The rest
    follows by itself: length, losses, precision and, with
    :class:`ExactResumeHook`, batch size and number of processes. A run that
    release 0.1.0 began goes on with its schedules.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adapt what mmengine will load, in place; a RunError if nothing is
        left to train, or the length would have no meaning."""
        meta = checkpoint.get('meta', {})
        if not runner._resume or 'processes' not in meta:
            return
        processes = meta['processes']
        before = read_config(checkpoint)
        changes = differences(before, runner.cfg.to_dict()) if before else []
        if processes != get_world_size():
            changes.append(f'processes {processes} -> {get_world_size()}')
        if isinstance(runner.optim_wrapper, OptimWrapper):
            follow(runner, checkpoint)
        if meta['iter'] > runner.max_iters:
            raise RunError(
                f'The checkpoint is of iteration {meta["iter"]:,}, and the '
                f'training has {runner.max_iters:,}: resume from an earlier '
                'one, or set train_cfg.max_iters to more.')
        changed = [change.split()[0] for change in changes]
        if isinstance(runner.train_loop, PassBasedTrainLoop) and {
                'processes', 'train_dataloader.batch_size'
        }.intersection(changed) and not runner.cfg.train_cfg.get('max_iters'):
            raise RunError(
                'The length of this training is counted in passes, and '
                'another batch size or number of processes would change what '
                'an iteration is: keep them, or set train_cfg.max_iters.')
        if changes:
            runner.logger.warning('Resumed with other settings, which count '
                                  f'from now on: {"; ".join(changes)}.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the number of processes."""
        checkpoint['meta']['processes'] = get_world_size()


def read_config(checkpoint: dict) -> dict:
    """Read the config of a checkpoint, running nothing; empty if it cannot
    be."""
    try:
        return pretraining_config(checkpoint).to_dict()
    except ValueError:
        return {}


def differences(before: dict, after: dict) -> List[str]:
    """Say which settings of a training are others, one each."""
    before, after = flatten(before), flatten(after)
    return [
        f'{key} {shown(before.get(key, MISSING))} -> '
        f'{shown(after.get(key, MISSING))}'
        for key in dict.fromkeys([*before, *after])
        if key.startswith(SECTIONS) and key not in LEFT_OUT
        and before.get(key, MISSING) != after.get(key, MISSING)
    ]


def flatten(value: Any, name: str = '') -> Dict[str, Any]:
    """List the values of nested containers, by dotted keys."""
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, (list, tuple)) and value:
        items = enumerate(value)
    else:
        return {name: value}
    return {
        key: leaf
        for part, item in items
        for key, leaf in flatten(item, f'{name}.{part}'.lstrip('.')).items()
    }


def shown(value: Any) -> str:
    """Write a value in a few characters."""
    text = str(value)
    return text if len(text) <= 40 else f'{text[:37]}...'


def follow(runner: Runner, checkpoint: dict) -> None:
    """Put options of the optimiser and schedules of this run into a
    checkpoint."""
    saved = checkpoint.get('optimizer') or {}
    schedulers = runner.param_schedulers or []
    if 'param_groups' not in saved or not isinstance(schedulers, list):
        return  # several optimisers
    before = map(settings, checkpoint.get('param_schedulers') or [])
    after = [settings(each.state_dict()) for each in schedulers]
    is_same = list(before) == after
    if not is_same:
        advance(schedulers, checkpoint['meta']['iter'])
        checkpoint['param_schedulers'] = [
            each.state_dict() for each in schedulers
        ]
    now = runner.optim_wrapper.state_dict()
    for old, new in zip(saved['param_groups'], now['param_groups']):
        scheduled = {'params', 'lr'} if is_same and schedulers else {'params'}
        old.update({
            key: value
            for key, value in new.items() if key not in scheduled
        })
    if not is_same and 'base_param_settings' in now:
        saved['base_param_settings'] = now['base_param_settings']


def settings(state: dict) -> dict:
    """Take what a scheduler is, without where it is."""
    return {key: value for key, value in state.items() if key not in POSITION}


def advance(schedulers: list, iterations: int) -> None:
    """Take new schedulers to an iteration, as a training would."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that nothing is optimised
        for _ in range(iterations):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
