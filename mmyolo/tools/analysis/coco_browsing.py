"""Images of a COCO file with their boxes or masks, without a config."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData
from pycocotools.coco import COCO


def choose_images(coco: COCO, category_names: Sequence[str] | None, shuffle: bool) -> tuple[list, list]:
    """Choose images and the categories to draw.

    Args:
        coco: The file.
        category_names: Draw only these, and only images that have one; None: everything.
        shuffle: Whether to draw images by chance.

    Returns:
        Ids of images and of categories.

    Raises:
        ValueError: If a category is unknown, no image has one, or there are no images.
    """
    ids = {category['name']: category['id'] for category in coco.dataset['categories']}
    images = [image['id'] for image in coco.dataset['images']]
    if not images:
        raise ValueError('The COCO file has no images, so there is nothing to draw')
    if category_names:
        unknown = [name for name in category_names if name not in ids]
        if unknown:
            raise ValueError(f'--category-names: {unknown} is not among the categories, {sorted(ids)}')
        ids = {name: ids[name] for name in category_names}
        with_objects = {coco.anns[index]['image_id'] for index in coco.getAnnIds(catIds=list(ids.values()))}
        images = [image for image in images if image in with_objects]
        if not images:
            raise ValueError(f'No image has an object of {list(category_names)}')
    if shuffle:
        random.shuffle(images)
    return images, list(ids.values())


def objects(
    coco: COCO, images: Sequence[int], categories: Sequence[int], folder: Path, masks: bool
) -> Iterator[tuple[str, np.ndarray, InstanceData]]:
    """Read images with their objects; crowds are left out.

    Args:
        coco: The file.
        images: Ids of images.
        categories: Ids of categories.
        folder: Where the images are.
        masks: Whether to read segmentations too.

    Yields:
        Name of the file, RGB image (H, W, 3), and instances; labels count the categories of the whole file.

    Raises:
        FileNotFoundError: If an image is missing or damaged.
    """
    labels = {category['id']: label for label, category in enumerate(coco.dataset['categories'])}
    for image_id in images:
        file = folder / coco.imgs[image_id]['file_name']
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise FileNotFoundError(
                f'{file} is missing or cannot be read; --data-root and --img-dir say where images are'
            )
        entries = coco.loadAnns(coco.getAnnIds(imgIds=[image_id], catIds=categories, iscrowd=False))
        boxes = torch.tensor([entry['bbox'] for entry in entries], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        instances = InstanceData(bboxes=boxes, labels=torch.tensor([labels[e['category_id']] for e in entries]).long())
        if masks and entries and all(entry.get('segmentation') for entry in entries):
            instances.masks = np.stack([coco.annToMask(entry) for entry in entries])
        yield file.name, np.ascontiguousarray(image[..., ::-1]), instances
