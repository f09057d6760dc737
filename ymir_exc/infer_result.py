"""infer-result.json of detection, written image by image (contract section d.3).

One non-integral box makes the platform reject the whole file, so boxes are rounded to integers here; and JSON has no
NaN, so every score is finite.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any, Callable, Iterable, Mapping

from . import env
from .atomic import atomic_file
from .errors import ResultError
from .protocol import multiple_model_stages_supportable
from .record import Record, to_text
from .scalars import to_finite_float, to_rounded_int

_encode = json.JSONEncoder(allow_nan=False).encode


def _finite(convert: Callable[[Any, str], Any], value: Any) -> Any:
    try:
        return convert(value, 'value')
    except ResultError:
        raise ValueError('must be one finite number') from None


def _coordinate(value: Any) -> int:
    number = value if type(value) is int else _finite(to_rounded_int, value)
    if not -(2**31) <= number < 2**31:
        raise ValueError('must be a number of 32 bits')
    return number


def _length(value: Any) -> int:
    number = _coordinate(value)
    if number < 0:
        raise ValueError('must not be negative')
    return number


def _score(value: Any) -> float:
    return float(f'{_finite(to_finite_float, value):.7g}')  # what a float32 holds; more would only make the file longer


def _class_name(value: Any) -> str:
    name = to_text(value)
    if not name.strip():
        raise ValueError('must not be blank')
    return name


class Box(Record):
    """A box in pixels of the image, each number rounded to the nearest integer, halves upwards.

    Attributes:
        x, y: the upper left corner.
        w, h: width and height, not negative.
    """

    x: int
    y: int
    w: int
    h: int
    converters = {'x': _coordinate, 'y': _coordinate, 'w': _length, 'h': _length}


class Annotation(Record):
    """A detected object.

    Attributes:
        class_name: one of ``class_names`` of config.yaml.
        score: finite; the platform's pages expect 0 to 1.
        box: where it is.
    """

    class_name: str
    score: float
    box: Box
    converters = {'class_name': _class_name, 'score': _score}


def _to_dict(annotation: Annotation | Mapping[str, Any], image: str) -> dict[str, Any]:
    if not isinstance(annotation, Annotation):
        try:
            annotation = Annotation.parse_obj(annotation)
        except ValueError as error:
            raise ResultError(f'{image}: {error}; in {annotation!r}') from error
    return annotation.dict()


def name_digest(path: str) -> bytes:
    """Identify an image by its file name, as the platform does, in 16 bytes.

    Args:
        path: the image.

    Returns:
        The same for the same file name; for different ones it differs, with a chance of error below 1e-20 for a billion
        names.
    """
    name = os.path.basename(path).encode('utf-8', 'surrogatepass')
    return hashlib.blake2b(name, digest_size=16).digest()


class InferResultWriter:
    """Writes infer-result.json image by image; the file appears, whole, when the ``with`` block ends without an error.

    Memory grows only by the names already written (about 150 bytes per image), which are kept to reject a second image
    of the same file name: the platform knows images by that name alone.

    Example:
        with InferResultWriter() as writer:
            for path, annotations in results:
                writer.write(path, annotations)

    Args:
        path: the file to write; None takes it from env.yaml.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path or env.get_current_env().output.infer_result_file
        self._list_key = 'boxes' if multiple_model_stages_supportable() else 'annotations'
        self._folders: dict[bytes, str] = {}  # digest of the file name -> folder, shared between images
        self._known_folders: dict[str, str] = {}
        self._context = contextlib.ExitStack()
        self._stream: IO[str] | None = None

    def __enter__(self) -> InferResultWriter:
        self._stream = self._context.enter_context(atomic_file(self._path))
        self._stream.write('{"detection": {')
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        if exception[0] is None:
            self._stream.write('\n}}\n')
        return self._context.__exit__(*exception)

    def write(self, image: str | Path, annotations: Iterable[Annotation | Mapping[str, Any]]) -> None:
        """Add the objects of one image.

        Args:
            image: its path as in the index file; an image without objects must be written too.
            annotations: its objects, as :class:`Annotation` or as a dict of the same form.

        Raises:
            ResultError: a value cannot be written, or another image has the same file name. Let it leave the ``with``
                block: nothing is written then.
        """
        if self._stream is None:
            raise RuntimeError('InferResultWriter is to be used in a with statement')
        folder, name = os.path.split(str(image))
        key = name_digest(name)
        if key in self._folders:
            raise ResultError(
                f'two images have the file name {name}: {os.path.join(self._folders[key], name)} and '
                f'{image}; the platform cannot distinguish them'
            )
        value = {self._list_key: [_to_dict(annotation, str(image)) for annotation in annotations]}
        try:
            entry = f'{_encode(name)}: {_encode(value)}'
        except ValueError as error:  # an attribute of an annotation was assigned after its checks
            raise ResultError(f'{image}: {error}') from error
        self._stream.write((',\n' if self._folders else '\n') + entry)
        self._folders[key] = self._known_folders.setdefault(folder, folder)
