"""The classes of a training: the list `label`, and the choice `class_name` (contract section 5).

An entry has `class_name`, `class_value` (pixel value in label pictures), `class_title` (Chinese) and `class_color`
("r,g,b"). The order of the list is that of the classes; the list is text that holds JSON.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pie.causes import json_cause
from pie.texts import PieError, warn

BACKGROUND = 'background'
# Between entries the platform's own example has them full width.
FULL_WIDTH = str.maketrans({'，': ',', '：': ':', '“': '"', '”': '"', '［': '[', '］': ']', '｛': '{', '｝': '}'})
STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
# For classes without a colour: distinct ones, in turn.
COLORS = (
    (255, 0, 0),
    (0, 160, 0),
    (0, 90, 255),
    (255, 170, 0),
    (170, 0, 255),
    (0, 190, 190),
    (255, 0, 170),
    (120, 120, 0),
)
MAX_NAME = 200


@dataclass(frozen=True)
class Label:
    """One class.

    Args:
        name: As in the list; that of objects in VOC files.
        value: Its pixel value in label pictures; its position where the list has none.
        title: Chinese title, '' if there is none.
        color: (red, green, blue), 0 to 255.
    """

    name: str
    value: int
    title: str
    color: tuple[int, int, int]


def read_labels(label: Any, class_name: str = '') -> list[Label]:
    """Read the classes of a training.

    Args:
        label: Text with a list in JSON or as Python writes it, or the list itself.
        class_name: The chosen names, separated by commas; '' for all.

    Returns:
        The classes in the order of the list, background included.

    Raises:
        PieError: One sentence for what cannot be read or does not fit.
    """
    entries = _parse(label) if isinstance(label, str) else label
    if not isinstance(entries, list) or not entries:
        raise PieError('label_empty', found=_short(label))
    labels = [_label(entry, index) for index, entry in enumerate(entries)]
    doubles = [name for name, count in Counter(one.name for one in labels).items() if count > 1]
    if doubles:
        raise PieError('label_twice', names=', '.join(doubles))
    _check_choice([one.name for one in labels], class_name)
    return labels


def objects_of(labels: Sequence[Label]) -> list[Label]:
    """Return the classes without the background."""
    return [one for one in labels if one.name.lower() != BACKGROUND]


def _parse(text: str) -> Any:
    """Read the list as JSON, as a Python literal, or with full-width punctuation; nothing in it is executed."""
    readable, was_full_width = text, False
    while True:
        try:
            return json.loads(readable)
        except (ValueError, RecursionError) as error:
            reason = error
        try:
            return ast.literal_eval(readable.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
        if was_full_width:
            raise PieError('label_not_json', text=_short(text), reason=json_cause(reason))
        readable, was_full_width = _half_width(text), True
        if readable != text:
            warn('label_full_width')


def _half_width(text: str) -> str:
    """Return a text with ASCII punctuation outside its strings."""
    parts, end = [], 0
    for found in STRING.finditer(text):
        parts += [text[end : found.start()].translate(FULL_WIDTH), found.group()]
        end = found.end()
    return ''.join([*parts, text[end:].translate(FULL_WIDTH)])


def _label(entry: Any, index: int) -> Label:
    if not isinstance(entry, dict):
        raise PieError('label_entry', index=index + 1, found=_short(entry))
    name = entry.get('class_name')
    name = str(name).strip() if isinstance(name, (str, int)) and not isinstance(name, bool) else ''
    if not name or not name.isprintable() or len(name) > MAX_NAME or ',' in name:
        raise PieError('label_name', index=index + 1, found=_short(entry.get('class_name')))
    title = entry.get('class_title')
    return Label(name, _value(entry, name, index), str(title or ''), _color(entry, name, index))


def _value(entry: dict[str, Any], name: str, index: int) -> int:
    value = entry.get('class_value')
    if value is None or value == '':
        return index
    try:
        number = float(value) if not isinstance(value, bool) else -1
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= 65535 or number != int(number):
        raise PieError('label_value', name=name, found=_short(value))
    return int(number)


def _color(entry: dict[str, Any], name: str, index: int) -> tuple[int, int, int]:
    color = entry.get('class_color')
    if color is None or color == '':
        chosen = (0, 0, 0) if name.lower() == BACKGROUND else COLORS[index % len(COLORS)]
        warn('label_without_color', name=name, color='{},{},{}'.format(*chosen))
        return chosen
    parts = re.split('[,，]', color.strip('()[] ')) if isinstance(color, str) else color
    try:
        red, green, blue = (int(str(part).strip()) for part in parts)
    except (TypeError, ValueError):
        red = green = blue = -1
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise PieError('label_color', name=name, found=_short(color))
    return red, green, blue


def _check_choice(names: Sequence[str], class_name: str) -> None:
    """Check that both lists mean the same classes; `background` may stand anywhere, or in one only."""
    chosen = [name.strip() for name in re.split('[,，]', class_name) if name.strip()]
    if not chosen:
        return
    for ours, theirs, message in ((chosen, names, 'class_not_in_label'), (names, chosen, 'label_not_in_classes')):
        absent = [name for name in ours if name not in theirs and name.lower() != BACKGROUND]
        if absent:
            raise PieError(message, names=', '.join(absent), others=', '.join(theirs))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:77]}...'
