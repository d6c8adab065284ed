import os.path as osp
import re
from glob import escape, glob
from typing import List, NamedTuple, Optional

# The log can be long, and the environment stands at its beginning.
BEGINNING = 200_000  # characters
BLOCK = re.compile(r'^-{20,}\n(System environment:.*?)\n-{20,}$',
                   re.DOTALL | re.MULTILINE)
PROCESSES = re.compile(r'GPU number: (\d+)')


class Environment(NamedTuple):
    """Where a training ran.

    Attributes:
        text (str): As mmengine logged it.
        num_processes (int, optional): Over which the training was spread.
    """

    text: str = ''
    num_processes: Optional[int] = None


def read_environment(sessions: List[str]) -> Environment:
    """Read the environment from the newest text log that names it.

    Args:
        sessions (list[str]): Folders of the sessions, oldest first.

    Returns:
        Environment: Empty where no log names it.
    """
    for session in reversed(sessions):
        for path in sorted(glob(osp.join(escape(session), '*.log'))):
            with open(path, encoding='utf-8', errors='replace') as file:
                block = BLOCK.search(file.read(BEGINNING))
            if block:
                processes = PROCESSES.search(block[1])
                return Environment(block[1],
                                   int(processes[1]) if processes else None)
    return Environment()
