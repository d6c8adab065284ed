import torch
import torch.distributed as dist
from mmengine.config import Config


def prepare_cpu_distributed(cfg: Config) -> None:
    """Let mmengine's Runner train in several processes without a GPU.

    mmengine 0.10 sets a CUDA device before it starts the process group, and
    gives DistributedDataParallel a device id; both fail without a GPU. So the
    process group is started here, with gloo, which the Runner then keeps, and
    the model is wrapped without device id, but else as the Runner does.

    Args:
        cfg (Config): The config of the run; changed in place.
    """
    if torch.cuda.is_available():
        return
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False)


def leave_process_group() -> None:
    """Let all processes of a run end together.

    One that ends while another still talks to it may abort, and torchrun
    then reports the whole run as failed.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
