"""What else a prediction must know of weights, in a file beside them: `output/files/<model_name>.json`.

Its keys are those that a prediction also takes as parameters, so weights without it can be used with these given.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pie.causes import file_cause, json_cause
from pie.labels import Label
from pie.parameters import TYPES
from pie.texts import PieError, Words


def description_file(weights: Path) -> Path:
    """Return the file beside weights that describes them."""
    return weights.with_name(f'{weights.stem}.json')


def describe(
    network: str,
    task: str,
    labels: Sequence[Label],
    load_size: tuple[int, int],
    sample_sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """Return what the file says.

    Args:
        network: Name of the network.
        task: 'detection', 'segmentation' or 'change'.
        labels: Its classes, in the order of its outputs.
        load_size: (width, height) of the input.
        sample_sizes: (width, height) of training pictures; large pictures are predicted in parts of their median.
    """
    sides = [round(median(size[axis] for size in sample_sizes)) for axis in (0, 1)]
    return {
        'type': next(number for number, name in TYPES.items() if name == task),
        'model_name': network,
        'label': [
            {
                'class_name': one.name,
                'class_value': one.value,
                'class_title': one.title,
                'class_color': ','.join(map(str, one.color)),
            }
            for one in labels
        ],
        'load_size': '{},{}'.format(*load_size),
        'tile_size': '{},{}'.format(*sides),
    }


def read_description(weights: Path) -> Mapping[str, Any]:
    """Return what stands beside weights; nothing where there is no such file.

    Raises:
        PieError: The file is damaged.
    """
    path = description_file(weights)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PieError('description_unreadable', path=path, reason=file_cause(error)) from error
    except (ValueError, RecursionError) as error:
        raise PieError('description_unreadable', path=path, reason=json_cause(error)) from error
    if not isinstance(content, dict):
        raise PieError('description_unreadable', path=path, reason=Words('json_kind', found=type(content).__name__))
    return content
