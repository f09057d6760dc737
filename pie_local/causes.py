"""Why a file cannot be read, in both languages, whoever found it: the parser of JSON, YAML or Python, the system."""

import errno
import json
import zipfile
from typing import Any

import yaml
from PIL import Image, UnidentifiedImageError

from .texts import Text, say

FILE_CAUSES = {
    errno.ENOENT: 'cause.absent',
    errno.EACCES: 'cause.denied',
    errno.EISDIR: 'cause.folder',
    errno.ENOTDIR: 'cause.absent',
}
PICTURE_ERRORS = (SyntaxError, ValueError, Image.DecompressionBombError)


class ContentError(ValueError):
    """The content of a file is not what is needed."""

    def __init__(self, key: str, /, **values: Any) -> None:
        """Fill a text.

        Args:
            key: Of `say`.
            **values: Of `say`.
        """
        self.text = say(key, **values)
        super().__init__(self.text.en)


def cause_of(error: Exception) -> Text:
    """Return what an exception means.

    Args:
        error: Of reading or parsing a file.
    """
    if isinstance(error, ContentError):
        return error.text
    if isinstance(error, json.JSONDecodeError):
        return say('cause.json', line=error.lineno, column=error.colno)
    if isinstance(error, UnicodeDecodeError):
        return say('cause.encoding')
    if isinstance(error, RecursionError):
        return say('cause.deep')
    if isinstance(error, zipfile.BadZipFile):
        return say('cause.zip')
    mark = getattr(error, 'problem_mark', None)
    if isinstance(error, yaml.YAMLError) and mark is not None:
        return say('cause.yaml', line=mark.line + 1, column=mark.column + 1)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return say('cause.python', line=error.lineno, column=error.offset or 1)
    if isinstance(error, OSError) and error.errno in FILE_CAUSES:
        return say(FILE_CAUSES[error.errno])
    return Text(*[' '.join(str(error).split())] * 2)


def picture_cause(error: Exception) -> Text:
    """Return what an exception of Pillow means.

    Args:
        error: Of opening or decoding a picture.
    """
    if isinstance(error, ContentError) or isinstance(error, OSError) and error.errno:
        return cause_of(error)
    if isinstance(error, UnidentifiedImageError):
        return say('cause.no_picture')
    return say('cause.cut' if 'truncated' in str(error).lower() else 'cause.damaged')
