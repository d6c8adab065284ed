import os.path as osp

from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..utils import unwrap
from ..weights import BRANCHES, TARGET_LIBRARIES, export_weights, save_export


@HOOKS.register_module()
class ExportHook(Hook):
    """Hand the weights over to mmdet and mmseg when training ends.

    Writes ``mask_jepa_mmdet.pth`` and ``mask_jepa_mmseg.pth`` into the work
    directory, as ``tools/export_pretrained.py`` would.

    Args:
        branch (str): 'online' or 'target'. Defaults to 'online', whose parts
            were trained together.

    Raises:
        ValueError: If the branch is neither.
    """

    def __init__(self, branch: str = 'online') -> None:
        if branch not in BRANCHES:
            raise ValueError('ExportHook.branch must be one of '
                             f'{", ".join(BRANCHES)}, but is {branch}.')
        self.branch = branch

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Write both files."""
        model = unwrap(runner.model)
        for library in TARGET_LIBRARIES:
            export = export_weights(model.state_dict(), library, self.branch)
            path = osp.join(runner.work_dir, f'mask_jepa_{library}.pth')
            save_export(export, path, library, self.branch,
                        f'{runner.experiment_name}, iteration {runner.iter}')
            runner.logger.info(
                f'Exported {len(export.state_dict)} tensors for {library} to '
                f'{path}.')
