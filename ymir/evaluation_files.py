"""What the user keeps of a training besides weights: tables and pictures of the best stage, curves, settings, ONNX.

They are attachments of the model (contract section d.2), which the platform stores with it; the ONNX file stands beside
the weights of its stage. The model is complete before, so nothing that goes wrong here fails the training: it is a
warning in the log that names the file that will be missing.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from tmi.evaluation import curves, plots, samples, tables
from tmi.evaluation.accuracy import Accuracy, measure
from tmi.families.base import Family
from tmi.inference.images import read_image
from tmi.settings import TrainingSettings
from tmi.training.config import TrainingTask
from tmi.training.data import image_files
from tmi.training.metrics import ValidationResult, metric_names
from tmi.training.onnx_export import LIMIT, MODEL_FILE, ExportError, ExportTask, export
from tmi.zoo.weights import choose_inference_model
from ymir.errors import as_task_error
from ymir.output_paths import ATTACHMENTS, EXPORT
from ymir.stage_files import ONNX_FILE, BestStage, best_stage, write_later_file
from ymir.training_summary import add_findings, read_summary
from ymir.validations import Validations
from ymir_exc.atomic import atomic_file
from ymir_exc.env import get_current_env
from ymir_exc.training_result import write_attachments
from ymir_exc.training_summary import (
    CLASS_NUMBERS,
    THRESHOLD_NUMBERS,
    TRAINING_SUMMARY_FILE,
    TrainingSummary,
    write_training_summary,
)

logger = logging.getLogger('ymir')

SECTION = Path(ATTACHMENTS).name
SAMPLE_SCORE = 0.25  # lowest score of predictions that are drawn where no threshold is best
IMAGES_TO_TRY = 5  # for the comparison of the exported model
SECONDS_TO_WRITE = 5.0  # of a time budget
JPEG_QUALITY = 88

Content = bytes | str | Figure


def write_evaluation(task: TrainingTask, run: Config, run_config: Path) -> None:
    """Write what the user keeps, and name it in result.yaml.

    Args:
        task: Whose training has ended, with a result.
        run: Its complete config.
        run_config: The file of it.
    """
    if task.deadline and time.monotonic() > task.deadline - SECONDS_TO_WRITE:
        logger.warning(
            'max_minutes: the time is over before tables and pictures of the best model are made, so they will be '
            'missing. The model is complete.'
        )
        return
    root = Path(get_current_env().output.root_dir)
    try:
        stage, summary = best_stage(), read_summary(root)
    except Exception as error:
        _warn('Tables and pictures of the best model could not be made', error)
        return
    result = accuracy = None
    try:
        result = Validations(root).read(Path(stage.weights).stem)
        accuracy = measure(result, task.class_names)
    except Exception as error:
        _warn('The validation of the best model cannot be read, so its tables and pictures will be missing', error)
    findings: dict[str, Any] = {'best_weights': stage.weights}
    makers: dict[str, Callable[[], Content | None]] = {}
    if result is not None and accuracy is not None:
        trained = [objects for objects, _ in summary.class_objects] or [0] * len(task.class_names)
        findings['best_classes'] = [dict(zip(CLASS_NUMBERS, row)) for row in tables.class_rows(accuracy, trained)]
        findings['best_threshold'] = dict(zip(THRESHOLD_NUMBERS, tables.cells(accuracy.best)))
        makers |= _accuracy_files(task, result, accuracy, trained)
    prefix = run.default_hooks.checkpoint.get('metric_prefix', Family.metric_prefix)
    makers |= _curve_files(task, summary, metric_names(prefix))
    makers['run_config.py'] = lambda: run_config.read_text(encoding='utf-8')
    names = [name for name, make in makers.items() if _is_written(task, name, make)]
    for field, write in exports(task.params).items():
        findings[field] = write(task, stage, summary, result)
    try:
        _write_summary(task, add_findings(root, **findings), names)
    except Exception as error:
        _warn(f'{TRAINING_SUMMARY_FILE} and the attachments of the model could not be written', error)


def exports(params: TrainingSettings) -> dict[str, Callable[..., dict[str, Any]]]:
    """Return what writes the best model in another form, under the field of the summary that tells of it.

    Args:
        params: Of the training.
    """
    return {'onnx': _export_onnx} if params.export_onnx else {}


def _accuracy_files(
    task: TrainingTask, result: ValidationResult, accuracy: Accuracy, trained: Sequence[int]
) -> dict[str, Callable[[], Content | None]]:
    """Return what makes each table and picture of a validation."""
    makers: dict[str, Callable[[], Content | None]] = {
        'classes.csv': lambda: tables.class_table(accuracy, trained),
        'sample-predictions.jpg': lambda: _samples(task, result, accuracy),
    }
    if accuracy.num_objects:
        makers['pr-curves.png'] = lambda: plots.draw_curves(accuracy)
        makers['confusion-matrix.csv'] = lambda: tables.confusion_table(accuracy)
        makers['confusion-matrix.png'] = lambda: plots.draw_confusion(accuracy)
    else:
        logger.info('No validation image has a labelled object: there are no curves and no confusion matrix to draw')
    return makers


def _curve_files(
    task: TrainingTask, summary: TrainingSummary, names: Mapping[str, str]
) -> dict[str, Callable[[], Content | None]]:
    """Return what makes the table and the picture of the curves."""
    found: list[curves.Curves] = []

    def read() -> curves.Curves:
        found.extend([] if found else [curves.read_curves(task.models_dir, summary.started, names)])
        return found[0]

    return {
        'curves.csv': lambda: curves.curves_table(read()),
        'curves.png': lambda: curves.draw_curves(read(), summary.best_epoch),
    }


def _samples(task: TrainingTask, result: ValidationResult, accuracy: Accuracy) -> bytes | None:
    files = image_files(task.data.val_file)
    chosen = samples.choose_images(result, files)
    names, score = plots.legible_names(task.class_names), accuracy.best.score if accuracy.best.tp else SAMPLE_SCORE
    picture = samples.draw_samples(result, {image: files[image] for image in chosen}, names, score, read_image)
    if picture is None:
        return None
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def _is_written(task: TrainingTask, name: str, make: Callable[[], Content | None]) -> bool:
    """Make a file and write it; return whether it is there."""
    try:
        content = make()
        if content is None:
            return False
        with atomic_file(task.models_dir / ATTACHMENTS / name, 'w' if isinstance(content, str) else 'wb') as stream:
            if isinstance(content, Figure):
                content.savefig(stream, format='png', dpi=plots.DPI)
            else:
                stream.write(content)
        return True
    except Exception as error:
        _warn(f'{name} could not be made', error)
        return False


def _export_onnx(
    task: TrainingTask, stage: BestStage, summary: TrainingSummary, result: ValidationResult | None
) -> dict[str, Any]:
    """Write the ONNX file beside the weights; return what the summary says of it, nothing if it failed."""
    folder = Path(get_current_env().output.root_dir) / EXPORT
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a task that was killed
        folder.mkdir(parents=True)
        model = choose_inference_model(list(map(str, stage.files)))
        config = str(model.config) if model.config else None
        images = _images_to_compare(task, result)
        size = summary.input_size
        limit = LIMIT if task.deadline is None else min(task.deadline - SECONDS_TO_WRITE - time.monotonic(), LIMIT)
        exported = ExportTask(str(model.checkpoint), config, task.class_names, size, images)
        report = export(exported, folder, max(limit, 1.0))
        with open(folder / MODEL_FILE, 'rb') as source:
            path = write_later_file(ONNX_FILE, stage.weights, lambda stream: shutil.copyfileobj(source, stream))
    except ExportError as error:
        logger.warning('export_onnx: %s could not be exported, its weights are kept: %s', stage.weights, error)
        return {}
    except Exception as error:
        _warn(f'export_onnx: {stage.weights} could not be exported, its weights are kept', error)
        return {}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if path is None:
        logger.info('export_onnx: ymir_saved_file_patterns leaves %s out', ONNX_FILE)
        return {}
    logger.info(
        'The best model as an ONNX file: %s; ONNX Runtime finds the %d boxes that PyTorch finds, coordinates differ by '
        'up to %.2g pixels and scores by up to %.2g',
        path,
        report['boxes'],
        report['box_difference'],
        report['score_difference'],
    )
    kept = {name: report[name] for name in ('boxes', 'box_difference', 'score_difference')}
    return {'file': path.name, **kept}


def _images_to_compare(task: TrainingTask, result: ValidationResult | None) -> list[str]:
    """Return validation images, those first in which the model is surest of a box."""
    files = image_files(task.data.val_file)
    surest = [] if result is None else result.image_ids[np.argsort(-result.scores, kind='stable')].tolist()
    order = dict.fromkeys([*surest, *files])
    return [files[image] for image in list(order)[:IMAGES_TO_TRY] if image in files]


def _write_summary(task: TrainingTask, summary: TrainingSummary, names: Sequence[str]) -> None:
    """Write the summary beside the other attachments, name them, and delete those of an earlier training."""
    folder = task.models_dir / ATTACHMENTS
    write_training_summary(folder, summary)
    kept = [*names, TRAINING_SUMMARY_FILE]
    write_attachments(SECTION, kept)
    for path in folder.iterdir():
        if path.is_file() and path.name not in kept:
            path.unlink()
    logger.info('Tables, pictures and settings of the best model: %s', folder)


def _warn(sentence: str, error: Exception) -> None:
    logger.warning('%s: %s', sentence, as_task_error(error).sentence)
    logger.debug('The reason', exc_info=True)
