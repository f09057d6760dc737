"""A training process (`tmi.training.process`) whose errors are reported, those of its imports too."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python ymir/train_process.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'ymir')]

from tmi.processes import end_with_parent  # noqa: E402

if __name__ == '__main__':
    end_with_parent()  # before the imports that take seconds

from tmi.training.process import run_train_script  # noqa: E402
from ymir.environment import configure_logging  # noqa: E402
from ymir.errors import report_uncaught  # noqa: E402

if __name__ == '__main__':
    report_uncaught(f'training, rank {os.environ.get("RANK", "0")}')
    configure_logging('info' if os.environ.get('RANK', '0') == '0' else 'warning')
    run_train_script()
