from statistics import median
from typing import List, NamedTuple, Optional

from .missing import MISSING
from .run_records import RunRecords
from .scalars import finite_values


class Fact(NamedTuple):
    """A number with what it means.

    Attributes:
        label (str): What it is.
        value (str): With its unit.
        note (str): One sentence.
    """

    label: str
    value: str
    note: str


def throughput_facts(run: RunRecords) -> List[Fact]:
    """Sum up speed and memory.

    Args:
        run (RunRecords): The run.

    Returns:
        list[Fact]: What is known, empty if no iteration was timed.
    """
    times = finite_values(run.training, 'time')
    if not times:
        return []
    seconds = median(times.values())
    waiting = finite_values(run.training, 'data_time')
    # Medians, since a line after a probe or a picture counts it as waiting.
    share = median(waiting.values() or [0]) / max(seconds, 1e-12)
    facts = [
        Fact('Seconds per iteration', f'{seconds:.3g}',
             'Median of the log, data loading included.'),
        images_per_second(run, seconds),
        Fact('Waiting for data', f'{share:.0%}', 'Share of an iteration.')
        if waiting else None,
        monitoring_share(run),
        memory(run, 'memory', 'GPU memory', 'Highest, of all tensors.'),
        memory(run, 'peak_host_memory', 'Host memory',
               'Highest, of the training process.')
    ]
    return [fact for fact in facts if fact]


def images_per_second(run: RunRecords, seconds: float) -> Fact:
    """Work out the images per second.

    Args:
        run (RunRecords): The run.
        seconds (float): Per iteration.

    Returns:
        Fact: Of all processes together.
    """
    label, batch = 'Images per second', run.config.batch_size
    if not batch or not seconds:
        return Fact(label, 'unknown',
                    'The config has no train_dataloader.batch_size.')
    processes = run.environment.num_processes or 1
    return Fact(label, f'{batch * processes / seconds:.3g}',
                f'Batch size {batch}, number of processes {processes}.')


def monitoring_share(run: RunRecords) -> Fact:
    """Look up what watching the run costs.

    Args:
        run (RunRecords): The run.

    Returns:
        Fact: Of the newest session.
    """
    label = 'Spent on monitoring'
    shares = finite_values(run.training, 'monitoring_share')
    if not shares:
        return Fact(label, 'unknown', MISSING['monitoring'])
    return Fact(label, f'{shares[max(shares)]:.1%}',
                'Share of the wall time: probe, health checks, pictures.')


def memory(run: RunRecords, key: str, label: str,
           note: str) -> Optional[Fact]:
    """Look up the highest memory.

    Args:
        run (RunRecords): The run.
        key (str): Of a training value, in MB.
        label (str): What it is.
        note (str): One sentence.

    Returns:
        Fact, optional: None if it was not measured; mmengine logs 0 on a
        CPU.
    """
    peak = max(finite_values(run.training, key).values(), default=0)
    return Fact(label, f'{peak / 1024:.2f} GB', note) if peak else None
