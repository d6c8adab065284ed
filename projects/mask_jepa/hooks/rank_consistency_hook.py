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
    """Check after distributed training that all ranks hold equal weights.

    So must the statistics that are taken over all ranks; a batch norm that
    would take its own alone is refused at start.
    """

    # Parts of the model whose buffers are the same everywhere.
    common = ('centering.', 'prototypes.')

    def before_train(self, runner: Runner) -> None:
        """Raise a ValueError if a batch norm would take the statistics of one
        rank alone: the targets of the ranks would differ."""
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

    def after_train(self, runner: Runner) -> None:
        """Compare bit for bit; a RuntimeError if a rank differs from rank
        0."""
        if get_world_size() == 1:
            return
        model = unwrap(runner.model)
        common = [
            value for name, value in model.named_buffers()
            if name.startswith(self.common)
        ]
        own = torch.cat([
            value.detach().flatten()
            for value in (*model.parameters(), *common)
        ])
        first = own.clone()
        broadcast(first)
        # A word from each rank, not the weights of all on each.
        answers = all_gather(own.new_tensor(float(torch.equal(own, first))))
        differing = [
            rank for rank, is_equal in enumerate(answers) if not is_equal
        ]
        if differing:
            raise RuntimeError(
                f'The weights of ranks {differing} differ from those of rank '
                '0: some part of the training is not the same on all ranks.')
        runner.logger.info(
            f'All {len(answers)} ranks hold the same {own.numel()} numbers, '
            'bit for bit.')
