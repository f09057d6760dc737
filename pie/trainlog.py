"""Writing trainlog.json, which the platform shows while a training runs (contract section 8).

The file is replaced as a whole after each epoch. `best` is empty before the first epoch, and `end_time` until the
training has ended, however it ends.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmyolo.utils.files import write_json

ALL = 'all'
# What the web page calls each metric; one that is not described is not shown.
DESCRIPTIONS = {
    'detection': {'P': '精确度', 'R': '召回率', 'F1_score': 'F1分数', 'mAP': 'mAP', 'loss': '损失率'},
    'segmentation': {'recall': '召回率', 'precision': '精度', 'score': '得分', 'IoU': 'IoU', 'loss': '损失率'},
}
DESCRIPTIONS['change'] = DESCRIPTIONS['segmentation']
DECIDING = {'detection': 'mAP', 'segmentation': 'IoU', 'change': 'IoU'}

Rows = Mapping[str, Mapping[str, float]]  # class, or `all` -> metric -> value


def now() -> str:
    """Return the local time as the log has it."""
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime())


class TrainLog:
    """The log of one training.

    Args:
        path: The file.
        content: What it holds.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.content = content

    @classmethod
    def start(cls, path: Path, training_id: str, task: str) -> 'TrainLog':
        """Write the log of a training without epochs.

        Args:
            path: The file; one of an earlier training is replaced.
            training_id: The platform's.
            task: 'detection', 'segmentation' or 'change'.
        """
        content = {
            'training_id': training_id,
            'create_time': now(),
            'description': dict(DESCRIPTIONS[task]),
            'epochs': [],
            'best': '',
            'end_time': '',
        }
        log = cls(path, content)
        log.write()
        return log

    @classmethod
    def read(cls, path: Path) -> 'TrainLog':
        """Read a log that another process of this training wrote."""
        return cls(path, json.loads(path.read_text(encoding='utf-8')))

    @property
    def deciding(self) -> str:
        """The metric by which an epoch is the best: mAP, or the mean IoU."""
        return DECIDING['detection' if 'mAP' in self.content['description'] else 'segmentation']

    def add_epoch(self, epoch: int, train: Rows, valid: Rows, ended: bool = False) -> bool:
        """Add an epoch and write the log.

        Args:
            epoch: Its number, from 1.
            train: Metrics of the training images: `all` first, then each class.
            valid: Those of the validation images.
            ended: Whether the training ends with it.

        Returns:
            Whether it is better than all before.
        """
        values = dict(_numbers(valid[ALL]))
        values.pop('loss', None)
        best = self.content['best']
        is_best = not best or values[self.deciding] > best[self.deciding]
        if is_best:
            self.content['best'] = values
        self.content['epochs'].append({'epoch': str(epoch), 'train': _rows(train), 'valid': _rows(valid)})
        if ended:
            self.content['end_time'] = now()
        self.write()
        return is_best

    def finish(self) -> None:
        """Note the end, if that has not been done."""
        if not self.content['end_time']:
            self.content['end_time'] = now()
            self.write()

    def write(self) -> None:
        """Replace the file."""
        write_json(self.path, self.content, indent=4)


def _rows(rows: Rows) -> Sequence[dict[str, Any]]:
    return [{'class': name, 'values': _numbers(values)} for name, values in rows.items()]


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    """Return plain numbers: JSON has no NaN, which stands for nothing measured."""
    return {key: float(value) if math.isfinite(value) else 0.0 for key, value in values.items()}
