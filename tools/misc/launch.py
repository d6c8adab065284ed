"""torchrun, with the exit status of the run instead of 1.

That is the status of the process that failed first, and 128 and the number of
the signal where the run was told to stop (docs/reliability.md).
"""
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

try:
    main()
except SignalException as error:  # It was passed on to all processes.
    sys.exit(128 + error.sigval)
except ChildFailedError as error:
    rank, failure = error.get_first_failure()
    status = failure.exitcode
    if status < 0:  # by a signal; as shells say it
        status = 128 - status
    print(f'Rank {rank} ended first, with status {status}.', file=sys.stderr)
    sys.exit(status)
