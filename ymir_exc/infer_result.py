"""infer-result.json of detection, written image by image (contract section d.3).

One non-integral box makes the platform reject the whole file, so boxes are rounded to integers here; and JSON has no
NaN, so every score is finite.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import IO, Any, Callable, Iterable, Mapping

from . import env
from .atomic import atomic_file
from .errors import ResultError
from .name_table import NameTable
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


class InferResultWriter:
    """Writes infer-result.json image by image; the file appears, whole, when the ``with`` block ends without an error.

    Memory grows only by the names already written (about 40 bytes per image), which are kept to reject a second image
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
        self._names = NameTable()
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
        earlier = self.write_new(image, annotations)
        if earlier is not None:
            name = os.path.basename(str(image))
            raise ResultError(
                f'two images have the file name {name}: {earlier} and {image}; the platform cannot distinguish them'
            )

    def write_new(self, image: str | Path, annotations: Iterable[Annotation | Mapping[str, Any]]) -> str | None:
        """Add the objects of one image, unless one of the same file name was added before.

        Args:
            image: as for :meth:`write`.
            annotations: as for :meth:`write`; not looked at where the image is left out.

        Returns:
            None, or the path of the image with that name, which stays.

        Raises:
            ResultError: a value cannot be written.
        """
        if self._stream is None:
            raise RuntimeError('InferResultWriter is to be used in a with statement')
        is_first = not len(self._names)
        earlier = self._names.add(str(image))
        if earlier is not None:
            return earlier
        value = {self._list_key: [_to_dict(annotation, str(image)) for annotation in annotations]}
        try:
            entry = f'{_encode(os.path.basename(str(image)))}: {_encode(value)}'
        except ValueError as error:  # an attribute of an annotation was assigned after its checks
            raise ResultError(f'{image}: {error}') from error
        self._stream.write(('\n' if is_first else ',\n') + entry)
        return None
