"""labelme: a JSON file of shapes per image, beside it or in a folder of its own.

========================================  ==============================================================================
shape                                     its box
========================================  ==============================================================================
rectangle, polygon, rotation, mask        around its points; before version 3.17 shapes have no type: two points are a
                                          rectangle, more are a polygon
circle                                    around the circle that has its second point on its edge
point, line, linestrip, points            none; it is left out
========================================  ==============================================================================

Files may lack what labelme itself does not need, such as the size. Classes are in the order of `labels.txt` or
`classes.txt` where there is one, else alphabetical.
"""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from ymir_exc.errors import DatasetError
from ymir_exc.threads import in_threads

from .class_lists import take_classes
from .file_names import FileNames
from .files import files_below, read_head, read_json, split_folders, split_of
from .images_of_labels import ImagesOfLabels
from .raw import MOST_PIXELS, UNLABELLED, RawBox, RawDataset, RawImage, number_in_file, size_in_file

LOOKS_FOR = '.json files of labelme ("shapes" and "imagePath") beside images or in a folder of their own'
_LABEL_FOLDERS = ('labels', 'json', 'jsons', 'annotations', 'Annotations', 'labelme')
_NO_AREA = ('point', 'points', 'line', 'linestrip')


class Shape(NamedTuple):
    """One shape of a file.

    Attributes:
        kind: 'rectangle', 'polygon', ...
        box: the object; None if the shape has no area or is damaged.
        problem: what is wrong then.
    """

    kind: str
    box: RawBox | None
    problem: str = ''


class LabelmeFile(NamedTuple):
    """What a file says of its image.

    Attributes:
        image_name: the path of the image as written; may be empty.
        size: width and height, where the file has them.
        shapes: in their order.
    """

    image_name: str
    size: tuple[int, int] | None
    shapes: list[Shape]


def label_files(root: Path) -> list[Path]:
    """Return the files of a folder and below that look like labelme's, from their first bytes."""
    return [path for path in files_below(root) if looks_like_labelme(path)] if root.is_dir() else []


def is_labelme(root: Path) -> bool:
    """Return whether there is a file of labelme."""
    return root.is_dir() and any(looks_like_labelme(path) for path in files_below(root))


def looks_like_labelme(path: Path) -> bool:
    """Return whether a file looks like labelme's.

    Args:
        path: any file.
    """
    if path.suffix.lower() != '.json' or not path.is_file():
        return False
    head = read_head(path).replace(b'\0', b'')  # of UTF-16
    return (
        b'"shapes"' in head
        and (b'"imagePath"' in head or b'"points"' in head)
        or b'"imageData"' in head
        and b'"imagePath"' in head
    )


def read_file(path: Path) -> LabelmeFile:
    """Read one file.

    Args:
        path: the file.

    Raises:
        DatasetError: it is not a labelme file.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get('shapes'), list):
        raise DatasetError(f'{path} is not a labelme file: it needs a list "shapes"')
    name = content.get('imagePath')
    return LabelmeFile(
        name if isinstance(name, str) and '\0' not in name else '',
        size_in_file(content.get('imageWidth'), content.get('imageHeight')),
        [_shape(entry, f'shape {number}') for number, entry in enumerate(content['shapes'], 1)],
    )


def _shape(entry: Any, place: str) -> Shape:
    if not isinstance(entry, dict):
        return Shape('', None, f'{place} is {str(entry)[:60]!r}, no mapping')
    label, kind = entry.get('label'), entry.get('shape_type')
    try:
        points = [(number_in_file(x), number_in_file(y)) for x, y in entry['points']]
    except (KeyError, TypeError, ValueError, OverflowError):
        return Shape(str(kind), None, f'{place} has no points [[x, y], ...] in numbers')
    kind = kind.strip().lower() if isinstance(kind, str) else kind
    if not kind:
        kind = 'rectangle' if len(points) == 2 else 'polygon' if len(points) > 2 else 'point'
    if isinstance(label, bool) or not isinstance(label, (str, int)) or not str(label).strip():
        return Shape(str(kind), None, f'{place} has no label')
    if kind in _NO_AREA:
        return Shape(str(kind), None, f'{place} is a {kind}, which has no area')
    if len(points) < 2:
        return Shape(str(kind), None, f'{place} is a {kind} of {len(points)} points')
    if not all(abs(value) < MOST_PIXELS for point in points for value in point):  # NaN is not, either
        corners = (math.nan,) * 4
    else:
        if kind == 'circle':
            (x, y), edge = points[:2]
            radius = math.dist((x, y), edge)
            points = [(x - radius, y - radius), (x + radius, y + radius)]
        corners = tuple(pick(values) for pick in (min, max) for values in zip(*points))
    is_outline = kind == 'polygon' and len(points) > 2 and corners[0] == corners[0]
    mask = [[value for point in points for value in point]] if is_outline else None
    return Shape(str(kind), RawBox(str(label).strip(), corners, place, bool(entry.get('difficult')), mask=mask))


def read(root: Path) -> RawDataset:
    """Read the labelled images of a folder; see the module.

    Args:
        root: its folder.

    Raises:
        DatasetError: there is not a labelme file.
    """
    raw = RawDataset()
    files = FileNames()
    paths = label_files(root)
    if not paths:
        raise DatasetError(f'{root} holds no files of labelme; looked for {LOOKS_FOR}')
    images = ImagesOfLabels(root, files, _LABEL_FOLDERS)
    found = set()
    for path, result in zip(paths, in_threads(_read_or_error, paths)):
        image = images.find(path, result.image_name if isinstance(result, LabelmeFile) else '')
        found |= {image} if image else set()
        if isinstance(result, DatasetError):
            raw.warnings.add('annotations left out', f'{result}; the image is left out')
            continue
        split = next(filter(None, map(split_of, path.relative_to(root).parts[:-1])), 'all')
        raw.splits.setdefault(split, []).append(
            RawImage(
                image or path.parent / (Path(result.image_name.replace('\\', '/')).name or f'{path.stem}.jpg'),
                path,
                take_boxes(result, path, raw),
                size=result.size,
            )
        )
    files.report(raw.warnings)
    raw.rest_to_train()
    for path in images.beside(found):
        raw.unlabelled.append(RawImage(path, root, ()))
        raw.warnings.add('images without annotation', f'{path} has no .json file; {UNLABELLED}')
    take_classes(raw, (root, *(folder for _, folder in split_folders(root))))
    return raw


def take_boxes(content: LabelmeFile, path: Path, raw: RawDataset, kinds: Collection[str] = ()) -> list[RawBox]:
    """Return the boxes of a file; what has none becomes a warning.

    Args:
        content: of the file.
        path: the file.
        raw: takes the warnings.
        kinds: only shapes of these kinds; none: of every kind that has an area.
    """
    boxes = []
    for shape in content.shapes:
        if shape.box is None:
            raw.warnings.add('annotations left out', f'{path}: {shape.problem}; it is left out')
        elif kinds and shape.kind not in kinds:
            raw.warnings.add(
                'shapes of other kinds',
                f'{path}: {shape.box.place} is a {shape.kind}, not a {" or ".join(kinds)}; it is left out',
            )
        else:
            boxes.append(shape.box)
    return boxes


def _read_or_error(path: Path) -> object:
    try:
        return read_file(path)
    except DatasetError as error:
        return error
