from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..engine import adapt_older_checkpoint
from ..utils import RunError, require_finite, reraised_as, unwrap

# What a pretraining alone has, and predicts with.
PREDICTORS = ('mask_tokens.', 'query_to_map.', 'reconstruction_head.')


@HOOKS.register_module()
class MatchingCheckpointHook(Hook):
    """Refuse a checkpoint of another network, take one of an older release.

    mmengine loads what fits and only warns of the rest, so that a run could
    start from noise unnoticed. The class predictor may differ, unless the run
    goes on: pretraining has classes of its own, or none. A test needs what
    predicts, too. What a training that goes on needs beside weights is adapted
    by :func:`adapt_older_checkpoint`.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Raise a RunError, before anything is loaded, if names or shapes of
        weights, or of the optimiser of a resumed run, are others, or numbers
        not finite."""
        with reraised_as(RunError, ValueError):
            self._require_match(runner, checkpoint)

    def _require_match(self, runner: Runner, checkpoint: dict) -> None:
        require_finite(checkpoint, runner._load_from or 'The checkpoint')
        model = unwrap(runner.model)
        own = model.state_dict()
        weights = checkpoint.get('state_dict', checkpoint)
        class_parts = tuple(f'panoptic_head.{name}.'
                            for name in model.adapter.class_modules)
        wanted = [
            key for key in own
            if key.startswith(('backbone.', 'neck.', 'panoptic_head.'))
            and not key.startswith(class_parts)
        ]
        parts = 'backbone and head'
        if isinstance(runner._train_loop, (dict, type(None))):
            # A test predicts; a training could learn to.
            wanted += [key for key in own if key.startswith(PREDICTORS)]
            parts = 'the whole model'
        if runner._resume:
            # The optimiser's state is that of all; of the centring, the grid
            # is the checkpoint's.
            wanted = [
                key for key in own if key in wanted or (
                    key in weights and not key.startswith('centering.'))
            ]
            parts = 'the whole model'
        wrong = [
            key for key in wanted
            if key not in weights or own[key].shape != weights[key].shape
        ]
        if wrong:
            raise ValueError(
                f'The checkpoint does not fit the config: {len(wrong)} of '
                f'{len(wanted)} tensors of {parts} are missing or '
                f'have another shape, {wrong[0]} for example. Give a '
                'checkpoint of this network, or the config that the '
                'checkpoint was trained with.')
        if runner._resume:
            adapt_older_checkpoint(checkpoint, model,
                                   runner.optim_wrapper.optimizer)
