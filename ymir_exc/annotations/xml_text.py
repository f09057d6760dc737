"""Parses XML in any encoding that Python knows.

expat itself knows UTF-8, UTF-16, Latin-1 and ASCII, and annotation tools write ``encoding="gb2312"`` and the like, or
declare one encoding and write another. So the bytes are decoded here first:

==================================================  ====================================================================
what the file has                                   how it is decoded
==================================================  ====================================================================
a byte order mark, or zero bytes around its ``<``   as UTF-8, UTF-16 or UTF-32
a declared encoding that fits                       as declared; gb2312 and gbk as gb18030, which holds both
a declared encoding, but UTF-8 inside               as UTF-8, if it cannot well be the declared one: that is of one byte
                                                    a character, or all other characters are those of three bytes
an unknown or wrong encoding, or none               as UTF-8, else as GB18030
==================================================  ====================================================================

Nothing outside the file is ever loaded, and a file that declares entities, which may grow without end, is rejected.
"""

from __future__ import annotations

import codecs
import re
from typing import Iterator
from xml.etree import ElementTree

_MARKS = (
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF32_LE, 'utf-32'),
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
    (b'<\0\0\0', 'utf-32-le'),
    (b'\0\0\0<', 'utf-32-be'),
    (b'<\0', 'utf-16-le'),
    (b'\0<', 'utf-16-be'),
)
_DECLARATION = re.compile(r'\s*<\?xml\b[^>]*?\?>')
_ENCODING = re.compile(rb'^\s*<\?xml\b[^>]*?\bencoding\s*=\s*["\']\s*([\w.:-]+)\s*["\']')
_ENTITY = re.compile(r'<!ENTITY\b', re.IGNORECASE)
# Windows means more characters by these names than the standards do.
_WIDER = {
    'gb2312': 'gb18030',
    'gbk': 'gb18030',
    'shift_jis': 'cp932',
    'euc_kr': 'cp949',
    'big5': 'cp950',
    'iso8859-1': 'cp1252',
}
# Of Python's codecs, those that are not encodings of a file as a whole, or need two bytes for a letter of ASCII.
_NO_ENCODINGS = re.compile(r'(utf-?_?(7|16|32))|punycode|idna|escape|undefined|mbcs|oem')
_DECLARED_BYTES = 1024
_NOT_ASCII = re.compile('[^\x00-\x7f]')
_FOUR_LETTERS = b'\xe0\xe1\xe2\xe3'  # in encodings of one byte a character; two or three characters in others


def parse_xml(data: bytes) -> ElementTree.Element:
    """Parse an XML file.

    Args:
        data: the whole file.

    Returns:
        Its root element.

    Raises:
        ValueError: it is not XML, is in no encoding that is known, or declares entities; the message says which, and
            where.
    """
    text = decode_xml(data)
    if _ENTITY.search(text):
        raise ValueError('it declares entities (<!ENTITY), which are not read; remove them')
    try:
        # In the place of the declaration, which is wrong for text, so that lines keep their numbers.
        return ElementTree.fromstring(_DECLARATION.sub(lambda found: '\n' * found.group().count('\n'), text, count=1))
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error


def decode_xml(data: bytes, errors: str = 'strict') -> str:
    """Decode an XML file; see the module's table.

    Args:
        data: the file, or its beginning.
        errors: 'strict', or 'ignore' for a beginning that may end within a character.

    Raises:
        ValueError: its bytes are of no encoding that is known.
    """
    for name in _encodings(data):
        try:
            return data.decode(name, errors)
        except (UnicodeError, LookupError):
            continue
    declared = _declared(data)
    raise ValueError(
        f'its text is neither in {f"{declared}, as it says, nor in " if declared else ""}UTF-8 or GB18030; save '
        'it as UTF-8'
    )


def _encodings(data: bytes) -> Iterator[str]:
    """Yield what to try, the best first."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            yield name
            return
    declared = _codec(_declared(data))
    if declared and not _is_utf8_all_the_same(data, declared):
        yield _WIDER.get(declared, declared)
        yield declared
    yield 'utf-8'
    yield 'gb18030'


def _declared(data: bytes) -> str | None:
    found = _ENCODING.match(data[:_DECLARED_BYTES])
    return found.group(1).decode('ascii', 'replace') if found else None


def _codec(declared: str | None) -> str | None:
    """Return Python's name of a declared encoding; None if there is none, or it cannot be that of this file."""
    plain = re.sub(r'^x-', '', (declared or '').lower())
    for name in (plain, re.sub(r'^windows-(\d+)j?$', r'cp\1', plain), re.sub(r'^gb_?2312.*', 'gb2312', plain)):
        try:
            found = codecs.lookup({'cp31': 'cp932', 'sjis': 'cp932', 'cp936': 'gbk'}.get(name, name)).name
        except LookupError:
            continue
        return None if _NO_ENCODINGS.search(found) else found
    return None


def _is_utf8_all_the_same(data: bytes, codec: str) -> bool:
    """Return whether the text is UTF-8 though another encoding is declared; see the module's table."""
    try:
        others = _NOT_ASCII.findall(data.decode('utf-8'))
    except UnicodeDecodeError:
        return False
    try:
        of_one_byte = len(_FOUR_LETTERS.decode(codec, 'replace')) == len(_FOUR_LETTERS)
    except LookupError:  # no encoding of text, such as hex
        return True
    return bool(others) and (of_one_byte or all(letter > '\u07ff' for letter in others))
