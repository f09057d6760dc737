r"""Finds the files that label files name, though names change as data sets travel.

=====================================  =================================================================================
how a name differs                     example: what is written, and the file
=====================================  =================================================================================
folders of another machine             `/content/drive/set/images/1.jpg`, `C:\set\images\1.jpg`, `../images/1.jpg`:
                                       `images/1.jpg`
capital letters, as after a copy from  `IMG_0.JPG`: `IMG_0.jpg`
Windows
accents as one letter or as two, as    `é.jpg`: `é.jpg`
macOS writes them
%-escapes, outer blanks, an address    `my%20image.jpg`, `1.jpg `, `https://host/images/1.jpg?x=1`
ending of the image                    `1.jpeg`: `1.jpg`
folder of the image                    `1.jpg`: `pictures/2024/1.jpg`
=====================================  =================================================================================

A name that fits exactly wins. Other letters, endings and folders count only if one file fits, and are reported:
`FileNames.report`.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from .files import images_below, is_image, split_of
from .raw import Warnings

_MOST_FOLDERS = 32  # of a written path that are looked for under other letters


def plain_name(name: str) -> str:
    """Return a file name without what copying changes: capital letters, forms of accents, %-escapes and outer blanks.

    Args:
        name: without folder.
    """
    return unicodedata.normalize('NFC', unicodedata.normalize('NFC', unquote(name)).casefold()).strip()


def without_address(written: str) -> str:
    """Return a path as it is on a disk, with `/`: without %-escapes and what else an address has.

    Args:
        written: as a file of labels has it; Label Studio has `?d=` before the path.
    """
    name = written.replace('\\', '/').rpartition('?d=')[2]
    return unquote(name.partition('?')[0] if '://' in name else name)


class _Listing(NamedTuple):
    """Names of a folder by plain name, and those of images by plain stem."""

    names: dict[str, list[str]]
    stems: dict[str, list[str]]


class FileNames:
    """Finds files under the names that are written somewhere; safe to use from several threads."""

    def __init__(self) -> None:
        self._listings: dict[Path, _Listing] = {}
        self._folders: dict[Path, Path | None] = {}
        self._existing: dict[tuple[tuple[Path, ...], tuple[str, ...]], list[Path]] = {}
        self._images: dict[Path, dict[str, list[Path]]] = {}
        self._notes: dict[tuple[str, str], str] = {}

    def find_written(
        self,
        written: str,
        bases: Iterable[Path],
        source: Path,
        is_there: Callable[[str], bool] = os.path.isfile,
        in_split: bool = False,
    ) -> Path | None:
        """Find what a file of labels names: as it stands there, else without its first folders.

        Args:
            written: the path in the file.
            bases: folders that it may start from, the best first.
            source: the file, for the note.
            is_there: os.path.isfile or os.path.exists; unlike those of Path, they take any text.
            in_split: never leave out a folder that is named after a split: `test/images` is not `images`.
        """
        bases = list(bases)
        name = written.replace('\\', '/')
        for tail in _tails(name, in_split):
            for base in bases:
                if is_there(base / tail):
                    return base / tail
        places = self._places(tuple(bases), _tails(without_address(name), in_split))
        for other_ending in (False, True):
            for place in places:
                found = self._fitting(place, written, source, other_ending)
                if found is not None and is_there(found):
                    return found
        return None

    def _places(self, bases: tuple[Path, ...], tails: list[str]) -> list[Path]:
        """Return the tails in folders that exist, under other letters perhaps; folders are looked for once."""
        parents = tuple(tail.rpartition('/')[0] for tail in tails[-_MOST_FOLDERS:])
        if (bases, parents) not in self._existing:
            folders = (self._folder(base / parent) for parent in parents for base in bases)
            self._existing[bases, parents] = [folder for folder in dict.fromkeys(folders) if folder is not None]
        name = tails[-1].rpartition('/')[2]
        return [folder / name for folder in self._existing[bases, parents]] if name else []

    def find_below(self, written: str, root: Path, source: Path) -> Path | None:
        """Find the only image of a name in any folder.

        Args:
            written: the path in the file.
            root: folder to search, with all that are below.
            source: the file, for the note.
        """
        if root not in self._images:
            images: dict[str, list[Path]] = {}
            for path in images_below(root):
                images.setdefault(plain_name(path.name), []).append(path)
            self._images[root] = images
        name = without_address(written).rpartition('/')[2]
        fitting = self._images[root].get(plain_name(name), [])
        fitting = [path for path in fitting if path.name == name] or fitting
        if len(fitting) > 1:
            self._notes.setdefault(
                (str(source), written),
                f'{source}: {written!r} is not where images are looked for; '
                f'{fitting[0]} and {fitting[1]} both could be meant',
            )
        if len(fitting) != 1:
            return None
        self.note_place(written, fitting[0], root, source)
        return fitting[0]

    def find_labels(self, path: Path, image: Path) -> Path | None:
        """Find the only file of labels whose name differs in what copying changes, if it is of no other image.

        Args:
            path: the file as it should be called; it does not exist.
            image: whose labels it would hold.
        """

        def is_of_another(found: Path) -> bool:
            names = self._listing(image.parent).stems.get(plain_name(found.stem), [])
            return any(Path(name).stem == found.stem for name in names if name != image.name)

        return self._fitting(path, path.name, image, False, is_of_another)

    def note(self, written: str, found: Path, source: Path) -> None:
        """Note that a file was taken for one of another name.

        Args:
            written: the name that was looked for.
            found: the file.
            source: the file that asks for it.
        """
        self._notes[str(source), written] = (
            f'{source}: {written!r} is taken for {found}, for no other file has that name '
            f'but for {_difference(written, found.name)}'
        )

    def note_place(self, written: str, found: Path, root: Path, source: Path) -> None:
        """Note that an image was found where none is looked for.

        Args:
            written: the name that was looked for.
            found: the image.
            root: folder that was searched.
            source: the file that asks for it.
        """
        self._notes[str(source), written] = (
            f'{source}: {written!r} is taken for {found}, the only image of that name below {root}'
        )

    def report(self, warnings: Warnings) -> None:
        """Add a sentence for every name that differed.

        Args:
            warnings: takes them.
        """
        for key in sorted(self._notes):
            warnings.add('names that differ', self._notes[key])

    def _fitting(
        self,
        path: Path,
        written: str,
        source: Path,
        other_ending: bool,
        is_taken: Callable[[Path], bool] = lambda found: False,
    ) -> Path | None:
        folder = self._folder(path.parent)
        if folder is None:
            return None
        listing = self._listing(folder)
        if other_ending:  # or none is written
            fitting = listing.stems.get(plain_name(path.stem if is_image(path) else path.name), [])
        else:
            fitting = listing.names.get(plain_name(path.name), [])
        if len(fitting) > 1:
            self._notes[str(source), written] = (
                f'{source}: {written!r} is not there; {" and ".join(fitting)} in {folder} both could be meant'
            )
        if len(fitting) != 1 or is_taken(folder / fitting[0]):
            return None
        found = folder / fitting[0]
        if found != path and (is_image(path) or found != path.with_name(f'{path.name}{found.suffix}')):
            self.note(written, found, source)
        return found

    def _folder(self, path: Path) -> Path | None:
        """Return a folder under its name, else the only one whose name differs in what copying changes."""
        if path not in self._folders:
            found: Path | None = path if os.path.isdir(path) else None
            if found is None and path.parent != path:
                parent = self._folder(path.parent)
                names = self._listing(parent).names.get(plain_name(path.name), []) if parent else []
                folders = [parent / name for name in names if os.path.isdir(parent / name)]
                found = folders[0] if len(folders) == 1 else None
            self._folders[path] = found
        return self._folders[path]

    def _listing(self, folder: Path) -> _Listing:
        if folder not in self._listings:
            listing = _Listing({}, {})
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                names = []
            for name in names:
                listing.names.setdefault(plain_name(name), []).append(name)
                if is_image(Path(name)):
                    listing.stems.setdefault(plain_name(Path(name).stem), []).append(name)
            self._listings[folder] = listing
        return self._listings[folder]


def _tails(name: str, in_split: bool) -> list[str]:
    parts = [part for part in name.split('/') if part not in ('', '.', '..')]
    last = max((at for at, part in enumerate(parts) if in_split and split_of(part)), default=len(parts) - 1)
    return list(dict.fromkeys((name, *('/'.join(parts[start:]) for start in range(last + 1)))))


def _difference(written: str, found: str) -> str:
    name = without_address(written).rpartition('/')[2]
    found = found if Path(name).suffix else Path(found).stem
    if plain_name(name) != plain_name(found):
        return 'its ending'
    if name.casefold() == found.casefold():
        return 'capital letters'
    if unicodedata.normalize('NFC', name).casefold() == unicodedata.normalize('NFC', found).casefold():
        return 'the form of its accents'
    return 'blanks or %-escapes'
