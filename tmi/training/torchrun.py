"""torchrun that distinguishes a training process killed for memory from one that failed.

Run it as `python -m tmi.training.torchrun`.

torchrun ends with status 1 whatever happened to its processes, and the ones that are left over complain of a lost
connection first.
"""

from tmi.errors import killed_process
from tmi.processes import end_with_parent, forget_record, run_task

if __name__ == '__main__':
    end_with_parent()  # before the imports that take seconds

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402
from torch.distributed.run import main as run  # noqa: E402


def main() -> None:
    """Run the processes; one that was killed is the error of all."""
    try:
        run()
    except ChildFailedError as error:
        for rank, failure in error.failures.items():
            killed = killed_process(f'The training process {rank}', failure.exitcode)
            if killed is not None:
                forget_record()
                raise killed from error
        raise


if __name__ == '__main__':
    run_task('training', main)
