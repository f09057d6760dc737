"""Exports the best weights of a training in a process of its own (`python -m tmi.training.onnx_export FOLDER`).

A library that crashes then ends nothing but the export, and its memory is free again.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tmi.errors import as_task_error
from tmi.processes import end_with_parent

NEEDED = ('onnx', 'onnxruntime')
TASK_FILE, REPORT_FILE, MODEL_FILE = 'task.json', 'report.json', 'model.onnx'
LIMIT = 1800  # seconds

logger = logging.getLogger('tmi')


class ExportError(Exception):
    """The export failed; the message says why."""


@dataclass(frozen=True)
class ExportTask:
    """What is exported.

    Args:
        checkpoint: Weights.
        config: Of the model; None if the checkpoint holds it.
        class_names: By label.
        size: (width, height) of the input.
        images: Files to compare with PyTorch on: the first that can be read.
    """

    checkpoint: str
    config: str | None
    class_names: Sequence[str]
    size: Sequence[int]
    images: Sequence[str]


def export(task: ExportTask, folder: Path, limit: float = LIMIT) -> dict[str, Any]:
    """Export in another process.

    Args:
        task: What to export.
        folder: An empty one for files; `MODEL_FILE` lies in it when this returns.
        limit: Seconds that it may take.

    Returns:
        The fields of `mmyolo.tools.export.check.CheckReport`.

    Raises:
        ExportError: It failed, or the file gives other boxes than PyTorch.
    """
    (folder / TASK_FILE).write_text(json.dumps(asdict(task)), encoding='utf-8')
    command = [sys.executable, '-m', 'tmi.training.onnx_export', str(folder)]
    hidden = {**os.environ, 'CUDA_VISIBLE_DEVICES': '-1'}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors='replace', timeout=limit, env=hidden)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f'it did not end within {limit:.0f} seconds') from error
    if done.returncode < 0:
        raise ExportError(f'its process was ended by {signal.Signals(-done.returncode).name}')
    try:
        report = json.loads((folder / REPORT_FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        last = ''.join(done.stderr.strip().splitlines()[-1:])[:300]
        raise ExportError(f'its process failed: {last or done.returncode}') from error
    if 'error' in report:
        raise ExportError(report['error'])
    if not report['boxes']:
        raise ExportError('PyTorch finds no box in the validation image, so there is nothing to compare')
    if not report['passed']:
        raise ExportError(
            f'of {report["boxes"]} boxes in {report["images"]} images ONNX Runtime finds {report["matched"]} as '
            f'PyTorch does and {report["found"] - report["matched"]} others; coordinates differ by up to '
            f'{report["box_difference"]:.2g} pixels and scores by up to {report["score_difference"]:.2g}'
        )
    return report


def run(folder: Path) -> dict[str, Any]:
    """Export in this process; see `export`."""
    import mmyolo.datasets  # noqa: F401  imports mmdet's data sets without a word, and mmyolo stands in for mmcv._ext

    # isort: split
    from mmengine.config import Config

    from mmyolo.tools.export.dependencies import need
    from mmyolo.utils.literal_config import read_literal_config
    from tmi.inference.images import read_image
    from tmi.inference.model import build_model
    from tmi.inference.package import read_package
    from tmi.zoo.weights import InferenceModel

    for name in NEEDED:
        need(name)
    task = ExportTask(**json.loads((folder / TASK_FILE).read_text(encoding='utf-8')))
    config = Path(task.config) if task.config else None
    package = read_package(InferenceModel(Path(task.checkpoint), config))
    model = build_model(package, task.class_names)
    model.cfg = Config(read_literal_config(config), filename=task.config) if config else None
    model.dataset_meta = {'classes': list(task.class_names)}
    width, height = task.size
    report = package.family.export_onnx(
        model, folder / MODEL_FILE, (width, height), _first_image(task.images, read_image)
    )
    return {**asdict(report), 'passed': report.passed}


def _first_image(files: Sequence[str], read_image) -> Any:
    for file in files:
        try:
            return read_image(file)
        except OSError:
            continue
    raise ValueError('no validation image can be read to compare with PyTorch on')


def main() -> None:
    """Export, and leave what came of it."""
    folder = Path(sys.argv[1])
    try:
        report = run(folder)
    except (ImportError, ValueError) as error:
        report = {'error': str(error)}
    except Exception as error:
        report = {'error': as_task_error(error).sentence}
    (folder / REPORT_FILE).write_text(json.dumps(report), encoding='utf-8')


if __name__ == '__main__':
    end_with_parent()
    main()
