"""The two sets of a training as COCO files, and a validation set cut from the training set where there is none."""

import hashlib
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


def hold_out(coco: Coco) -> tuple[Coco, Coco]:
    """Split a set by a hash of the image paths.

    Args:
        coco: The whole set, with at least one image.

    Returns:
        A set to train on and one of about a tenth to validate on; a single image is in both, and where all objects are
        in that tenth, its images are.
    """
    images = sorted(coco['images'], key=lambda image: hashlib.sha1(image['file_name'].encode()).hexdigest())
    count = max(round(HELD_OUT_SHARE * len(images)), 1)
    held, rest = images[:count], images[count:] or images[:1]
    train = _subset(coco, rest)
    return train if train['annotations'] else coco, _subset(coco, held)


def _subset(coco: Coco, images: list[dict[str, Any]]) -> Coco:
    ids = {image['id'] for image in images}
    annotations = [annotation for annotation in coco['annotations'] if annotation['image_id'] in ids]
    return dict(coco, images=images, annotations=annotations)


def unreadable_images() -> list[UnreadableImage]:
    """Return the images that could not be read so far, as part ('training' or 'validation'), path and reason."""
    return UNREADABLE.all()
