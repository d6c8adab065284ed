import hashlib
import math
import os
import os.path as osp
from itertools import chain, repeat

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.fileio import put
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..datasets import IMAGE_LIST
from ..utils import ATOMIC_LOCAL, mix_seed, unwrap


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Make a resumed run equal to an uninterrupted one, on a CPU bit for bit.

    mmengine saves no state of the random generators, and resumes by loading
    all earlier batches again. Here every draw is a function of the seed and
    the iteration instead: a :class:`SeekableInfiniteSampler` starts at the
    right sample at once, and torch's global generator (dropout, drop path) is
    seeded anew in each iteration. Mask-JEPA's own noise needs no help
    (:class:`StepRandom`), but that a new run from the weights of another
    draws its own.

    The names of the images are written to ``image_list.txt`` in the work
    directory, from which :func:`resolve_config` lets a resumed run take them,
    and their digest to the checkpoints. If it is another one after a resume,
    a warning says so. A validation that came after the checkpoint is made up
    for. With another batch size or number of processes the data
    go on after those that were seen.
    """

    images_before = images = None  # digests
    seen_before, first_iter = None, 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the own random numbers, unless this run goes on.

        So two runs from the same weights are independent if their seeds are,
        and all checkpoints of a run are tested with the same noise.
        """
        if runner._resume:
            self.images_before = checkpoint['meta'].get('images')
            self.seen_before = checkpoint['meta'].get('images_seen')
            self.first_iter = checkpoint['meta']['iter']
            return
        weights = checkpoint.get('state_dict', checkpoint)
        for name, value in unwrap(runner.model).random.state_dict().items():
            if f'random.{name}' in weights:
                weights[f'random.{name}'] = value.clone()

    def before_train(self, runner: Runner) -> None:
        """Start the data at the iteration that was resumed; a TypeError if
        loop or sampler cannot do that."""
        loop = runner.train_loop
        sampler = loop.dataloader.sampler
        if not (hasattr(sampler, 'seek')
                and hasattr(loop, 'dataloader_iterator')):
            raise TypeError(
                'ExactResumeHook needs train_cfg.type="IterBasedTrainLoop" '
                'and train_dataloader.sampler.type='
                f'"SeekableInfiniteSampler", but found {type(loop).__name__} '
                f'and {type(sampler).__name__}.')
        self._keep_listing(runner)
        if runner.iter == 0:
            return
        seen = self._images_seen(runner, runner.iter)
        # One of its own, or the one that the checkpoint has brought.
        seed = runner.cfg.train_dataloader.sampler.get('seed')
        sampler.seek(
            math.ceil(seen / get_world_size()),
            runner.seed if seed is None else seed)
        if hasattr(loop.dataloader_iterator, 'skip_iter'):
            return  # of onedl-mmengine: the loop asks the sampler
        # The loop will throw away as many batches as it has done iterations.
        iterator = type(loop.dataloader_iterator)(loop.dataloader)
        loop.dataloader_iterator = chain(repeat(None, runner.iter), iterator)

    def _keep_listing(self, runner: Runner) -> None:
        """Write the names of the images; warn if they are not as before."""
        listing = getattr(runner.train_dataloader.dataset, 'listing', None)
        if listing is None:  # another kind of data set
            return
        content = os.fsencode(listing)
        self.images = hashlib.sha256(content).hexdigest()
        if self.images_before not in (None, self.images):
            runner.logger.warning(
                'The images are not those with which this run began, so it '
                'will not end as one without the interruption: its '
                f'{IMAGE_LIST} is not beside the checkpoint.')
        if is_main_process():
            put(content,
                osp.join(runner.work_dir, IMAGE_LIST),
                backend_args=dict(backend=ATOMIC_LOCAL))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the digest of the images, how their values were scaled, and how
        many were drawn."""
        dataset = runner.train_dataloader.dataset
        checkpoint['meta']['images'] = self.images
        checkpoint['meta']['value_range'] = getattr(dataset, 'value_range',
                                                    None)
        checkpoint['meta']['images_seen'] = self._images_seen(
            runner, checkpoint['meta']['iter'])

    def _images_seen(self, runner: Runner, iterations: int) -> int:
        """Count the images that all processes have drawn by an iteration."""
        batch = (
            runner.train_dataloader.batch_sampler.batch_size *
            get_world_size())
        if self.seen_before is None:  # or of release 0.1.0
            return iterations * batch
        return self.seen_before + (iterations - self.first_iter) * batch

    def before_train_epoch(self, runner: Runner) -> None:
        """Validate what was resumed, if a validation comes after its
        iteration: a checkpoint is written before, and knows nothing of it."""
        loop = runner.train_loop
        if not runner.iter or runner.val_loop is None:
            return
        loop._decide_current_val_interval()
        if runner.iter >= loop.val_begin and (
                runner.iter % loop.val_interval == 0
                or runner.iter == runner.max_iters):
            runner.val_loop.run()

    def before_train_iter(self, runner: Runner, **kwargs) -> None:
        """Seed dropout and its like for this iteration."""
        torch.manual_seed(mix_seed(runner.seed, get_rank(), runner.iter))
