import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..utils import unwrap


@HOOKS.register_module()
class RankConsistencyHook(Hook):
    """Check after distributed training that all ranks hold equal weights.

    Buffers are left out: unsynchronised batch statistics differ by nature.
    """

    def after_train(self, runner: Runner) -> None:
        """Compare the parameters bit for bit.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            RuntimeError: If a rank differs from rank 0.
        """
        if get_world_size() == 1:
            return
        model = unwrap(runner.model)
        parameters = torch.cat(
            [parameter.detach().flatten() for parameter in model.parameters()])
        copies = all_gather(parameters)
        differing = [
            rank for rank, copy in enumerate(copies)
            if not torch.equal(copy, copies[0])
        ]
        if differing:
            raise RuntimeError(
                f'The weights of ranks {differing} differ from those of rank '
                '0: some part of the training is not the same on all ranks.')
        runner.logger.info(
            f'All {len(copies)} ranks hold the same {parameters.numel()} '
            'parameters, bit for bit.')
