"""A folder of images without labels, or a single image: candidates for mining and inference."""

from pathlib import Path

from .files import images_below, is_image
from .raw import RawDataset, RawImage
from .unsupported import foreign_labels

LOOKS_FOR = 'images (jpg, png, bmp, webp, tif ...) in the folder or its sub-folders'


def _images(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if is_image(root) else []
    return images_below(root)


def is_images(root: Path) -> bool:
    """Return whether there is an image in the folder or below."""
    return bool(_images(root))


def read(root: Path) -> RawDataset:
    """Read the folder; see the module."""
    raw = RawDataset(splits={'all': [RawImage(path, path, ()) for path in _images(root)]})
    for sentence in foreign_labels(root):
        raw.warnings.add('labels that are not read', sentence)
    return raw
