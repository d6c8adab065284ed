import socket

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config

from projects.mask_jepa.utils import (leave_process_group,
                                      prepare_cpu_distributed)


@pytest.fixture
def one_rank(monkeypatch):
    """The environment that torchrun gives to the only process of a run."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    for name, value in dict(
            MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK=0,
            WORLD_SIZE=1).items():
        monkeypatch.setenv(name, str(value))
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_without_a_gpu_gloo_runs_and_ddp_gets_no_device(one_rank,
                                                        monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = Config()
    prepare_cpu_distributed(cfg)
    assert dist.get_backend() == 'gloo'
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False)
    prepare_cpu_distributed(cfg)  # A second call finds the group running.


def test_with_a_gpu_nothing_changes(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config()
    prepare_cpu_distributed(cfg)
    assert not dist.is_initialized() and 'model_wrapper_cfg' not in cfg


def test_group_is_left(one_rank):
    leave_process_group()  # There is none.
    dist.init_process_group('gloo')
    leave_process_group()
    assert not dist.is_initialized()
