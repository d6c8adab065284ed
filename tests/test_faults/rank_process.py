"""One of two processes that train together."""
import os

import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask_jepa.utils import (collective_timeout, naming_absent_ranks,
                             prepare_cpu_distributed)


class Tell(Hook):
    """Send a signal to this very process."""

    def __init__(self, number, iteration):
        self.number, self.iteration = number, iteration

    def before_train_iter(self, runner, **kwargs):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)


def be_rank(rank, store, config_file, output, told=None):
    """Train as one of two; `told` is (rank, signal, iteration)."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    config = Config.fromfile(config_file)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{store}',
        rank=rank,
        world_size=2,
        timeout=collective_timeout(config))
    config.launcher = 'pytorch'
    prepare_cpu_distributed(config)
    runner = Runner.from_cfg(config)
    if told and told[0] == rank:
        runner.register_hook(Tell(*told[1:]))
    with naming_absent_ranks():
        runner.train()
