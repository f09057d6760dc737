"""The data set of a training task as coco files (contract sections c.3 to c.8).

Boxes are clipped to the image and have the width xmax - xmin + 1 of the platform's inclusive corners; sizes are those
after EXIF orientation. What happens to bad data is in the table of :mod:`~ymir_exc.dataset_convert.labelled_images`.
A finished conversion is known by a stamp of everything that went into it, not by the folder's existence.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Sequence

from ..annotations import annotation_format, make_reader
from ..atomic import write_text_atomically
from ..attribute_dict import AttributeDict
from ..dataset_reader import images_count, read_items
from ..util import get_class_names, get_merged_config
from .labelled_images import DatasetImage, OnProgress, file_identity, read_labelled_images
from .report import ConversionReport, SplitReport

FORMAT_VERSION = 1  # to be raised when the files that are written change


def _coco_annotation(image_id: int, annotation_id: int, item: Any, first_category: int) -> dict[str, Any]:
    width, height = item.xmax - item.xmin, item.ymax - item.ymin
    annotation = {
        'id': annotation_id,
        'image_id': image_id,
        'category_id': item.class_id + first_category,
        'bbox': [item.xmin, item.ymin, width, height],
        'area': width * height if item.segmentation is None or item.area is None else item.area,
        'iscrowd': item.iscrowd,
        'segmentation': item.segmentation or [],
    }
    if item.quality is not None:
        annotation['bbox_quality'] = item.quality
    if item.angle is not None:
        annotation['rotate_angle'] = item.angle
    return annotation


def make_coco(images: Sequence[DatasetImage], class_names: Sequence[str], cat_id_from_zero: bool) -> dict[str, Any]:
    """Make a coco dict with absolute image paths.

    Args:
        images: with objects inside the image.
        class_names: in the order of the class index; every class becomes a category.
        cat_id_from_zero: whether the first category has id 0, else 1. Images and annotations count from 1.
    """
    first = 0 if cat_id_from_zero else 1
    categories = [
        {'id': index, 'name': name, 'supercategory': 'object'} for index, name in enumerate(class_names, first)
    ]
    image_entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, 1):
        image_entries.append(
            {'id': image_id, 'file_name': os.path.abspath(image.path), 'width': image.width, 'height': image.height}
        )
        for item in image.objects:
            annotations.append(_coco_annotation(image_id, len(annotations) + 1, item, first))
    return {'images': image_entries, 'annotations': annotations, 'categories': categories}


def _stamp(items: Sequence[tuple[str, str]], num_workers: int | None, *parts: Any) -> str:
    """Hash the content of the index, every file's size and time, and the settings."""
    digest = hashlib.sha256(repr((FORMAT_VERSION, *parts)).encode())
    with ThreadPoolExecutor(num_workers) as pool:
        for identity in pool.map(lambda item: (file_identity(item[0]), file_identity(item[1])), items):
            digest.update(repr(identity).encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()


def _finished(stamp_file: str, ann_file: str, stamp: str) -> SplitReport | None:
    try:
        with open(stamp_file, encoding='utf-8') as stream:
            content = json.load(stream)
        if content['inputs'] == stamp and tuple(content['ann_file']) == file_identity(ann_file):
            return SplitReport.from_dict(content['report'])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it is of another version: convert again
    return None


def _convert_split(
    cfg: AttributeDict,
    split: str,
    cat_id_from_zero: bool,
    out_dir: str,
    num_workers: int | None,
    progress: OnProgress | None,
) -> SplitReport:
    class_names = get_class_names(cfg)
    items = read_items(cfg, split)
    name = annotation_format(cfg.param.get('export_format'), items[0][1] if items else '')
    ann_file = os.path.join(out_dir, f'ymir_{split}.json')
    stamp_file = os.path.join(out_dir, f'ymir_{split}.stamp.json')
    img_dir = cfg.ymir.input.assets_dir
    stamp = _stamp(items, num_workers, split, name, img_dir, class_names, cat_id_from_zero)
    report = _finished(stamp_file, ann_file, stamp)
    if report is not None:
        if progress is not None:
            progress(len(items), len(items))
        return report

    report = SplitReport(split=split, img_dir=img_dir, ann_file=ann_file, annotation_format=name)
    images = read_labelled_images(items, make_reader(name, class_names), class_names, report, num_workers, progress)
    write_text_atomically(ann_file, json.dumps(make_coco(images, class_names, cat_id_from_zero), allow_nan=False))
    stamped = {'inputs': stamp, 'ann_file': file_identity(ann_file), 'report': report.to_dict()}
    write_text_atomically(stamp_file, json.dumps(stamped))
    return report


def convert_dataset_to_coco(
    cfg: AttributeDict | None = None,
    splits: Sequence[str] = ('train', 'val'),
    cat_id_from_zero: bool = False,
    out_dir: str | None = None,
    num_workers: int | None = None,
    progress: OnProgress | None = None,
) -> ConversionReport:
    """Write ``ymir_<split>.json`` for each split, unless the same conversion is finished; return what it had.

    ``export_format`` of config.yaml says which annotations to read: ark, voc or coco.

    Args:
        cfg: what ``util.get_merged_config()`` gives; None calls it.
        splits: which of ``train`` and ``val``.
        cat_id_from_zero: whether the category ids start at 0, else at 1.
        out_dir: None is ``ymir_dataset`` in the output directory.
        num_workers: threads that read; None lets Python choose.
        progress: called now and then with the number of images done and of all, over all splits.

    Returns:
        Counts, and what was skipped, dropped and clipped, with reasons and places.

    Raises:
        DatasetError: the data cannot be used; ``code`` is 300002, or 300003 if no image can be read. No file of the
            split is changed.
        ConfigError: ``class_names`` or ``export_format`` of config.yaml.
    """
    cfg = get_merged_config() if cfg is None else cfg
    out_dir = out_dir or os.path.join(cfg.ymir.output.root_dir, 'ymir_dataset')
    counts = [images_count(cfg, split) for split in splits]
    reports: dict[str, SplitReport] = {}
    total = sum(counts)
    for index, split in enumerate(splits):
        before = sum(counts[:index])
        shifted = None if progress is None else lambda done, _, before=before: progress(before + done, total)
        reports[split] = _convert_split(cfg, split, cat_id_from_zero, out_dir, num_workers, shifted)
    return ConversionReport(splits=reports)


def convert_ymir_to_coco(cat_id_from_zero: bool = False) -> dict[str, dict[str, str]]:
    """Convert the training and validation sets to coco files under ``/out/ymir_dataset``.

    Args:
        cat_id_from_zero: whether the category ids start at 0, else at 1.

    Returns:
        ``train`` and ``val`` -> ``img_dir``, the folder of the images, and ``ann_file``, the coco file. The paths in
        it are absolute.

    Raises:
        DatasetError, ConfigError: see :func:`convert_dataset_to_coco`.
    """
    report = convert_dataset_to_coco(cat_id_from_zero=cat_id_from_zero)
    return {split: {'img_dir': part.img_dir, 'ann_file': part.ann_file} for split, part in report.splits.items()}
