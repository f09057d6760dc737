"""torchrun that distinguishes a training process that a signal ended from one that failed.

Run it as `python -m tmi.training.torchrun`.

torchrun ends with status 1 whatever happened to its processes, and the ones that are left over complain of a lost
connection first.
"""

import os
import signal
import sys

from tmi.errors import GpuError, StoppedError, UnknownError, killed_process
from tmi.processes import ERROR_FILE_VARIABLE, end_with_parent, forget_record, read_record, run_task
from tmi.training.watch import FOLDER_VARIABLE, rank_place

if __name__ == '__main__':
    end_with_parent()  # before the imports that take seconds

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402
from torch.distributed.run import main as run  # noqa: E402

# What a process that has lost another one says; other records are causes.
CONSEQUENCES = (UnknownError, GpuError)


def main() -> None:
    """Run the processes; one that a signal ended is the error of all, unless another has recorded a cause."""
    try:
        run()
    except ChildFailedError as error:
        record = read_record(os.environ.get(ERROR_FILE_VARIABLE, ''))
        cause = record.to_error() if record is not None else None
        if isinstance(cause, StoppedError):
            sys.exit(1)
        if cause is not None and type(cause) not in CONSEQUENCES:
            raise
        # A process that aborts (SIGABRT) may do so because another is gone.
        ended = sorted(error.failures.items(), key=lambda item: item[1].exitcode == -signal.SIGABRT)
        for rank, failure in ended:
            place = rank_place(os.environ.get(FOLDER_VARIABLE, ''), rank)
            killed = killed_process(f'The training process {rank}{place}', failure.exitcode)
            if killed is not None:
                forget_record()
                raise killed from error
        raise


if __name__ == '__main__':
    run_task('training', main)
