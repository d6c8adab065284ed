import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather, broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..utils import unwrap


@HOOKS.register_module()
class RankConsistencyHook(Hook):
    """Check in distributed training that all ranks hold equal weights.

    So must the statistics that are taken over all ranks; a batch norm that
    would take its own alone is refused at start. A difference is a warning:
    the weights of rank 0 are still saved and exported.

    Args:
        interval (int): Iterations between two checks, beside those after the
            first iteration and at the end. Defaults to 1000.
    """

    # Parts of the model whose buffers are the same everywhere.
    common = ('centering.', 'prototypes.')

    def __init__(self, interval: int = 1000) -> None:
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Raise a ValueError if a batch norm would take the statistics of one
        rank alone: the targets of the ranks would differ."""
        self._first = runner.iter
        if get_world_size() == 1:
            return
        model = unwrap(runner.model)
        model.train()  # batch norm may stay in eval mode
        alone = [
            name for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and module.training
            and not isinstance(module, nn.SyncBatchNorm)
        ]
        if alone:
            raise ValueError(
                f'Batch norm {alone[0]} (of {len(alone)}) would take the '
                'statistics of one process alone: set sync_bn="torch", which '
                'needs GPUs, model.backbone.norm_eval=True, or group norm as '
                'model.backbone.norm_cfg.')

    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Compare early, and at each interval."""
        if runner.iter == self._first or self.every_n_train_iters(
                runner, self.interval):
            self._compare(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        """Compare at the end, and say so."""
        if get_world_size() > 1 and self._compare(runner, runner.iter):
            runner.logger.info(f'All {get_world_size()} ranks hold the same '
                               'weights, bit for bit.')

    def _compare(self, runner: Runner, iteration: int) -> bool:
        """Compare bit for bit with rank 0; warn of the first tensor that
        differs."""
        if get_world_size() == 1:
            return True
        model = unwrap(runner.model)
        values = dict(model.named_parameters())
        values.update((name, value) for name, value in model.named_buffers()
                      if name.startswith(self.common))
        own = torch.cat([each.detach().flatten() for each in values.values()])
        first = own.clone()
        broadcast(first)
        sizes = [each.numel() for each in values.values()]
        # A word on each tensor, not the weights of all ranks on each.
        equal = own.new_tensor([
            torch.equal(*pair)
            for pair in zip(own.split(sizes), first.split(sizes))
        ])
        answers = torch.stack(all_gather(equal))  # ranks, tensors
        ranks, tensors = (answers == 0).nonzero(as_tuple=True)
        if len(ranks):
            runner.logger.warning(
                f'Iteration {iteration}: {len(tensors.unique())} '
                f'tensors of rank(s) {ranks.unique().tolist()} differ from '
                f'those of rank 0, {list(values)[tensors.min()]} first: some '
                'part of the training is not the same on all ranks.')
        return not len(ranks)
