import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather, broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..utils import unwrap


@HOOKS.register_module()
class RankConsistencyHook(Hook):
    """Check after distributed training that all ranks hold equal weights.

    So must the statistics that are taken over all ranks. Other buffers are
    left out: unsynchronised batch statistics differ by nature.
    """

    # Parts of the model whose buffers are the same everywhere.
    common = ('centering.', 'prototypes.')

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
