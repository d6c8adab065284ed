"""Faults of machines, users and numbers, and what a run makes of them."""
import multiprocessing
import signal

import pytest
from rank_process import be_rank
from warm_python import run_script


@pytest.fixture
def python():
    """Run a Python script of the repository; return its output."""
    return run_script


@pytest.fixture
def two_ranks(tmp_path):
    """Train in two processes; return their exit statuses and outputs."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mask_jepa', 'mmengine.runner'])

    def train(config, **options):
        config_file = tmp_path / 'two_ranks.py'
        config.dump(config_file)
        store = tmp_path / 'store'
        store.unlink(missing_ok=True)
        outputs = [tmp_path / f'output_{rank}.txt' for rank in range(2)]
        processes = [
            context.Process(
                target=be_rank,
                kwargs=dict(
                    rank=rank,
                    store=str(store),
                    config_file=str(config_file),
                    output=str(outputs[rank]),
                    **options)) for rank in range(2)
        ]
        for process in processes:
            process.start()
        processes[0].join()
        if options.get('told', [None, None])[1] == signal.SIGSTOP:
            processes[1].kill()
        processes[1].join()
        return ([process.exitcode for process in processes],
                [output.read_text() for output in outputs])

    return train
