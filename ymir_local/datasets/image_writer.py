"""What all writers share: where images go, by copy or by link, and what could not be written."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ymir_exc.threads import OnProgress, in_threads

from ..platform.assets import copy, link_or_copy
from ..platform.labels import LabelledImage
from .files import is_image

MAX_STEM = 249  # bytes of 255, with .jpeg behind
SUFFIX_OF = {
    'PNG': '.png',
    'BMP': '.bmp',
    'WEBP': '.webp',
    'TIFF': '.tif',
    'GIF': '.gif',
    'JPEG2000': '.jp2',
    'PPM': '.ppm',
    'AVIF': '.avif',
}
Written = tuple[str, ...]  # warnings, one sentence each


def _cut(text: str, num_bytes: int) -> str:
    return text.encode()[:num_bytes].decode(errors='ignore').strip()


def _suffix(path: Path) -> str:
    """Return the ending of an image that has none, or none that readers of folders know, such as YMIR's `.unknown`."""
    try:
        with Image.open(path) as image:
            return SUFFIX_OF.get(image.format, '.jpg')
    except Exception:  # PIL's parsers raise what they like on broken data
        return '.jpg'


class ImagePlaces:
    """Puts images below a folder under names whose stems are unique in the whole data set.

    Args:
        folder: of the data set.
        link: link instead of copying; a changed copy is then a changed source.
        on_progress: called now and then with the number of images done and of all of a split.
    """

    def __init__(self, folder: Path, link: bool, on_progress: OnProgress = lambda done, count: None) -> None:
        self.folder = folder
        self.link = link
        self.on_progress = on_progress
        self.warnings: list[str] = []
        self._stems: set[str] = set()

    def add(self, below: str, images: Sequence[LabelledImage]) -> list[str]:
        """Put images into a sub-folder.

        Args:
            below: its name.
            images: what to put there.

        Returns:
            The file name of each image, without folder.
        """
        target = self.folder / below
        target.mkdir(parents=True, exist_ok=True)
        names = [self._unique(image.path) for image in images]
        pairs = [(image.path, target / name) for image, name in zip(images, names)]
        for _ in in_threads(self._put, pairs, self.on_progress):
            pass
        return names

    def _put(self, pair: tuple[Path, Path]) -> None:
        if self.link:
            link_or_copy(*pair, symlink=True)
        else:
            copy(*pair)

    def _unique(self, path: Path) -> str:
        suffix = path.suffix if is_image(path) else _suffix(path)
        # Control characters no XML can hold, nor UTF-8 the bytes that are none.
        stem = ''.join('_' if ord(letter) < 32 or '\ud800' <= letter <= '\udfff' else letter for letter in path.stem)
        stem = stem.strip() or 'image'
        candidate, number = _cut(stem, MAX_STEM), 1
        while candidate.lower() in self._stems:
            number += 1
            candidate = _cut(stem, MAX_STEM - len(f'_{number}')) + f'_{number}'
        self._stems.add(candidate.lower())
        return candidate + suffix

    def written(self) -> Written:
        """Return what could not be written."""
        return tuple(self.warnings)
