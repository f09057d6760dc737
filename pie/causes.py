"""What exceptions of others mean, in both languages: of JSON, of files, of pictures, of the network."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

from PIL import UnidentifiedImageError

from pie.texts import Words

# Beginnings of what the parser of Python says.
JSON_FAULTS = {
    'Expecting value': 'json_value',
    'Expecting property name': 'json_name',
    "Expecting ':'": 'json_colon',
    "Expecting ','": 'json_comma',
    'Unterminated string': 'json_open_text',
    'Invalid control character': 'json_control',
    'Invalid \\': 'json_escape',
    'Extra data': 'json_rest',
}
FILE_FAULTS = {
    errno.ENOENT: 'file_absent',
    errno.EACCES: 'file_denied',
    errno.EPERM: 'file_denied',
    errno.EISDIR: 'file_is_folder',
    errno.ENOTDIR: 'file_below_file',
    errno.EEXIST: 'file_in_the_way',
    errno.ENOSPC: 'disk_full',
    errno.EDQUOT: 'disk_full',
    errno.EROFS: 'disk_read_only',
    errno.ENAMETOOLONG: 'name_too_long',
}
# Names of classes, of boto3, urllib3 and requests too, which need not be there.
NETWORK_FAULTS = {
    'network_no_connection': (
        'EndpointConnectionError',
        'ConnectionRefusedError',
        'ConnectionError',
        'NewConnectionError',
        'URLError',
        'gaierror',
    ),
    'network_timeout': ('ConnectTimeoutError', 'ReadTimeoutError', 'TimeoutError', 'Timeout'),
    'network_broken_off': (
        'IncompleteReadError',
        'IncompleteRead',
        'ResponseStreamingError',
        'ProtocolError',
        'ConnectionClosedError',
        'ConnectionResetError',
        'BrokenPipeError',
        'ConnectionAbortedError',
    ),
    'network_no_keys': ('NoCredentialsError', 'PartialCredentialsError'),
}


def json_cause(error: Exception) -> Words:
    """Return why a text is not JSON.

    Args:
        error: Of a parser, or of reading the file.
    """
    if isinstance(error, json.JSONDecodeError):
        key = next((key for start, key in JSON_FAULTS.items() if error.msg.startswith(start)), 'json_other')
        return Words('json_fault', line=error.lineno, column=error.colno, what=Words(key))
    if isinstance(error, RecursionError):
        return Words('json_deep')
    return Words('not_utf8') if isinstance(error, UnicodeDecodeError) else Words('other', reason=error)


def file_cause(error: OSError) -> Words:
    """Return why a file cannot be opened or written."""
    key = FILE_FAULTS.get(error.errno or 0)
    return Words(key) if key else Words('other', reason=error.strerror or error)


def picture_cause(error: Exception, path: Path) -> Words:
    """Return why a picture cannot be read.

    Args:
        error: Of Pillow.
        path: The picture.
    """
    if isinstance(error, OSError) and error.errno:
        return file_cause(error)
    if path.is_file() and not path.stat().st_size:
        return Words('file_empty')
    if isinstance(error, UnidentifiedImageError):
        return Words('picture_unknown')
    return Words('picture_cut' if 'truncated' in str(error).lower() else 'picture_damaged')


def network_cause(error: BaseException) -> Words | None:
    """Return what the network did, None if an exception is not about it; the ones that it was raised from count too.

    Args:
        error: Of a client of a storage or a service.
    """
    for link in _chain(error):
        names = [cls.__name__ for cls in type(link).__mro__]
        if 'HTTPError' in names:  # an answer, though of a kind of URLError
            return None
        for name in names:
            key = next((key for key, known in NETWORK_FAULTS.items() if name in known), None)
            if key:
                return Words(key, kind=names[0])
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
