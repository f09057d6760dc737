"""The data set of a task in the layout of YOLOv5 (contract section g).

``images`` is a link to the assets, ``labels`` mirrors it with a text file per image: ``class x y w h`` per object, the
centre and the size as fractions of the image. Bad data is treated as for coco.
"""

from __future__ import annotations

import os

import yaml

from ..annotations import annotation_format, make_reader
from ..annotations.objects import Row
from ..atomic import write_text_atomically
from ..attribute_dict import AttributeDict
from ..dataset_reader import read_items
from ..errors import DatasetError
from ..util import get_class_names
from .compact import LabelledImages
from .labelled_images import read_labelled_images
from .report import SplitReport


def _link_images(assets_dir: str, link: str) -> None:
    if os.path.islink(link):
        if os.readlink(link) == assets_dir:
            return
        os.unlink(link)
    elif os.path.exists(link):
        raise DatasetError(f'{link} is in the way of the link to {assets_dir}; remove it')
    os.symlink(assets_dir, link)


def _label_line(row: Row, width: int, height: int) -> str:
    class_id, xmin, ymin, xmax, ymax = row[:5]
    centre_x, centre_y = (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height
    w, h = (xmax - xmin) / width, (ymax - ymin) / height
    return f'{class_id} {centre_x:.8g} {centre_y:.8g} {w:.8g} {h:.8g}\n'


def _path_below(image: str, assets_dir: str, out_dir: str) -> str:
    relative = os.path.relpath(image, assets_dir)
    if relative.split(os.sep)[0] == os.pardir:
        raise DatasetError(f'{image} lies outside {assets_dir}, so the link to that folder does not reach it')
    return os.path.join(out_dir, 'images', relative)


def _write_split(images: LabelledImages, assets_dir: str, out_dir: str) -> list[str]:
    """Write the label files; gives the images' paths below ``out_dir``."""
    paths: list[str] = []
    sources: dict[str, str] = {}  # label file -> image
    for image in images:
        path = _path_below(image.path, assets_dir, out_dir)
        relative = os.path.relpath(path, os.path.join(out_dir, 'images'))
        label = os.path.splitext(os.path.join(out_dir, 'labels', relative))[0] + '.txt'
        if sources.setdefault(label, image.path) != image.path:
            raise DatasetError(f'{sources[label]} and {image.path} would share the label file {label}; rename one')
        os.makedirs(os.path.dirname(label), exist_ok=True)
        # Not synced to the disk one by one: nobody reads them before the index file, which is written last, names them.
        with open(label, 'w', encoding='utf-8') as stream:
            stream.writelines(_label_line(row, image.width, image.height) for row in image.rows)
        paths.append(path)
    return paths


def _label_split(cfg: AttributeDict, split: str, class_names: list[str], assets_dir: str, out_dir: str) -> list[str]:
    """Write the label files of a split that has annotations; gives the images' paths below ``out_dir``."""
    items = read_items(cfg, split)
    name = annotation_format(cfg.param.get('export_format'), items[0][1] if items else '')
    report = SplitReport(
        split=split, img_dir=assets_dir, ann_file=os.path.join(out_dir, f'{split}-index.txt'), annotation_format=name
    )
    images = read_labelled_images(items, make_reader(name, class_names), class_names, report)
    return _write_split(images, assets_dir, out_dir)


def convert_ymir_to_yolov5(cfg: AttributeDict, out_dir: str | None = None) -> str:
    """Convert the data set of a task; may be repeated.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        out_dir: where to; None is the output directory.

    Returns:
        The path of ``data.yaml``, which names the classes and ``train-index.txt``, ``val-index.txt`` and
        ``test-index.txt``. In a training, the first two list the images that can be trained on; in mining and
        inference, the third lists every candidate, in order. The others are empty.

    Raises:
        DatasetError: see :func:`~ymir_exc.dataset_convert.convert_dataset_to_coco`; an image lies outside the assets.
    """
    out_dir = out_dir or cfg.ymir.output.root_dir
    assets_dir = cfg.ymir.input.assets_dir
    class_names = get_class_names(cfg)
    os.makedirs(out_dir, exist_ok=True)
    _link_images(assets_dir, os.path.join(out_dir, 'images'))
    data = {'path': out_dir, 'nc': len(class_names), 'names': class_names}
    given = cfg.ymir.input
    for split, index_file in (
        ('train', given.training_index_file),
        ('val', given.val_index_file),
        ('test', given.candidate_index_file),
    ):
        images: list[str] = []
        if split == 'test' and index_file:
            images = [_path_below(path, assets_dir, out_dir) for path, _ in read_items(cfg, split)]
        elif index_file or cfg.ymir.run_training and split != 'test':
            images = _label_split(cfg, split, class_names, assets_dir, out_dir)
        data[split] = os.path.join(out_dir, f'{split}-index.txt')
        write_text_atomically(data[split], ''.join(f'{path}\n' for path in images))
    path = os.path.join(out_dir, 'data.yaml')
    write_text_atomically(path, yaml.safe_dump(data, allow_unicode=True))
    return path
