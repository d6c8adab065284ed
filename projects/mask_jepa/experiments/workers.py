import os
import os.path as osp
import queue
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from statistics import mean
from typing import Dict, List, Optional

from .run_store import Run, RunStore
from .runs import Finetuning

LOG = 'log.txt'


class Workers:
    """A few processes that make runs, each as soon as what it needs is there.

    Args:
        store (RunStore): Where the runs lie.
        jobs (int): Runs at a time, at least 1.
        gpus (list[int], optional): One for each job; None leaves the choice
            to the library.
    """

    def __init__(self,
                 store: RunStore,
                 jobs: int,
                 gpus: Optional[List[int]] = None) -> None:
        self.store = store
        self.jobs = len(gpus) if gpus else jobs
        self.slots: queue.Queue = queue.Queue()
        for slot in gpus or [None] * jobs:
            self.slots.put(slot)

    def make(self, runs: List[Run]) -> None:
        """Make runs, in this order as far as what they need is there.

        Raises:
            RuntimeError: If runs fail; the others in progress are finished
                first, and no new one is started.
        """
        waiting, running, failures = list(runs), {}, []
        clock = Clock(runs, self.jobs)
        with ThreadPoolExecutor(self.jobs) as pool:
            while running or (waiting and not failures):
                while not failures and len(running) < self.jobs:
                    ready = next(filter(self._is_ready, waiting), None)
                    if ready is None:
                        break
                    waiting.remove(ready)
                    running[pool.submit(self._make_one, ready)] = ready
                if not running:
                    raise RuntimeError(f'{waiting[0].title} needs a '
                                       'pretraining that is not to be made.')
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    run = running.pop(future)
                    try:
                        clock.tell(run, future.result())
                    except (RuntimeError, ValueError, OSError) as error:
                        failures.append(str(error))
        if failures:
            raise RuntimeError('\n'.join(failures))

    def _is_ready(self, run: Run) -> bool:
        needed = run.pretraining if isinstance(run, Finetuning) else None
        return needed is None or self.store.result(needed) is not None

    def _make_one(self, run: Run) -> dict:
        slot = self.slots.get()
        try:
            with self.store.lock(run) as lock:
                # By then another command may have made it.
                return self.store.result(run) or self._train(run, slot, lock)
        finally:
            self.slots.put(slot)

    def _train(self, run: Run, slot: Optional[int], lock: int) -> dict:
        command = self.store.prepare(run)
        folder = self.store.folder(run)
        environment = dict(os.environ)
        # Of this process; the stock tools resume their own files.
        environment.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
        threads = max((os.cpu_count() or 1) // self.jobs, 1)
        environment.setdefault('OMP_NUM_THREADS', str(threads))
        if slot is not None:
            environment['CUDA_VISIBLE_DEVICES'] = str(slot)
        begin = time.time()
        with open(osp.join(folder, LOG), 'a') as log:
            code = subprocess.run([sys.executable, *command],
                                  stdout=log,
                                  stderr=subprocess.STDOUT,
                                  env=environment,
                                  pass_fds=[lock]).returncode
        if code:
            raise RuntimeError(f'{run.title} failed; the end of '
                               f'{folder}/{LOG}:\n{_tail(folder)}')
        return self.store.finish(run, time.time() - begin)


class Clock:
    """Tells what has ended, and for about how long the rest will take."""

    def __init__(self, runs: List[Run], jobs: int) -> None:
        self.count = len(runs)
        self.jobs = jobs
        self.left = Counter(type(run) for run in runs)
        self.seconds: Dict[type, List[float]] = defaultdict(list)

    def tell(self, run: Run, result: dict) -> None:
        """Print one line about a run that has ended, with its result."""
        self.left[type(run)] -= 1
        self.seconds[type(run)].append(result['seconds'])
        seconds = sum(self.left[kind] * mean(taken)
                      for kind, taken in self.seconds.items())
        score = ''
        if 'score' in result:
            score = f'{result["metric"]} {result["score"]:.2f}, '
        done = self.count - sum(self.left.values())
        print(
            f'[{done}/{self.count}] {run.title}: '
            f'{score}{result["seconds"] / 60:.1f} min; about '
            f'{seconds / 60 / self.jobs:.0f} min left',
            flush=True)


def _tail(folder: str, lines: int = 20) -> str:
    with open(osp.join(folder, LOG), errors='replace') as log:
        return ''.join(log.readlines()[-lines:])
