"""The scalars of a task, read from tensorboard event files, also as they grow.

Tags differ between executors, so a few well-known forms are recognised: `loss` and `train/loss`, `lr` and `base_lr`,
`coco/bbox_mAP` and `val/mAP`, `epoch`.
"""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What is shown -> the tags that mean it, best first.
TAGS = {
    'epoch': (r'(.*/)?epoch',),
    'loss': (r'loss', r'(train/)(total_)?loss', r'(.*/)?(total_)?loss'),
    'mAP': (
        r'(.*/)?segm_mAP',
        r'(.*/)?(bbox_)?mAP',
        r'(.*/)?(segm_)?mAP(_?50[-:]95|_0\.5:0\.95)',
        r'(.*/)?(bbox_)?(mAP|AP)_?50',
    ),
    'lr': (r'lr', r'(train/)lr', r'base_lr', r'(.*/)?(lr|learning_rate)(/pg0)?'),
}


def recognise(tags: Any) -> dict[str, str]:
    """Return which tag holds what.

    Args:
        tags: names of scalars.

    Returns:
        'epoch', 'loss', 'mAP' and 'lr', as far as there are such tags, to the tag.
    """
    found = {}
    for name, patterns in TAGS.items():
        for pattern in patterns:
            fitting = sorted(
                (tag for tag in tags if re.fullmatch(pattern, tag, re.IGNORECASE)), key=lambda t: (len(t), t)
            )
            if fitting:
                found[name] = fitting[0]
                break
    return found


def metric_name(tag: str) -> str:
    """Return what an accuracy is called that `recognise` has found: of boxes or of masks, and at which overlap.

    Args:
        tag: such as `coco/segm_mAP`.
    """
    name = 'maskAP' if 'segm_' in tag.lower() else 'mAP'
    return f'{name}_50' if re.search(r'AP_?50$', tag, re.IGNORECASE) else name


def event_files(folder: Path) -> list[Path]:
    """Return the event files below a folder, in the order of their names; none if it does not exist."""
    return sorted(
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if 'tfevents' in name and (Path(root) / name).is_file()
    )


def events_of(path: Path) -> Any:
    """Return a reader of an event file, whose `Load()` yields the events that are new."""
    # Kept out of the import of this module: takes longer than all the rest of the command line.
    logging.getLogger('tensorboard').setLevel(logging.ERROR)
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return EventFileLoader(str(path))


def scalars_of(event: Any) -> Iterator[tuple[str, float]]:
    """Yield tag and number of each scalar of an event, in its old form and in its new one, a tensor of one number."""
    from tensorboard.util.tensor_util import make_ndarray

    for value in event.summary.value:
        if value.HasField('simple_value'):
            yield value.tag, float(value.simple_value)
        elif value.HasField('tensor') and not value.tensor.string_val:
            try:
                array = make_ndarray(value.tensor)
            except (TypeError, ValueError):  # of a kind that is not a number
                continue
            if array.size == 1 and array.dtype.kind in 'fiu':
                yield value.tag, float(array.item())


class EventScalars:
    """Reads what is new in the event files of a folder at each call.

    Args:
        folder: of the event files, and folders below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.series: dict[str, list[tuple[int, float]]] = {}
        self._loaders: dict[Path, Any] = {}

    def update(self) -> None:
        """Read the new events; a file that cannot be read is left out."""
        for path in event_files(self.folder):
            if path not in self._loaders:
                self._loaders[path] = events_of(path)
            try:
                for event in self._loaders[path].Load():
                    for tag, number in scalars_of(event):
                        self.series.setdefault(tag, []).append((event.step, number))
            except Exception as error:  # a damaged record, or a file that vanished: the view is no reason to fail
                logging.getLogger(__name__).debug('%s: %s', path, error)

    def last(self) -> dict[str, float]:
        """Return the newest epoch, loss, lr and accuracy by its `metric_name`, as far as the executor writes them."""
        return {
            metric_name(tag) if name == 'mAP' else name: self.series[tag][-1][1]
            for name, tag in recognise(self.series).items()
        }
