"""A training process (`tmi.training.process`) that ends with train.py and leaves its error to it."""

import ctypes
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python pie/train_process.py` puts pie/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'pie')]

from pie.report import leave  # noqa: E402
from tmi.log import configure_logging  # noqa: E402
from tmi.processes import report_uncaught  # noqa: E402
from tmi.training.process import run_train_script  # noqa: E402

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have this process ended when the one that started it is killed; nobody would take its results."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == '__main__':
    end_with_parent()
    rank = os.environ.get('RANK', '0')
    report_uncaught(f'training, rank {rank}', leave)
    configure_logging('info' if rank == '0' else 'warning', ('tmi', 'pie'))
    run_train_script()
