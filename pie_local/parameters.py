"""The JSON of parameters that the platform hands to train.py, made of a data set and what the user changes."""

import json
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from .causes import cause_of
from .data_set import DataSet
from .texts import PieError, say

DEFAULTS: dict[str, Any] = {
    'auto_termination': 0,
    'batch_size': 4,
    'epochs': 10,
    'gpu_num': 0,
    'learning_rate': 0.001,
    'load_size': '256,256',
    'resume_path': '',
}
MODELS = {'detection': 'yolov8_n', 'segmentation': 'fpn_n', 'change': 'siam_fpn_n'}
NUMBERS = ('auto_termination', 'batch_size', 'epochs', 'gpu_num', 'learning_rate')
TEXTS = ('class_name', 'dataset_id', 'label', 'load_size', 'model_name', 'n_class', 'resume_path', 'training_id')
KEYS = tuple(sorted((*NUMBERS, *TEXTS)))


def make_parameters(data: DataSet, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the flat form of the parameters, with the types of the document's example.

    Args:
        data: The data set.
        changes: What the user wants otherwise.
    """
    names = [str(entry['class_name']) for entry in data.label]
    parameters = {
        **DEFAULTS,
        'class_name': ','.join(names),
        'dataset_id': str(uuid.uuid4()),
        'label': json.dumps(data.label, ensure_ascii=False),
        'model_name': MODELS[data.task],
        'n_class': str(len([name for name in names if name != 'background'])),
        'training_id': str(uuid.uuid4()),
        **changes,
    }
    return dict(sorted(parameters.items()))


def parse_changes(words: Iterable[str], keys: Collection[str] = KEYS) -> dict[str, Any]:
    """Read `epochs=3 load_size=64,64`.

    Args:
        words: Each KEY=VALUE.
        keys: Those that there are; empty: any.

    Raises:
        PieError: A word is none, or the key is unknown.
    """
    changes: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not equals or not key or keys and key not in keys:
            raise PieError('run.bad_parameter', word=word, keys=', '.join(keys) or '*')
        changes[key] = _number(value) if key in NUMBERS else value
    return changes


def read_parameters(file: Path) -> dict[str, Any]:
    """Read a file such as traincfg.json.

    Args:
        file: A JSON object.

    Raises:
        PieError: It is none.
    """
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise PieError('run.bad_params_file', file=file, cause=cause_of(error)) from None
    if not isinstance(content, dict):
        raise PieError('run.bad_params_file', file=file, cause=say('cause.is_no_object'))
    return content


def _number(value: str) -> Any:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value  # the script has to say what is wrong with it
