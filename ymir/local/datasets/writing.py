"""What all writers share: where images go, by copy or by link, and what could not be written."""
from pathlib import Path
from typing import List, Sequence, Set, Tuple

from ..assets import copy, link_or_copy
from ..hashing import Progress, in_threads
from ..labels import LabelledImage

Written = Tuple[str, ...]  # warnings, one sentence each


class ImagePlaces:
    """Puts images below a folder under names whose stems are unique in the whole data set.

    Args:
        folder: of the data set.
        link: link instead of copying; a changed copy is then a changed source.
        on_progress: called now and then with the number of images done and of all of a split.
    """

    def __init__(self, folder: Path, link: bool, on_progress: Progress = lambda done, count: None) -> None:
        self.folder = folder
        self.link = link
        self.on_progress = on_progress
        self.warnings: List[str] = []
        self._stems: Set[str] = set()

    def add(self, below: str, images: Sequence[LabelledImage]) -> List[str]:
        """Puts images into a sub-folder.

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

    def _put(self, pair: Tuple[Path, Path]) -> None:
        if self.link:
            link_or_copy(*pair, symlink=True)
        else:
            copy(*pair)

    def _unique(self, path: Path) -> str:
        stem = ''.join('_' if ord(letter) < 32 else letter for letter in path.stem).strip() or 'image'
        candidate, number = stem, 1
        while candidate.lower() in self._stems:
            number += 1
            candidate = f'{stem}_{number}'
        self._stems.add(candidate.lower())
        return candidate + path.suffix

    def written(self) -> Written:
        """What could not be written."""
        return tuple(self.warnings)
