"""training-summary.json: what a training did and how far it came, for reports and programs.

It lies in ``/out``, not in ``/out/models``: it is about a run, and a new training that fails leaves the model of an
earlier one as it was. The platform neither reads nor packs it; the report of an executor without it lacks some tables.
It is replaced whole, when the preparation ends and after each validation, and a training that is resumed goes on with
it. A copy that says what the best stage is like is kept with the model, see ``attachments`` of result.yaml. The text is
ASCII, so that any class name survives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .atomic import PathLike
from .summary_file import (
    Check,
    Checks,
    is_count,
    is_list,
    is_number,
    is_row,
    is_text,
    or_none,
    read_summary,
    write_summary,
)

TRAINING_SUMMARY_FILE = 'training-summary.json'  # in the task's output folder
THRESHOLD_NUMBERS = ('score_threshold', 'precision', 'recall', 'f1', 'tp', 'fp', 'fn')
CLASS_NUMBERS = ('name', 'training_objects', 'validation_objects', 'ap', 'ap50', 'ar', *THRESHOLD_NUMBERS)


@dataclass
class TrainingSummary:
    """What a training did; times are in seconds since 1970.

    Attributes:
        model: the name by which the user chose the model.
        config: the name of its config.
        class_names: in the order of the class indices.
        input_size: width and height in pixels.
        device: ``cuda`` or ``cpu``.
        processes: how many train together.
        samples_per_gpu: images a step and process, as set or chosen; 0: unknown.
        precision: for example ``float32`` or ``bfloat16``.
        recipe: name and value of what is done, in words.
        data: name, number or text for the training images, the same for the validation images.
        class_objects: for each class the objects to train on and to validate on.
        environment: name and version of hardware and packages.
        started: when the training began, before any resumption.
        updated: when this was written.
        seconds: spent on training, over all resumptions.
        epochs: that were asked for.
        epoch: that was validated last; 0: none yet.
        best_epoch: of the best stage; 0: none yet.
        best_metrics: of the best stage; ``mAP`` and others, from 0 to 1.
        best_class_ap: average precision of each class in the best stage; None where no object was to be found.
        best_weights: name of the weights of the best stage; empty until the training has ended, as the next three.
        best_classes: for each class a mapping of :data:`CLASS_NUMBERS`: ``name``; objects to train and to validate on;
            ``ap``, ``ap50`` and ``ar`` (average precision and recall as COCO has them); ``score_threshold``, from which
            upwards F1 is best at IoU 0.5, and ``precision``, ``recall``, ``f1``, ``tp``, ``fp`` and ``fn`` there. None
            where no object defines a number.
        best_threshold: the numbers of :data:`THRESHOLD_NUMBERS` for all classes together.
        onnx: of the exported file: ``file``, ``boxes`` that were compared on a validation image, and
            ``box_difference`` (pixels of the input) and ``score_difference``, the largest ones; empty without one.
        settings: the hyper-parameters as they were understood.
        data_sha256: of ``training`` and ``validation`` data: equal where names, sizes and labels of the images are, in
            any order.
        throughput: ``images_per_second``, ``model_images_per_second`` (had it never waited for data),
            ``worker_images_per_second`` of one loader worker, ``waiting_share`` of the time spent waiting for data,
            ``workers`` and ``workers_needed``; empty until measured.
    """

    model: str = ''
    config: str = ''
    class_names: list[str] = field(default_factory=list)
    input_size: list[int] = field(default_factory=list)
    device: str = ''
    processes: int = 1
    samples_per_gpu: int = 0
    precision: str = ''
    recipe: list[list[str]] = field(default_factory=list)
    data: list[list[Any]] = field(default_factory=list)
    class_objects: list[list[int]] = field(default_factory=list)
    environment: list[list[str]] = field(default_factory=list)
    started: float = 0.0
    updated: float = 0.0
    seconds: float = 0.0
    epochs: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_class_ap: list[float | None] = field(default_factory=list)
    best_weights: str = ''
    best_classes: list[dict[str, Any]] = field(default_factory=list)
    best_threshold: dict[str, float | None] = field(default_factory=dict)
    onnx: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data_sha256: dict[str, str] = field(default_factory=dict)
    throughput: dict[str, float] = field(default_factory=dict)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


def _has_numbers(value: Any, names: tuple[str, ...]) -> bool:
    return isinstance(value, dict) and all(name in value and or_none(is_number)(value[name]) for name in names)


def _is_class(value: Any) -> bool:
    return (
        _has_numbers(value, CLASS_NUMBERS[3:])
        and is_text(value.get('name'))
        and all(is_count(value.get(name)) for name in CLASS_NUMBERS[1:3])
    )


def _is_setting(value: Any) -> bool:
    return value is None or isinstance(value, bool) or is_text(value) or is_number(value) or is_list(_is_setting)(value)


def _is_mapping(is_value: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(is_text(key) and is_value(item) for key, item in value.items())


_CHECKS: Checks = {
    **dict.fromkeys(('model', 'config', 'device', 'precision', 'best_weights'), (is_text, 'text')),
    **dict.fromkeys(('processes', 'samples_per_gpu', 'epochs', 'epoch', 'best_epoch'), (is_number, 'a number')),
    **dict.fromkeys(('started', 'updated', 'seconds'), (is_number, 'a number')),
    'class_names': (is_list(is_text), 'a list of texts'),
    'input_size': (is_list(is_number), 'a list of numbers'),
    'recipe': (is_list(is_row(2)), 'a list of pairs: name and value'),
    'data': (is_list(is_row(3)), 'a list of rows: name, training, validation'),
    'class_objects': (is_list(is_row(2, is_number)), 'a list of pairs of numbers'),
    'environment': (is_list(is_row(2)), 'a list of pairs: name and version'),
    **dict.fromkeys(('best_metrics', 'throughput'), (_is_numbers, 'numbers by name')),
    'best_class_ap': (is_list(lambda item: item is None or is_number(item)), 'a list of numbers, null for none'),
    'best_classes': (is_list(_is_class), f'a list of mappings with {", ".join(CLASS_NUMBERS)}'),
    'best_threshold': (
        lambda value: value == {} or _has_numbers(value, THRESHOLD_NUMBERS),
        f'a mapping with {", ".join(THRESHOLD_NUMBERS)}',
    ),
    'onnx': (_is_mapping(lambda item: is_text(item) or is_number(item)), 'a mapping of names to text and numbers'),
    'settings': (_is_mapping(_is_setting), 'a mapping of names to text, numbers, switches and lists of these'),
    'data_sha256': (_is_mapping(is_text), 'a mapping of names to text'),
}


def read_training_summary(directory: PathLike) -> TrainingSummary | None:
    """Read the file; fields that it lacks have their defaults, and unknown ones are left out.

    Args:
        directory: the task's output folder.

    Returns:
        What it says; None if there is no such file.

    Raises:
        ResultError: it cannot be read, is not a JSON object, or a field is of the wrong kind.
    """
    return read_summary(directory, TRAINING_SUMMARY_FILE, TrainingSummary, _CHECKS)


def write_training_summary(directory: PathLike, summary: TrainingSummary) -> None:
    """Replace the file.

    Args:
        directory: the task's output folder.
        summary: what to write.

    Raises:
        ValueError: a number in it is not finite.
        OSError: it cannot be written; the old one is untouched.
    """
    write_summary(directory, TRAINING_SUMMARY_FILE, summary)
