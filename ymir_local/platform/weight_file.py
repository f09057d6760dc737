"""The class names in a weight file, read without torch and without running anything that the file says.

`torch.save` writes a pickle, alone or within an uncompressed zip. Every class and function that the pickle names is
replaced by one stand-in that does nothing, so mappings, lists and texts come out and all else is empty. Tensors are not
read.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

MAX_PICKLE = 128 << 20  # of a file whose tensors are stored beside it; the losses of a long training are some MB
OLD_MAGIC = 0x1950A86A20F9469CFC6C  # the first of four pickles in files before torch 1.6


class _Nothing(dict):
    """Takes the place of whatever a pickle names; a mapping stays one, since metas may be of mmengine's kind."""

    def __init__(self, *values: Any, **_: Any) -> None:
        super().__init__(values[0] if len(values) == 1 and isinstance(values[0], dict) else ())

    def __call__(self, *_: Any, **__: Any) -> '_Nothing':
        return _Nothing()

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, *_: Any) -> None:
        """Accept the items of a list or of a set; none is kept."""

    extend = add = append
    __hash__ = object.__hash__


class _Reader(pickle._Unpickler):  # in Python: the one in C makes room for as many objects as a file says that it has
    def find_class(self, module: str, name: str) -> type:
        return _Nothing

    def persistent_load(self, pid: Any) -> _Nothing:
        return _Nothing()


def class_names_in(file: Path) -> list[str] | None:
    """Read the class names that a checkpoint of mmengine keeps in its meta.

    Args:
        file: A `.pth` or `.pt` file.

    Returns:
        The names in the order of the model's outputs; None if it does not say, or is not such a file.
    """
    try:
        with open(file, 'rb') as stream:
            content = _read_zip(stream) if zipfile.is_zipfile(stream) else _read_old(stream)
    except Exception:  # a broken pickle raises anything; what is wrong with the file says the executor that loads it
        return None
    return _class_names(content)


def _read_zip(stream: BinaryIO) -> Any:
    with zipfile.ZipFile(stream) as archive:
        info = next(item for item in archive.infolist() if item.filename.split('/')[1:] == ['data.pkl'])
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > MAX_PICKLE:
            return None
        with archive.open(info) as member:
            return _Reader(member).load()


def _read_old(stream: BinaryIO) -> Any:
    stream.seek(0)
    if _Reader(stream).load() != OLD_MAGIC:
        return None
    _Reader(stream).load(), _Reader(stream).load()  # version, and sizes of numbers
    return _Reader(stream).load()


def _class_names(content: Any) -> list[str] | None:
    meta = _mapping(content, 'meta')
    dataset_meta = _mapping(meta, 'dataset_meta')
    names = meta.get('class_names') or dataset_meta.get('classes') or dataset_meta.get('CLASSES') or meta.get('CLASSES')
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in names):
        return None
    stripped = [name.strip() for name in names]
    return stripped if stripped and len({name.lower() for name in stripped}) == len(stripped) else None


def _mapping(content: Any, key: str) -> Mapping[str, Any]:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, dict) else {}
