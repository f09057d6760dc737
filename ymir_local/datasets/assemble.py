"""From labels as they stand in files to a data set that the platform would take.

========================================  ==============================================================================
what is found                             what happens; all but the first four with a warning that names file and place
========================================  ==============================================================================
class names                               lower-cased and stripped, as the platform's label store does
image named twice in a split              the labels of both places, equal ones once
corners that are not integers              rounded to the nearest pixel border
far corner at most one pixel outside      clipped: many tools write it one too far
box partly outside the image              clipped
box outside, inverted, without area       left out
object without a known class              left out
mask that is none, where masks count      left out; the box stays
class that is not among those asked for   left out; the platform drops objects of other classes too
two names that become the same            one class
image missing or unreadable               left out
image without labels in VOC and YMIR      for inference and mining only, for it may show objects
image drawn at another size               kept; its boxes may not fit, above all where EXIF turns the image
image that occurred before (same bytes)   left out; the first one stays, with its labels
========================================  ==============================================================================
"""

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import UnidentifiedImageError

from ymir_exc.dataset_convert.image_size import any_image_size, read_image_size
from ymir_exc.errors import DatasetError
from ymir_exc.threads import OnProgress, in_threads

from ..platform.image_hash import asset_ids
from ..platform.labels import Dataset, LabelledBox, LabelledImage
from .clip_box import fit
from .files import SPLITS
from .raw import RawBox, RawDataset, RawImage, Warnings, mask_in_file

UNLABELLED = 'unlabelled'  # beside the splits
MISSING = 'the image does not exist'


def platform_name(name: str) -> str:
    """Return a class name as the platform stores it."""
    return str(name).strip().lower()


def assemble(
    raw: RawDataset,
    root: Path,
    class_names: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    as_written: bool = False,
    masks: bool = False,
) -> Dataset:
    """Check labels against their images; see the module's table.

    Args:
        raw: what a reader gave.
        root: where it was read from.
        class_names: the classes to keep, in this order; None: all of the data set.
        on_progress: called now and then with the number of images done and of all.
        as_written: names of classes, fractions of pixels and images that occur twice stay as they are, which the
            platform would change.
        masks: keep the masks of objects, which take much memory.

    Raises:
        DatasetError: `class_names` holds the same class twice, or no image could be read.
    """
    warnings = raw.warnings
    if as_written:
        names = list(raw.class_names)
    else:
        names = _class_names(raw, warnings) if class_names is None else _asked_names(class_names)
    indexes = {name: index for index, name in reversed(list(enumerate(names)))}
    order = [split for split in ('all', *SPLITS) if split in raw.splits]
    listed = [(split, image) for split in order for image in raw.splits[split]]
    listed += [(UNLABELLED, image) for image in raw.unlabelled]
    places: dict[tuple[str, Path], int] = {}  # in its split
    copies = _Copies()
    left_out: Counter = Counter()
    splits: dict[str, list[LabelledImage]] = {split: [] for split in (*order, UNLABELLED)}
    unreadable: list[tuple[str, Path, str]] = []
    readable = _readable(listed, root, warnings, unreadable, on_progress)
    if not as_written:
        copies.find([image.path for _, image, _ in readable])
    for split, image, size in readable:
        place = places.get((split, image.path))
        first = copies.first_of(image.path) if place is None else None
        if first is not None:
            which = (
                f'is in two splits (the second time in {split})'
                if first == image.path
                else f'is the same image as {first}'
            )
            warnings.add(
                'images that occur twice',
                f'{image.path} {which}; it is left out with its {len(image.boxes)} boxes',
                is_loss=bool(image.boxes),
            )
            continue
        if image.boxes and image.size not in (None, size):
            turned = ', turned as by an EXIF orientation' if image.size == size[::-1] else ''
            warnings.add(
                'images of another size',
                f'{image.source}: the labels are for an image of {image.size[0]} x '
                f'{image.size[1]}, {image.path} is {size[0]} x {size[1]}{turned}; the boxes may not fit',
            )
        boxes, crowds = (
            tuple(
                _boxes(
                    image,
                    [box for box in image.boxes if box.crowd == crowd],
                    size,
                    indexes,
                    class_names is not None,
                    left_out,
                    warnings,
                    as_written,
                    masks,
                )
            )
            for crowd in (False, True)
        )
        if place is None:
            places[split, image.path] = len(splits[split])
            splits[split].append(LabelledImage(image.path, *size, boxes, crowds))
        else:
            there = splits[split][place]
            splits[split][place] = replace(
                there, boxes=_joined(there.boxes, boxes), crowds=_joined(there.crowds, crowds)
            )
    for name, count in left_out.items():
        warnings.add(
            f'class {name}',
            f'{root}: class {name!r} is not among the classes asked for; its {count} boxes are left out',
        )
    own = dict.fromkeys(map(platform_name, raw.class_names))
    for name in names if class_names is not None else ():
        if own and name not in own:
            warnings.add(
                'classes that are not there',
                f'{root}: no class is called {name!r}; there are {", ".join(map(repr, own))}',
            )
    return Dataset(
        tuple(names),
        {split: tuple(splits[split]) for split in order},
        warnings.sentences(),
        root,
        tuple(splits[UNLABELLED]),
        tuple(unreadable),
        losses=warnings.of_losses(),
    )


def _readable(
    listed: Sequence[tuple[str, RawImage]],
    root: Path,
    warnings: Warnings,
    unreadable: list[tuple[str, Path, str]],
    on_progress: OnProgress | None,
) -> list[tuple[str, RawImage, tuple[int, int]]]:
    """Yield (split, image, width and height) of each readable image; add the others to `unreadable`."""
    with any_image_size():
        sizes = list(in_threads(_size, [image.path for _, image in listed], on_progress))
    readable = []
    for (split, image), size in zip(listed, sizes):
        if isinstance(size, str):
            named = f' (named in {image.source})' if image.source != image.path else ''
            warnings.add('images left out', f'{image.path}: {size}; it is left out{named}', is_loss=bool(image.boxes))
            unreadable.append((split, image.path, size))
        else:
            readable.append((split, image, size))
    if listed and not readable:
        missing = all(size == MISSING for size in sizes)
        raise DatasetError(
            f'{root}: none of its {len(listed)} images can be read. The first: {listed[0][1].path}: '
            f'{sizes[0]}'
            + ('; copy the images to where the labels are, for example into a folder images' if missing else '')
            + ''.join(f'\n  {sentence}' for sentence in warnings.of_kind('names that differ'))
        )
    return readable


def _joined(first: tuple[LabelledBox, ...], second: tuple[LabelledBox, ...]) -> tuple[LabelledBox, ...]:
    return (*first, *(box for box in second if box not in first))


def _asked_names(class_names: Sequence[str]) -> list[str]:
    names = [platform_name(name) for name in class_names]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DatasetError(
            f'the classes asked for hold {", ".join(map(repr, twice))} twice; the platform compares '
            'names without case and outer blanks'
        )
    return names


def _class_names(raw: RawDataset, warnings: Warnings) -> list[str]:
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in raw.class_names:
        if name not in spellings[platform_name(name)]:
            spellings[platform_name(name)].append(name)
    for name, written in spellings.items():
        if len(written) > 1:
            warnings.add(
                'classes with the same name',
                f'the classes {", ".join(map(repr, written))} become one class, '
                f'{name!r}: the platform compares names without case and outer blanks',
            )
    return [name for name in spellings if name]


def _size(path: Path) -> object:
    """Return the width and height, or what is wrong."""
    if any(letter in os.fspath(path) for letter in '\n\r\t\0'):
        return 'its path holds a line break, TAB or NUL, which the index files of a task cannot'
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return 'it is not a regular file'
        if not status.st_size:
            return 'the file is empty'
        return read_image_size(os.fspath(path))
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            return 'it is not an image, or its beginning is broken'
        return str(error.strerror or error)


def _boxes(
    image: RawImage,
    labelled: Sequence[RawBox],
    size: tuple[int, int],
    indexes: dict[str, int],
    asked: bool,
    left_out: Counter,
    warnings: Warnings,
    as_written: bool,
    masks: bool,
) -> list[LabelledBox]:
    boxes = []
    which = f' ({image.path.name})' if image.source.stem != image.path.stem else ''
    for box in labelled:
        name = box.class_name if as_written else platform_name(box.class_name)
        if name not in indexes:
            if asked and name:
                left_out[name] += 1
            else:
                warnings.add(
                    'boxes without a known class',
                    f'{image.source}: {box.place}{which}: class {box.class_name!r} is unknown; the box is left out',
                )
            continue
        corners = box.corners
        if image.relative:
            corners = tuple(value * side for value, side in zip(corners, (*size, *size)))
        fitted, problem = fit(corners, size, whole_pixels=not as_written)
        if problem:
            done = 'clipped' if fitted else 'left out'
            numbers = f'x {corners[0]:g} to {corners[2]:g}, y {corners[1]:g} to {corners[3]:g}'
            warnings.add(
                f'boxes {done}',
                f'{image.source}: {box.place}{which}: the box {problem} ({numbers}, image '
                f'{size[0]} x {size[1]}); it is {done}',
            )
        if fitted:
            mask = mask_in_file(box.mask) if masks and box.mask else None
            if masks and box.mask and mask is None:
                warnings.add(
                    'masks left out',
                    f'{image.source}: {box.place}{which}: its segmentation is neither polygons [[x, y, ...], ...] of '
                    'finite numbers nor a run-length code with size and counts; the mask is left out',
                )
            boxes.append(LabelledBox(indexes[name], *fitted, box.difficult, mask))
    return boxes


class _Copies:
    """Finds images that have the bytes of an earlier one. Only images of the same size in bytes are read."""

    def __init__(self) -> None:
        self._ids: dict[Path, str] = {}
        self._first: dict[str, Path] = {}
        self._seen: set[str] = set()

    def find(self, paths: Sequence[Path]) -> None:
        by_size: dict[int, list[Path]] = defaultdict(list)
        for path in paths:
            by_size[os.stat(path).st_size].append(path)
        suspects = [path for group in by_size.values() if len(group) > 1 for path in group]
        self._ids = dict(zip(suspects, asset_ids(suspects)))

    def first_of(self, path: Path) -> Path | None:
        """Return the earlier image with the same bytes; None if this is the first one."""
        if path not in self._ids:
            return None
        name = self._ids[path]
        if name in self._seen:
            return self._first[name]
        self._seen.add(name)
        self._first[name] = path
        return None
