"""Processes that wait for one that does not come."""
import signal

import pytest

SECONDS = 15  # that they wait, on a busy machine


@pytest.mark.parametrize('number', [signal.SIGSTOP, signal.SIGKILL])
def test_rank_that_does_not_come_is_named(two_ranks, tiny_config, image_folder,
                                          tmp_path, number):
    """One that hangs, or has died."""
    config = tiny_config({
        'work_dir':
        str(tmp_path / 'work'),
        'train_dataloader.dataset.data_root':
        str(image_folder),
        'train_cfg.max_iters':
        6,
        'default_hooks.checkpoint.interval':
        2,
        'env_cfg.dist_cfg.timeout':
        SECONDS
    })
    statuses, outputs = two_ranks(config, told=(1, number, 3))
    assert statuses == [1, -signal.SIGKILL]
    assert ('RunError: Rank(s) 1 ended, or did not come within the seconds of '
            'env_cfg.dist_cfg.timeout, while this one waited') in outputs[0]
    assert (tmp_path / 'work/iter_2.pth').exists()
