from functools import partial

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

from ..utils import RunError, unwrap


@HOOKS.register_module()
class UnusedParameterHook(Hook):
    """Name the parameters that get no gradient in the first iteration.

    They would never be trained. In several processes torch would wait for
    their gradients, and stop the second iteration without their names.
    """

    def before_train(self, runner: Runner) -> None:
        """Wait for each gradient."""
        self._unused = {}
        for name, parameter in unwrap(runner.model).named_parameters():
            if parameter.requires_grad:
                arrive = partial(self._note, name)
                self._unused[name] = (
                    parameter.register_post_accumulate_grad_hook(arrive))

    def _note(self, name: str, *_) -> None:
        self._unused.pop(name).remove()

    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Raise a RunError, before anything is saved, if some did not come
        and torch would stop; warn of them elsewhere."""
        if not self._unused:
            return
        names = list(self._unused)
        for name in names:
            self._note(name)
        message = (
            f'{len(names)} parameters get no gradient, so that nothing would '
            f'train them: {", ".join(names[:5])}'
            f'{" and others" if names[5:] else ""}.')
        if (isinstance(runner.model, DistributedDataParallel)
                and not runner.model.find_unused_parameters):
            raise RunError(
                f'{message[:-1]}; give the transformer decoder a layer for '
                'each level of the memory, freeze them, or set '
                'find_unused_parameters=True.')
        runner.logger.warning(message)
