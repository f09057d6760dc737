"""Reading the objects of a label file in the VOC format, with the oddities of the platform (contract section 4).

`<filename>` is the name of the XML file, `<difficult>` is empty, the corners come in any order as decimals, and a
`bndbox` with more than four children is a polygon x1, y1, x2, y2, ..., of which the bounding rectangle counts.
"""

import math
import re
from typing import NamedTuple
from xml.etree import ElementTree

from pie.texts import UnusableError, Words

# A declaration may name a code that the parser of Python does not know.
DECLARATION = re.compile(rb'^\s*<\?xml[^>]*?\?>')
ENCODING = re.compile(rb'encoding\s*=\s*["\']([\w.-]+)["\']')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


class VocObject(NamedTuple):
    """One labelled object.

    Args:
        name: Its class.
        box: (x1, y1, x2, y2) in pixels, as the file has them.
    """

    name: str
    box: tuple[float, float, float, float]


class VocFile(NamedTuple):
    """What a label file holds.

    Args:
        objects: Those with a name and a box.
        faults: What is wrong with each object without.
    """

    objects: list[VocObject]
    faults: list[Words]


def read_voc(data: bytes) -> VocFile:
    """Read a label file.

    Args:
        data: Its content.

    Returns:
        The objects, and what is wrong with others.

    Raises:
        UnusableError: It is not an XML file with an `annotation`, or it defines entities, which no label file needs.
    """
    root = _parse(data)
    if root.tag != 'annotation':
        raise UnusableError('voc_root', tag=root.tag[:40])
    objects, faults = [], []
    for number, node in enumerate(root.iter('object'), 1):
        name = (node.findtext('name') or '').strip()
        try:
            if not name:
                raise UnusableError('voc_no_name')
            objects.append(VocObject(name, _box(node)))
        except UnusableError as error:
            faults.append(Words('voc_object', number=number, what=error.words))
    return VocFile(objects, faults)


def _parse(data: bytes) -> ElementTree.Element:
    data = data.lstrip(b'\xef\xbb\xbf \t\r\n')
    if not data:
        raise UnusableError('file_empty')
    if re.search(rb'<!(DOCTYPE|ENTITY)', data, re.IGNORECASE):
        raise UnusableError('voc_doctype')
    declaration = DECLARATION.match(data)
    encoding = ENCODING.search(declaration.group()) if declaration else None
    if encoding and encoding[1].lower().startswith((b'gb', b'big5')):
        code = 'big5' if encoding[1].lower().startswith(b'big5') else 'gb18030'
        try:
            data = data[declaration.end() :].decode(code).encode()
        except ValueError as error:
            raise UnusableError('voc_encoding') from error
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise UnusableError('voc_no_xml', line=line, column=column + 1) from error
    except (LookupError, ValueError) as error:
        raise UnusableError('voc_encoding') from error


def _box(node: ElementTree.Element) -> tuple[float, float, float, float]:
    box = node.find('bndbox')
    if box is None:
        raise UnusableError('voc_no_box')
    if len(box) > 4:  # a polygon
        x, y = ([_number(part) for part in box if part.tag.lower().startswith(axis)] for axis in 'xy')
        if not x or not y:
            raise UnusableError('voc_polygon')
        return min(x), min(y), max(x), max(y)
    corners = {part.tag.lower(): part for part in box}
    absent = [name for name in CORNERS if name not in corners]
    if absent:
        raise UnusableError('voc_corners', names=', '.join(absent))
    x1, y1, x2, y2 = (_number(corners[name]) for name in CORNERS)
    if x1 >= x2 or y1 >= y2:
        raise UnusableError('voc_no_area', box=f'{x1:g},{y1:g},{x2:g},{y2:g}')
    return x1, y1, x2, y2


def _number(node: ElementTree.Element) -> float:
    try:
        value = float((node.text or '').strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnusableError('voc_number', tag=node.tag, found=repr(node.text)[:80])
    return value
