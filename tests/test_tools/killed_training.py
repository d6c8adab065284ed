"""What the processes of test_kill_and_resume.py run; no test itself."""
import os
import time

from mmengine.config import Config
from mmengine.runner import Runner


def train(config_file, work_dir, slow_disk):
    """Train, from the newest checkpoint if there is one."""
    config = Config.fromfile(config_file)
    config.work_dir = work_dir
    config.resume = True
    if slow_disk:
        # So that the parent can strike while a checkpoint is being written.
        flush = os.fsync

        def slow_flush(descriptor):
            time.sleep(0.2)
            flush(descriptor)

        os.fsync = slow_flush
    Runner.from_cfg(config).train()
