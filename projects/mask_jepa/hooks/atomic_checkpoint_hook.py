import os
import os.path as osp
import shutil
from typing import Optional, Tuple

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..utils import (ATOMIC_LOCAL, RunError, find_checkpoints,
                     find_spoilt_part, left_out_of_log, remove_pieces,
                     require_whole, unwrap)
from ..version import __version__


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Never leave less than one whole checkpoint behind.

    mmengine's hook, whose arguments it takes, removes the oldest checkpoint
    before it writes the new one, and writes both the checkpoint and
    ``last_checkpoint`` in place, so that a crash can leave a torn file or
    none. Here the new checkpoint appears whole, then ``last_checkpoint``
    points to it, then the oldest one goes; the best checkpoint likewise. One
    that is not finite is never written. A run that goes on from an earlier
    checkpoint than its newest keeps those that come after under another name,
    or it would go on from them the next time; nothing removes these.

    Args:
        backend_args (dict, optional): None writes local files atomically; a
            remote storage has its own guarantees. Defaults to None.
    """

    def __init__(self,
                 *args,
                 backend_args: Optional[dict] = None,
                 **kwargs) -> None:
        backend_args = backend_args or dict(backend=ATOMIC_LOCAL)
        super().__init__(*args, backend_args=backend_args, **kwargs)

    def before_train(self, runner: Runner) -> None:
        """Raise a ValueError if a checkpoint falls between two steps of the
        optimiser, since a resume would lose accumulated gradients, or if there
        is no room for two; remove what a kill has left of one."""
        # mmengine warns of what itself still uses.
        with left_out_of_log('"FileClient" will', '"HardDiskBackend" is'):
            super().before_train(runner)
        # Of a resumed run, so that a new best score is saved in it, too.
        self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        accumulated = runner.optim_wrapper._accumulative_counts
        intervals = {'default_hooks.checkpoint.interval': self.interval}
        if self.save_best and runner.val_loop is not None:
            # A new best one is saved as an ordinary checkpoint as well.
            intervals['train_cfg.val_interval'] = (
                runner.train_loop.val_interval)
        for key, interval in intervals.items():
            if interval > 0 and interval % accumulated:
                raise ValueError(
                    f'{key}={interval} must be a multiple of optim_wrapper.'
                    f'accumulative_counts={accumulated}: a checkpoint holds '
                    'no accumulated gradients, so a resume would lose them.')
        if self.backend_args == dict(backend=ATOMIC_LOCAL):
            if is_main_process():
                remove_pieces(self.out_dir)
            self._require_room(runner)
            if is_main_process() and runner._resume:
                set_newer_aside(runner)

    def _require_room(self, runner: Runner) -> None:
        """Raise a RunError where two checkpoints find no room: the old one
        goes after the new one is there."""
        model = unwrap(runner.model)
        trained = [each for each in model.parameters() if each.requires_grad]
        # Adam keeps two means of each trained number.
        size = sum(tensor.numel() * tensor.element_size()
                   for tensor in (*model.state_dict().values(), *trained,
                                  *trained))
        os.makedirs(self.out_dir, exist_ok=True)
        free = shutil.disk_usage(self.out_dir).free
        if free < 2 * size:
            raise RunError(
                f'{self.out_dir} has room for {free / 1e6:,.0f} MB, and two '
                f'checkpoints take some {2 * size / 1e6:,.0f} MB: make room, '
                'or give another --work-dir.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the version of this package; raise a RunError rather than keep
        what no run can go on from."""
        checkpoint['meta']['mask_jepa_version'] = __version__
        name = find_spoilt_part(checkpoint)
        if name:
            raise RunError(
                f'Iteration {runner.iter + 1}: {name} is not finite any more, '
                'so no checkpoint is written, and the last one stays. Go on '
                'from it by --resume with a lower '
                'optim_wrapper.optimizer.lr, and with optim_wrapper.clip_grad '
                'as in configs/_base_/pretraining.py.')

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        """Save, point to what was saved, then remove what is outdated."""
        kept, outdated = self._kept_and_outdated(step)
        # A kill before the removals leaves them to the run that goes on.
        runner.message_hub.update_info('keep_ckpt_ids', outdated + kept)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if not is_main_process():
            return
        get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL)).put_text(
            self.last_ckpt, osp.join(runner.work_dir, 'last_checkpoint'))
        for old_step in outdated:
            path = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(old_step))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save a new best checkpoint, then remove the one before it."""
        before = self._exchange_best_paths({})
        super()._save_best_checkpoint(runner, metrics)
        after = {
            key: path
            for key, path in self._exchange_best_paths({}).items() if path
        }
        self._exchange_best_paths({**before, **after})
        if not is_main_process():
            return
        for key, path in before.items():
            if (path and path != after.get(key, path)
                    and self.file_backend.isfile(path)):
                self.file_backend.remove(path)

    def _exchange_best_paths(self, paths: dict) -> dict:
        """Take the best paths, by metric, out; put others in their place.

        The base class, which would remove first, sees only these.
        """
        if not self.save_best:
            return {}
        if len(self.key_indicators) == 1:
            key, = self.key_indicators
            taken = {key: self.best_ckpt_path}
            self.best_ckpt_path = paths.get(key)
            return taken
        taken = dict(self.best_ckpt_path_dict)
        self.best_ckpt_path_dict = {
            key: paths.get(key)
            for key in self.key_indicators
        }
        return taken

    def _kept_and_outdated(self, step: int) -> Tuple[list, list]:
        """Note the new step; tell which steps are kept, and which no more."""
        if self.max_keep_ckpts <= 0:
            return [], []
        steps = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
        kept = steps[-self.max_keep_ckpts:]
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(kept)
        return kept, steps[:-self.max_keep_ckpts]


def set_newer_aside(runner: Runner) -> None:
    """Rename checkpoints of the work directory that come after the present
    iteration, but for damaged ones, from which no run would go on."""
    for path in find_checkpoints(runner.work_dir):
        folder, name = osp.split(path)
        if int(name[len('iter_'):-len('.pth')]) <= runner.iter:
            return
        try:
            require_whole(path)
        except ValueError:
            continue
        aside = osp.join(folder, f'aside_{runner.timestamp}_{name}')
        os.replace(path, aside)
        runner.logger.warning(
            f'This run goes on from iteration {runner.iter:,}: {path}, which '
            f'comes after it, is now {aside}.')
