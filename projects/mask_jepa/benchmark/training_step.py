import time
from collections import Counter
from typing import Callable, Dict, Iterator, List, Tuple

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import nn

# In the order in which a step comes to them; what lies between the named
# modules is the rest of the forward pass, with the losses.
STAGES = ('preprocessing', 'backbone', 'pixel_decoder', 'decoder_layers',
          'target', 'losses_and_rest', 'backward', 'optimizer',
          'target_update')
MOMENTUM = 0.996  # of the target


class TrainingStep:
    """Training steps of a model as the Runner takes them, always on one batch.

    Args:
        cfg (Config): With ``model``, ``optim_wrapper`` and ``default_scope``.
        batch (dict): What a data loader would give, on the host.
        device (torch.device): Where the model lives.
        clock (Callable): Reads a clock, in seconds. Defaults to
            ``time.perf_counter``.
        compile (bool): Let torch.compile the backbones and the decoder's
            layers. Defaults to False.

    Attributes:
        seconds (list[float]): Of each timed step.
        seconds_of_stages (list[dict[str, float]]): The same by ``STAGES``.
    """

    def __init__(self,
                 cfg: Config,
                 batch: dict,
                 device: torch.device,
                 clock: Callable[[], float] = time.perf_counter,
                 compile: bool = False) -> None:
        self.device = device
        self.batch = batch
        self.clock = clock
        # BYOL anneals its target over the iterations of the loop.
        MessageHub.get_current_instance().update_info('max_iters', 10**6)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(cfg.model)
            model.init_weights()
            self.model = revert_sync_batchnorm(model).to(device).train()
            optim_wrapper = dict(cfg.optim_wrapper)
            scope = optim_wrapper.pop('_scope_', cfg.default_scope)
        with DefaultScope.overwrite_default_scope(scope):
            self.optim_wrapper = build_optim_wrapper(self.model, optim_wrapper)
        self.seconds: List[float] = []
        self.seconds_of_stages: List[Dict[str, float]] = []
        self._spent = None
        for stage, module in _stages_of(self.model):
            if compile and stage in ('backbone', 'decoder_layers'):
                module.forward = torch.compile(module.forward)
            module.register_forward_pre_hook(
                lambda *_: self._end('losses_and_rest'))
            module.register_forward_hook(
                lambda *_, stage=stage: self._end(stage))
        if compile and hasattr(self.model, 'target'):
            backbone = self.model.target.backbone
            backbone.forward = torch.compile(backbone.forward)

    def preprocess(self) -> dict:
        """Normalise the batch, on the device."""
        return self.model.data_preprocessor(self.batch, training=True)

    def forward(self, data: dict) -> torch.Tensor:
        """From the images to the sum of the losses."""
        with self.optim_wrapper.optim_context(self.model):
            losses = self.model(**data, mode='loss')
        return self.model.parse_losses(losses)[0]

    def take(self) -> None:
        """Take a step; on a GPU without waiting for it."""
        data = self.preprocess()
        self._end('preprocessing')
        loss = self.optim_wrapper.scale_loss(self.forward(data))
        self._end('losses_and_rest')
        self.optim_wrapper.backward(loss)
        self._end('backward')
        self.optim_wrapper.step()
        self.optim_wrapper.zero_grad()
        self._end('optimizer')
        if hasattr(self.model, 'update_target'):
            self.model.update_target(MOMENTUM)
        self._end('target_update')

    def time(self) -> None:
        """Take a step and note its seconds, and those of each stage.

        On a GPU it takes two: at the end of each stage somebody has to wait
        for it, which makes the whole step longer.
        """
        if self.device.type == 'cuda':
            self.seconds.append(self.seconds_of(self.take))
        self._spent = Counter(dict.fromkeys(STAGES, 0.0))
        self._last = self.now()
        self.take()
        self.seconds_of_stages.append(dict(self._spent))
        self._spent = None
        if self.device.type != 'cuda':
            self.seconds.append(sum(self.seconds_of_stages[-1].values()))

    def time_in_a_row(self, number: int) -> float:
        """Take steps between which nobody waits for the GPU, as in a training;
        the seconds of one."""

        def several() -> None:
            for _ in range(number):
                self.take()

        return self.seconds_of(several) / number

    def seconds_of(self, function: Callable[[], object]) -> float:
        """Time a function."""
        begin = self.now()
        function()
        return self.now() - begin

    def now(self) -> float:
        """Read the clock when the device has finished."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return self.clock()

    def _end(self, stage: str) -> None:
        if self._spent is not None:
            now = self.now()
            self._spent[stage] += now - self._last
            self._last = now


def _stages_of(model: nn.Module) -> Iterator[Tuple[str, nn.Module]]:
    yield 'backbone', model.backbone
    for name in ('target', 'target_net'):
        if hasattr(model, name):
            yield 'target', getattr(model, name)
    head = getattr(model, 'panoptic_head', None)
    if head is not None:
        yield 'pixel_decoder', head.pixel_decoder
        for layer in head.transformer_decoder.layers:
            yield 'decoder_layers', layer
