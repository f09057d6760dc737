"""Judges `output/picture/`: the pictures of the task, whole, and in the colours of the classes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..causes import PICTURE_ERRORS, ContentError, picture_cause
from ..texts import say
from .finding import Expected, Finding

PICTURES = {
    'detection': ('pred.png',),
    'segmentation': ('image.png', 'label.png', 'pred.png'),
    'change': ('A.png', 'B.png', 'label.png', 'pred.png'),
}
END_OF_PNG = b'IEND\xaeB`\x82'
IN_CLASS_COLOURS = ('label.png', 'pred.png')  # of segmentation and change detection


def judge_pictures(output: Path, expected: Expected, task: str) -> list[Finding]:
    """Judge the pictures of an output folder.

    Args:
        output: The folder.
        expected: What is known of the training.
        task: 'detection', 'segmentation' or 'change'; '': not known, so that no picture is missing.
    """
    return list(_findings(output, expected, task))


def _findings(output: Path, expected: Expected, task: str) -> Iterator[Finding]:
    sizes: dict[str, tuple[int, int]] = {}
    colours = {known.colour for known in expected.classes}
    for name in PICTURES[task] if task else dict.fromkeys(name for names in PICTURES.values() for name in names):
        file, path = f'picture/{name}', output / 'picture' / name
        if not task and not path.exists():
            continue
        if not path.is_file():
            yield Finding(file, '', say('judge.missing'))
            continue
        try:
            with Image.open(path) as picture:
                if picture.format != 'PNG':
                    raise ContentError('cause.other_format', found=picture.format)
                if not path.read_bytes().endswith(END_OF_PNG):
                    raise ContentError('cause.end_missing')  # its pixels may be whole all the same
                pixels = np.asarray(picture.convert('RGB'))
        except (OSError, *PICTURE_ERRORS) as error:
            yield Finding(file, '', say('judge.unreadable_picture', cause=picture_cause(error)))
            continue
        sizes[name] = (pixels.shape[1], pixels.shape[0])
        if task in ('segmentation', 'change') and name in IN_CLASS_COLOURS and colours:
            odd = next((colour for colour in _colours_of(pixels) if colour not in colours), None)
            if odd is not None:
                allowed = ', '.join(str(colour) for colour in sorted(colours))
                yield Finding(file, '', say('judge.picture_colours', found=odd, allowed=allowed))
    first = next(iter(sizes), '')
    for name, size in sizes.items():
        if size != sizes[first]:
            found, wanted = ('x'.join(map(str, sides)) for sides in (size, sizes[first]))
            yield Finding(f'picture/{name}', '', say('judge.picture_sizes', found=found, other=first, wanted=wanted))


def _colours_of(pixels: np.ndarray) -> list[tuple[int, int, int]]:
    codes = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    return [(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in np.unique(codes)]
