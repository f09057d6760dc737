"""Finds the images of data sets that have a file of labels per image."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from .file_names import FileNames, plain_name, without_address
from .files import images_below, is_image

_IMAGE_FOLDERS = ('JPEGImages', 'images', 'Images', 'JPEGimages', 'img')


class ImagesOfLabels:
    """Finds the image of a file of labels: beside it, or where the folder of labels is one of images.

    Args:
        root: folder of images and labels.
        files: notes images whose names differ in letters.
        label_folders: names of folders of labels.
    """

    def __init__(self, root: Path, files: FileNames, label_folders: Sequence[str]) -> None:
        self._root = root
        self._label_folders = label_folders
        self._files = files
        self._by_folder: dict[Path, dict[str, Path]] = {}  # by name and by stem; a name wins
        self._by_plain_name: dict[Path, dict[str, set[Path]]] = {}  # the same of each folder by plain name
        self._anywhere_by_plain_name: dict[str, set[Path]] = {}
        for path in images_below(root):
            names = self._by_folder.setdefault(path.parent, {})
            names.setdefault(path.stem, path)
            names[path.name] = path
            plain = self._by_plain_name.setdefault(path.parent, {})
            for name in map(plain_name, (path.stem, path.name)):
                plain.setdefault(name, set()).add(path)
                self._anywhere_by_plain_name.setdefault(name, set()).add(path)
        self._folders_of = lru_cache(maxsize=None)(self._find_folders)

    def _find_folders(self, folder: Path) -> list[Path]:
        """Return where the images of the labels of a folder may lie, the best first."""
        # A list may name anything, such as /.
        parts = folder.relative_to(self._root).parts if folder.is_relative_to(self._root) else ()
        swapped = [
            Path(self._root, *parts[:position], name, *parts[position + 1 :])
            for position in range(len(parts) - 1, -1, -1)
            if parts[position] in self._label_folders
            for name in _IMAGE_FOLDERS
        ]
        flat = [parent / name for parent in (folder.parent, self._root) for name in _IMAGE_FOLDERS]
        folders = dict.fromkeys((*swapped, folder, *flat, folder.parent, self._root))
        return [path for path in folders if path in self._by_folder]

    def find(self, annotation: Path, file_name: str) -> Path | None:
        """Return the image of a file of labels; None if there is none.

        Args:
            annotation: the file of labels.
            file_name: what it says the image is called.
        """
        name, bare = (text.rpartition('/')[2] for text in (file_name.replace('\\', '/'), without_address(file_name)))
        names = [annotation.stem, name, Path(name).stem, bare, Path(bare).stem]
        if Path(name).stem == annotation.stem:
            names.insert(0, name)
        folders = self._folders_of(annotation.parent)
        found = next(
            (self._by_folder[folder][name] for name in names for folder in folders if name in self._by_folder[folder]),
            None,
        )
        return found or self._with_other_letters(annotation, names, folders) or self._anywhere(annotation, names)

    def _with_other_letters(self, annotation: Path, names: list[str], folders: list[Path]) -> Path | None:
        """Return the only image whose name differs in what copying changes, if it has no labels of its own."""
        for name in filter(None, names):
            for folder in folders:
                fitting = self._by_plain_name[folder].get(plain_name(name), ())
                if len(fitting) == 1:
                    image = next(iter(fitting))
                    if not annotation.with_name(f'{image.stem}{annotation.suffix}').is_file():
                        self._files.note(name if is_image(Path(name)) else name + image.suffix, image, annotation)
                        return image
        return None

    def _anywhere(self, annotation: Path, names: list[str]) -> Path | None:
        """Return the only image of a name in any folder, if it has no labels of its own."""
        for name in filter(None, names):
            fitting = self._anywhere_by_plain_name.get(plain_name(name), ())
            image = next(iter(fitting), None)
            own = image and annotation.with_name(f'{image.stem}{annotation.suffix}')
            if len(fitting) == 1 and (own == annotation or not own.is_file()):
                self._files.note_place(name, image, self._root, annotation)
                return image
        return None

    def beside(self, found: set[Path]) -> list[Path]:
        """Return the images that are not among these, but in a folder with one of them."""
        folders = dict.fromkeys(path.parent for path in sorted(found))
        paths = (path for folder in folders for path in dict.fromkeys(self._by_folder.get(folder, {}).values()))
        return [path for path in paths if path not in found]
