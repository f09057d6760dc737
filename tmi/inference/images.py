"""From paths to batches for the network: decode and letterbox, in loader processes or in place.

Images are decoded as in training (OpenCV, colour, EXIF orientation applied), whatever their extension, and go through
the transforms of the config's test pipeline, so the input is bit for bit that of `inference_detector`. They stay uint8;
normalisation happens on the device. Images of different sizes, which some pipelines give, form groups of their own:
padding them to a common size would make the boxes of an image depend on the others in its batch.
"""

import copy
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmyolo.datasets.transforms.loading import check_regular_file, decode_image
from mmyolo.errors import UnreadableImageError
from mmyolo.registry import TRANSFORMS
from tmi.inference.image_list import iter_image_list

SHARED_MEMORY = '/dev/shm'
PREFETCH = 2  # batches that each loader process is ahead


@dataclass
class Image:
    """One image.

    Args:
        index: Position in the list.
        path: The file.
        meta: `ori_shape` (h, w), `scale_factor` (w, h) and `pad_param` of the letterbox; None if it could not be read.
        problem: Why it could not be read.
    """

    index: int
    path: str
    meta: dict[str, Any] | None = None
    problem: str = ''


@dataclass
class Batch:
    """Consecutive images of one process.

    Args:
        images: All of them.
        groups: For each input size, places in `images` and pixels (n, H, W, 3) uint8 BGR.
    """

    images: list[Image]
    groups: list[tuple[list[int], np.ndarray | Tensor]]

    def pin_memory(self) -> 'Batch':
        """Return the batch in memory that a GPU copies from without waiting; called by the loader."""
        return Batch(self.images, [(places, torch.as_tensor(pixels).pin_memory()) for places, pixels in self.groups])


def read_image(path: str) -> np.ndarray:
    """Decode an image.

    Args:
        path: JPEG, PNG, BMP or whatever OpenCV knows, by content.

    Returns:
        (h, w, 3) uint8 BGR, turned as its EXIF orientation says.

    Raises:
        OSError: It cannot be read or is not an image; `reason_of` says why.
    """
    check_regular_file(path)
    return decode_image(np.fromfile(path, dtype=np.uint8), path)


def reason_of(error: Exception) -> str:
    """Return why an image could not be prepared, in a few words without its path."""
    if isinstance(error, UnreadableImageError):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return 'its pixels need more memory than there is'
    return ' '.join(f'it cannot be prepared ({type(error).__name__}: {error})'.split())[:300]


class Letterbox:
    """Reads images and runs the transforms of a test pipeline on them.

    Args:
        steps: What a family's `pixel_transforms` gives.
    """

    def __init__(self, steps: Sequence[dict[str, Any]]) -> None:
        self._transform = Compose([TRANSFORMS.build(dict(step)) for step in steps])

    def __call__(self, index: int, path: str) -> tuple[Image, np.ndarray | None]:
        """Read one image.

        Args:
            index: Position in the list.
            path: The file.

        Returns:
            The image, and its pixels (H, W, 3) uint8 BGR in the network's size, None if it could not be read.
        """
        try:
            pixels = read_image(path)
            return self.prepare(index, path, pixels)
        except Exception as error:  # whatever is odd about one image, the others are to be predicted
            return Image(index, path, problem=reason_of(error)), None

    def prepare(self, index: int, path: str, pixels: np.ndarray) -> tuple[Image, np.ndarray]:
        """Run the transforms on one image.

        Args:
            index: Position in the list.
            path: The file that the pixels come from.
            pixels: (h, w, 3) uint8 BGR.

        Returns:
            The image, and its pixels (H, W, 3) uint8 BGR in the network's size.
        """
        shape = pixels.shape[:2]
        results = self._transform({'img': pixels, 'img_path': path, 'ori_shape': shape, 'img_shape': shape})
        meta = {key: results[key] for key in ('ori_shape', 'scale_factor', 'pad_param') if key in results}
        return Image(index, path, meta), results['img']


class ImageBatches(IterableDataset):
    """The batches of one process; loader processes share them out in turn, so their order does not depend on them.

    Args:
        folder: Where the list of images lies.
        rank: Number of the process.
        world_size: How many processes there are.
        letterbox: Reads an image.
        batch_size: Images per batch.
        skipped: Positions of images that are not read, with the reasons.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        world_size: int,
        letterbox: Letterbox,
        batch_size: int,
        skipped: Mapping[int, str] | None = None,
    ) -> None:
        self.folder = folder
        self.rank = rank
        self.world_size = world_size
        self.batch_size = batch_size
        self.skipped = skipped or {}
        self.letterbox = letterbox
        self.first, self.stop = 0, None
        self.on_image: Callable[[int], None] | None = None

    def part(self, first: int, stop: int | None = None) -> 'ImageBatches':
        """Return the batches of a part of the images.

        Args:
            first: How many images of the process are left out at the beginning.
            stop: The number of its image that is no longer wanted, None for all.
        """
        part = copy.copy(self)
        part.first, part.stop = first, stop
        return part

    def one_by_one(self, on_image: Callable[[int], None]) -> 'ImageBatches':
        """Return the same images in batches of one; only for a loader that loads in place.

        Args:
            on_image: Called with the position of each image before it is read.
        """
        part = copy.copy(self)
        part.batch_size, part.on_image = 1, on_image
        return part

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        first, count = (worker.id, worker.num_workers) if worker else (0, 1)
        pending: list[tuple[int, str]] = []
        number = 0
        for image in iter_image_list(self.folder, self.rank, self.world_size, self.first, self.stop):
            pending.append(image)
            if len(pending) == self.batch_size:
                if number % count == first:
                    yield self._load(pending)
                pending = []
                number += 1
        if pending and number % count == first:
            yield self._load(pending)

    def _load(self, listed: Sequence[tuple[int, str]]) -> Batch:
        images, groups = [], {}
        for place, (index, path) in enumerate(listed):
            if self.on_image is not None:
                self.on_image(index)
            if index in self.skipped:
                images.append(Image(index, path, problem=self.skipped[index]))
                continue
            image, pixels = self.letterbox(index, path)
            images.append(image)
            if pixels is not None:
                groups.setdefault(pixels.shape, []).append((place, pixels))
        stacked = [
            ([place for place, _ in group], _sendable(np.stack([pixels for _, pixels in group])))
            for group in groups.values()
        ]
        return Batch(images, stacked)


def _sendable(pixels: np.ndarray) -> np.ndarray | Tensor:
    """Return a tensor, which loader processes hand over in shared memory, or, if that is too small, an array to copy.

    Containers start with 64 MB of it by default, and whoever writes beyond is killed by a bus error.
    """
    worker = get_worker_info()
    if worker is not None:
        in_flight = (PREFETCH + 2) * worker.num_workers * pixels.nbytes
        if not os.path.isdir(SHARED_MEMORY) or shutil.disk_usage(SHARED_MEMORY).free < in_flight:
            return pixels
    return torch.from_numpy(pixels)


def make_loader(batches: ImageBatches, workers: int, pin_memory: bool) -> DataLoader:
    """Make the loader of one process.

    Args:
        batches: What to load.
        workers: Loader processes; 0 loads in place.
        pin_memory: For faster copies to a GPU.

    Returns:
        A loader of `Batch`, at most `PREFETCH` of them ahead per loader process.
    """
    cv2.setNumThreads(0)  # processes share the cores; threads of OpenCV below them would only wait for each other
    return DataLoader(
        batches,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=PREFETCH if workers else None,
    )
