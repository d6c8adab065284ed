from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Iterator, List

import torch
import torch.distributed as dist
from mmengine.config import Config

from .errors import RunError

PATIENCE = 2  # seconds, with ranks that all waited for the same one


def collective_timeout(cfg: Config) -> timedelta:
    """Read how long processes wait for each other, mmengine's key, of which
    ``env_cfg.dist_cfg.timeout`` says the seconds."""
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    return timedelta(seconds=dist_cfg.get('timeout') or 600)


def prepare_cpu_distributed(cfg: Config) -> None:
    """Let mmengine's Runner train in several processes without a GPU.

    mmengine 0.10 sets a CUDA device before it starts the process group, and
    gives DistributedDataParallel a device id; both fail without a GPU. So the
    process group is started here, with gloo, which the Runner then keeps, and
    its config is changed in place to wrap the model without device id.
    """
    if torch.cuda.is_available():
        return
    if not dist.is_initialized():
        dist.init_process_group('gloo', timeout=collective_timeout(cfg))
    if cfg.get('model_wrapper_cfg') is None:
        # As the Runner wraps a model.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', broadcast_buffers=False)
    cfg.model_wrapper_cfg.device_ids = None


def leave_process_group() -> None:
    """Let all processes of a run end together.

    One that ends while another still talks to it may abort, and torchrun
    then reports the whole run as failed.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


@contextmanager
def naming_absent_ranks() -> Iterator[None]:
    """Let a collective that fails in a block say which ranks did not come.

    That is what gloo tells; NCCL ends the process.

    Raises:
        RunError: If they did not come for this question either.
    """
    try:
        yield
    except RuntimeError as error:
        if 'gloo' not in str(error):
            raise
        absent = absent_ranks()
        if not absent:
            raise
        raise RunError(
            f'Rank(s) {", ".join(map(str, absent))} ended, or did not come '
            'within the seconds of env_cfg.dist_cfg.timeout, while this one '
            'waited: see what they say, and go on by --resume.') from error


def absent_ranks() -> List[int]:
    """Ask for the ranks that are still there, by their common store."""
    store = dist.distributed_c10d._get_default_store()
    present = [f'present/{rank}' for rank in range(dist.get_world_size())]
    store.set(present[dist.get_rank()], '')
    with suppress(RuntimeError):  # that they did not come in time
        store.wait(present, timedelta(seconds=PATIENCE))
    return [rank for rank, key in enumerate(present) if not store.check([key])]
