"""DOTA: aerial images with objects given by four corners (arXiv 1711.10398).

Needs no mmrotate, and lists files in the order of their names on every machine, both unlike the public release.
"""

import math
from pathlib import Path

from mmdet.datasets import BaseDetDataset

import mmyolo.standins.mmrotate.structures  # noqa: F401  (registers the box types)
from mmyolo.registry import DATASETS, stand_in
from mmyolo.utils.files import read_text

_CLASSES = (
    'plane',
    'baseball-diamond',
    'bridge',
    'ground-track-field',
    'small-vehicle',
    'large-vehicle',
    'ship',
    'tennis-court',
    'basketball-court',
    'storage-tank',
    'soccer-ball-field',
    'roundabout',
    'harbor',
    'swimming-pool',
    'helicopter',
)
_PALETTE = [
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
    (0, 128, 128),
    (220, 190, 255),
    (170, 110, 40),
    (128, 0, 0),
    (128, 128, 0),
]


@stand_in(DATASETS, 'mmrotate').register_module()
class DOTADataset(BaseDetDataset):
    """DOTA v1.0 as folders of images and of text files.

    A line of a text file is `x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`; shorter lines, such as the two of meta
    information that DOTA begins a file with, are skipped.

    Args:
        diff_thr: Objects of a greater difficulty are ignored.
        img_suffix: Ending of the images.
        **kwargs: Of mmengine's BaseDataset. `ann_file` is the folder of text files; '' takes all images of
            `data_prefix['img_path']`, without objects.
    """

    METAINFO = {'classes': _CLASSES, 'palette': _PALETTE}

    def __init__(self, diff_thr: int = 100, img_suffix: str = 'png', **kwargs) -> None:
        self.diff_thr = diff_thr
        self.img_suffix = img_suffix
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images.

        Returns:
            Per image `img_id`, `file_name`, `img_path` and `instances`, of which each has `bbox`, 8 numbers,
            `bbox_label` and `ignore_flag`.

        Raises:
            FileNotFoundError: The folder does not exist or has no such files.
            ValueError: A line is damaged or names an unknown class.
        """
        images = Path(self.data_prefix['img_path'])
        folder, suffix = (Path(self.ann_file), 'txt') if self.ann_file else (images, self.img_suffix)
        files = sorted(folder.glob(f'*.{suffix}'))
        if not files:
            raise FileNotFoundError(f'{folder} has no *.{suffix}. Check data_root, ann_file and data_prefix.')
        labels = {name: label for label, name in enumerate(self.metainfo['classes'])}
        data_list = []
        for file in files:
            name = f'{file.stem}.{self.img_suffix}'
            instances = self._read(file, labels) if self.ann_file else []
            data_list.append(
                {'img_id': file.stem, 'file_name': name, 'img_path': str(images / name), 'instances': instances}
            )
        return data_list

    def _read(self, path: Path, labels: dict) -> list[dict]:
        instances = []
        for number, line in enumerate(read_text(path).splitlines(), 1):
            parts = line.split()
            if len(parts) < 9:
                continue
            try:
                corners, (name, difficulty) = [float(part) for part in parts[:8]], parts[8:10]
                difficulty = int(difficulty)
                if not all(map(math.isfinite, corners)):
                    raise ValueError
            except ValueError:
                raise ValueError(
                    f'{path}, line {number}: {line!r} must be 8 numbers, a class and a difficulty'
                ) from None
            if name not in labels:
                raise ValueError(
                    f'{path}, line {number}: class {name!r} is not among those of metainfo: {list(labels)}'
                )
            instances.append(
                {'bbox': corners, 'bbox_label': labels[name], 'ignore_flag': int(difficulty > self.diff_thr)}
            )
        return instances

    def filter_data(self) -> list[dict]:
        """Drop images without objects if `filter_cfg` says `filter_empty_gt`, except in test mode."""
        if self.test_mode or not (self.filter_cfg or {}).get('filter_empty_gt', False):
            return self.data_list
        return [info for info in self.data_list if info['instances']]

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the labels of an image's objects."""
        return [instance['bbox_label'] for instance in self.get_data_info(idx)['instances']]
