"""A training process (`tmi.training.process`) that ends with train.py and leaves its error to it."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python pie/train_process.py` puts pie/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'pie')]

from tmi.processes import end_with_parent, report_uncaught  # noqa: E402

if __name__ == '__main__':
    end_with_parent()  # before the imports that take seconds

from pie.report import leave  # noqa: E402
from tmi.log import configure_logging  # noqa: E402
from tmi.training.process import run_train_script  # noqa: E402

if __name__ == '__main__':
    rank = os.environ.get('RANK', '0')
    report_uncaught(f'training, rank {rank}', leave)
    configure_logging('info' if rank == '0' else 'warning', ('tmi', 'pie'))
    run_train_script()
