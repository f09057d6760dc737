"""The two sets of a training as COCO files, and a validation set cut from the training set where there is none."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmyolo.utils.image_cache import cache_size
from mmyolo.utils.unreadable import UNREADABLE, UnreadableImage

HELD_OUT_SHARE = 0.1

Coco = dict[str, Any]


@dataclass(frozen=True)
class TrainingData:
    """The two sets of a training, as COCO files with absolute image paths.

    Args:
        train_file: Annotations to train on.
        val_file: Annotations to validate on.
        image_sizes: (width, height) of each training image.
        num_val: Images to validate on.
    """

    train_file: Path
    val_file: Path
    image_sizes: tuple[tuple[int, int], ...]
    num_val: int = 0

    @property
    def num_train(self) -> int:
        return len(self.image_sizes)

    def cache_bytes(self, max_size: int) -> int:
        """Size of an image cache for all training images.

        Args:
            max_size: The longer side is shrunk to this.

        Returns:
            Bytes, with room for sides that are rounded up.
        """
        pixels = 0
        for width, height in self.image_sizes:
            ratio = min(max_size / max(width, height, 1), 1)
            pixels += int((width * ratio + 1) * (height * ratio + 1))
        return cache_size(self.num_train, 3 * pixels)


def held_out(names: Sequence[str], has_objects: Callable[[Sequence[int]], bool]) -> tuple[Sequence[int], Sequence[int]]:
    """Choose what to validate on by a hash of the images' names, so that the same data gives the same split anywhere.

    Args:
        names: File names of all images, at least one.
        has_objects: Whether any of the images with these indices has an object.

    Returns:
        Indices of the images to train on and of about a tenth to validate on; a single image is in both, and where all
        objects are in that tenth, its images are.
    """
    order = sorted(range(len(names)), key=lambda index: hashlib.sha1(_bytes_of(names[index])).hexdigest())
    count = max(round(HELD_OUT_SHARE * len(order)), 1)
    held, rest = order[:count], order[count:] or order[:1]
    return rest if has_objects(rest) else range(len(names)), held


def _bytes_of(name: str) -> bytes:
    return name.encode('utf-8', 'surrogateescape')


def hold_out(coco: Coco) -> tuple[Coco, Coco]:
    """Split a set as `held_out` does.

    Args:
        coco: The whole set, with at least one image.

    Returns:
        A set to train on and one to validate on.
    """
    images = coco['images']
    with_objects = {annotation['image_id'] for annotation in coco['annotations']}
    rest, held = held_out(
        [image['file_name'] for image in images],
        lambda chosen: any(images[index]['id'] in with_objects for index in chosen),
    )
    return _subset(coco, [images[index] for index in rest]), _subset(coco, [images[index] for index in held])


def image_files(file: Path) -> dict[int, str]:
    """Return the file of each image of a set by its id, in the order of the set.

    Args:
        file: A COCO file with absolute image paths.
    """
    return {image['id']: image['file_name'] for image in json.loads(file.read_text(encoding='utf-8'))['images']}


def _subset(coco: Coco, images: list[dict[str, Any]]) -> Coco:
    ids = {image['id'] for image in images}
    annotations = [annotation for annotation in coco['annotations'] if annotation['image_id'] in ids]
    return dict(coco, images=images, annotations=annotations)


def unreadable_images() -> list[UnreadableImage]:
    """Return the images that could not be read so far, as part ('training' or 'validation'), path and reason."""
    return UNREADABLE.all()
