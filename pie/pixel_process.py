"""The training process of segmentation and change detection; its argument is the file of the job."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python pie/pixel_process.py` puts pie/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'pie')]

from tmi.processes import end_with_parent, run_task  # noqa: E402

if __name__ == '__main__':
    end_with_parent()  # before the imports that take seconds

from pie.report import leave  # noqa: E402
from tmi.log import configure_logging  # noqa: E402


def main() -> None:
    """Train as the job says."""
    from pie.pixel_training import PixelJob, PixelTraining

    PixelTraining(PixelJob.read(Path(sys.argv[1]))).run()


if __name__ == '__main__':
    configure_logging('info', ('tmi', 'pie'))
    run_task('training', main, leave)
