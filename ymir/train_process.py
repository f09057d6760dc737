"""tools/train.py with every error reported, those of its imports too; no type in its config is imported by its name."""

import os
import runpy
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python ymir/train_process.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'ymir')]

from tmi.paths import TOOLS_ROOT  # noqa: E402
from ymir.environment import configure_logging  # noqa: E402
from ymir.errors import report_uncaught  # noqa: E402

# How warnings begin that nobody can do anything about: the memory format of the weights is chosen for speed.
USELESS_WARNINGS = ('Grad strides do not match bucket view strides',)

if __name__ == '__main__':
    report_uncaught(f'training, rank {os.environ.get("RANK", "0")}')
    configure_logging('info' if os.environ.get('RANK', '0') == '0' else 'warning')
    for beginning in USELESS_WARNINGS:
        warnings.filterwarnings('ignore', beginning)

    from mmyolo.utils.config_types import registered_only

    with registered_only():
        runpy.run_path(str(TOOLS_ROOT / 'train.py'), run_name='__main__')
