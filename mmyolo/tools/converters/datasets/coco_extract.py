"""Takes a small data set out of COCO, for trying things out."""

import logging
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmyolo.utils.coco_file import object_area, read_coco
from mmyolo.utils.files import replacing, write_json
from mmyolo.utils.terminal import progress

from .coco_files import subset

AREAS = {'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, float('inf'))}  # in square pixels, as COCO's


def choose(
    coco: dict, num_images: int, rng: random.Random, area_size: str | None = None, classes: Sequence[str] | None = None
) -> dict:
    """Draw images of a COCO file.

    Args:
        coco: The content of the file.
        num_images: How many; -1 for all.
        rng: Draws them.
        area_size: 'small', 'medium' or 'large': keep only objects of that size and images that have one.
        classes: Keep only objects of these classes and images that have one.

    Returns:
        The content of the file of the chosen images, in the order of `coco`. Categories stay as they are.

    Raises:
        ValueError: If a class is unknown or nothing is left.
    """
    annotations, images = coco['annotations'], coco['images']
    if classes:
        ids = {category['name']: category['id'] for category in coco['categories']}
        unknown = [name for name in classes if name not in ids]
        if unknown:
            raise ValueError(f'--classes: {unknown} is not among the categories, {sorted(ids)}')
        wanted = {ids[name] for name in classes}
        annotations = [annotation for annotation in annotations if annotation['category_id'] in wanted]
    if area_size:
        low, high = AREAS[area_size]
        annotations = [annotation for annotation in annotations if low <= object_area(annotation) < high]
    if classes or area_size:
        with_objects = {annotation['image_id'] for annotation in annotations}
        images = [image for image in images if image['id'] in with_objects]
    if not images:
        raise ValueError('No image has such an object; allow more with --classes or --area-size')
    if 0 <= num_images < len(images):
        chosen = set(rng.sample(range(len(images)), num_images))
        images = [image for index, image in enumerate(images) if index in chosen]
    elif num_images > len(images):
        print_log(f'Only {len(images)} images fit, {num_images} were asked for', 'current', logging.WARNING)
    return subset(coco, images, annotations)


def extract(
    root: Path, out_dir: Path, num_images: int, use_training_set: bool, seed: int | None, **filters
) -> dict[str, dict]:
    """Write a small data set in the layout of COCO 2017.

    Args:
        root: Has annotations/instances_{train,val}2017.json and the folders train2017 and val2017.
        out_dir: Gets the same files and folders with fewer images.
        num_images: How many images each part gets; -1 for all.
        use_training_set: Whether training images come from train2017; otherwise both parts come from val2017, which
            is quick to read, and they may share images.
        seed: Makes the draw repeatable.
        **filters: `area_size` and `classes` of `choose`.

    Returns:
        'train' and 'val' to what was written.

    Raises:
        ValueError: If `out_dir` is `root`.
    """
    if out_dir.resolve() == root.resolve():
        raise ValueError('out_dir is root; writing there would replace the data set')
    rng, parts, copies = random.Random(seed), {}, []
    for part, source in ('train', 'train' if use_training_set else 'val'), ('val', 'val'):
        file = root / 'annotations' / f'instances_{source}2017.json'
        parts[part] = choose(read_coco(file, defaults=False), num_images, rng, **filters)
        folders = root / f'{source}2017', out_dir / f'{part}2017'
        copies.extend(
            (folders[0] / image['file_name'], folders[1] / image['file_name']) for image in parts[part]['images']
        )
    _copy(progress(copies, 'Copying images'))
    for part, content in parts.items():
        write_json(out_dir / 'annotations' / f'instances_{part}2017.json', content)
    return parts


def _copy(pairs: Iterator[tuple[Path, Path]]) -> None:
    for source, target in pairs:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
