"""A folder of images without labels: candidates for mining and inference."""
from pathlib import Path

from .files import images_below
from .raw import RawDataset, RawImage

LOOKS_FOR = 'images (jpg, png, bmp, webp, tif ...) in the folder or its sub-folders'


def is_images(root: Path) -> bool:
    """Whether there is an image in the folder or below."""
    return bool(images_below(root))


def read(root: Path) -> RawDataset:
    """Reads the folder; see the module."""
    return RawDataset(splits=dict(all=[RawImage(path, path, ()) for path in images_below(root)]))
