"""The data set of a training task as coco files (contract sections c.3 to c.8).

Boxes are clipped to the image and have the width xmax - xmin + 1 of the platform's inclusive corners; sizes are those
after EXIF orientation. What happens to bad data is in the table of :mod:`~ymir_exc.dataset_convert.labelled_images`.
Each file is read once: what is checked and what is converted comes of the same reading.
"""

from __future__ import annotations

import os
from typing import Sequence

from ..annotations import AnnotationReader, annotation_format, make_reader
from ..attribute_dict import AttributeDict
from ..dataset_reader import read_items
from ..errors import ConfigError
from ..util import get_class_names, get_merged_config
from .coco_file import coco_file
from .compact import LabelledImages
from .duplicates import find_duplicates
from .image_size import MAX_PIXELS
from .labelled_images import OnFinding, OnProgress, read_labelled_images
from .report import ConversionReport, DataIssue, SplitReport


def convert_dataset_to_coco(
    cfg: AttributeDict | None = None,
    splits: Sequence[str] = ('train', 'val'),
    cat_id_from_zero: bool = False,
    out_dir: str | None = None,
    num_workers: int | None = None,
    progress: OnProgress | None = None,
    on_finding: OnFinding | None = None,
    max_pixels: int = MAX_PIXELS,
    decode: int | None = None,
    masks: bool = False,
) -> ConversionReport:
    """Check a data set and write ``ymir_<split>.json`` for each split.

    ``export_format`` of config.yaml says which annotations to read: ark, voc or coco.

    Args:
        cfg: what ``util.get_merged_config()`` gives; None calls it.
        splits: which of ``train`` and ``val``.
        cat_id_from_zero: whether the category ids start at 0, else at 1.
        out_dir: None is ``ymir_dataset`` in the output directory.
        num_workers: processes or threads that read; None: a few per core.
        progress: called now and then with the number of images done and of all, over all splits.
        on_finding: called with the split and each thing that is wrong or odd, also if an error follows.
        max_pixels: larger images are skipped, as decoding them takes more memory than there is.
        masks: whether each object needs a mask, polygons or a run-length code, so that those without are skipped.
        decode: pixels that are decoded to find images that are nearly the same; 0: none, None: by the number of cores.

    Returns:
        Counts, what was skipped, dropped, clipped and is odd, with reasons and places, and the images themselves.

    Raises:
        DatasetError: the data cannot be used; ``code`` is 300002, or 300003 if no image can be read. No file of the
            split is changed.
        ConfigError: ``class_names`` or ``export_format`` of config.yaml; also for masks in a format that has none.
    """
    cfg = get_merged_config() if cfg is None else cfg
    out_dir = out_dir or os.path.join(cfg.ymir.output.root_dir, 'ymir_dataset')
    class_names = get_class_names(cfg)
    items = {split: read_items(cfg, split) for split in splits}
    total, before = sum(map(len, items.values())), 0
    readers: dict[str, AnnotationReader] = {}
    reports: dict[str, SplitReport] = {}
    images: dict[str, LabelledImages] = {}
    for split in splits:
        listed = items.pop(split)
        name = annotation_format(cfg.param.get('export_format'), listed[0][1] if listed else '')
        if masks and name != 'coco':
            raise ConfigError(
                f'export_format in config.yaml is {cfg.param.get("export_format")!r}, which gives boxes and no masks; '
                'instance segmentation needs seg-coco:raw'
            )
        reader = readers.setdefault(name, make_reader(name, class_names))
        ann_file = os.path.join(out_dir, f'ymir_{split}.json')
        report = SplitReport(split, cfg.ymir.input.assets_dir, ann_file, name)
        shifted = None if progress is None else lambda done, _, before=before: progress(before + done, total)
        found = images[split] = LabelledImages()
        with coco_file(ann_file, found, class_names, cat_id_from_zero) as file:
            read_labelled_images(
                listed,
                reader,
                class_names,
                report,
                num_workers,
                shifted,
                on_finding,
                max_pixels,
                file.add,
                found,
                masks,
            )
        reports[split] = report
        before += report.num_listed

    def add(split: str, finding: DataIssue) -> None:
        reports[split].add(finding)
        if on_finding is not None:
            on_finding(split, finding)

    find_duplicates(images, add, num_workers, decode)
    return ConversionReport(splits=reports, images=images)


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
