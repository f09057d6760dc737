"""Starts the Predict.py of a run as the platform does: JSON on standard input, results in output/picture/."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .texts import PieError

RESULTS = ('.tif', '.geojson')


@dataclass(frozen=True)
class Prediction:
    """How a prediction ended.

    Attributes:
        code: The exit code of the script.
        results: Files that it wrote.
    """

    code: int
    results: list[Path]


def run_prediction(
    run: Path,
    image: str,
    changes: dict[str, Any],
    script: str = 'Predict.py',
    python: str = sys.executable,
    on_line: Callable[[str], None] = lambda line: None,
) -> Prediction:
    """Predict a picture with what a run has trained.

    Args:
        run: The folder of a run.
        image: Path of a picture; of two, with ';' between them, for change detection.
        changes: Parameters besides.
        script: The name of the script.
        python: Runs it.
        on_line: Called with each line that it prints.

    Raises:
        PieError: The package of the run has no such script.
    """
    folder = (run / 'network').absolute()
    if not (folder / script).is_file():
        raise PieError('predict.no_script', folder=folder, script=script)
    paths = [name.strip() for name in image.split(';')]
    parameters = {
        'estimate_id': str(uuid.uuid4()),
        'image_path': ';'.join(path if '://' in path else os.path.abspath(path) for path in paths),
        'gpu_num': 0,
        **changes,
    }
    environment = {name: value for name, value in os.environ.items() if name != 'PIE_OUTPUT_DIR'}
    if os.sep in python:
        python = os.path.abspath(python)
    before = _results(folder)
    with subprocess.Popen(
        [python, script],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding='utf-8',
        errors='replace',
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(parameters, ensure_ascii=False) + '\n')
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended without reading; its exit code says so
        for line in process.stdout:
            on_line(line.rstrip('\n'))
    after = _results(folder)
    return Prediction(process.returncode, [path for path in sorted(after) if after[path] != before.get(path)])


def _results(folder: Path) -> dict[Path, int]:
    """Return the results that are there, with the time of their last change."""
    files = (folder / 'output/picture').glob('*')
    return {path: path.stat().st_mtime_ns for path in files if path.suffix in RESULTS}
