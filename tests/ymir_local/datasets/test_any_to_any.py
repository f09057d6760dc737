"""Any data set through any two formats: the same boxes, classes and splits, whatever the images and names are."""

import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ymir_local.datasets import WRITTEN_FORMATS, read_dataset, with_validation, write_dataset
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage

CLASSES = ('person', '叉车', 'a: b', 'yes', '1', 'null', '#x', '-y', "it's", '"q"', 'a,b', 'background', 'é&<>', '~')
NAMES = (
    'a.JPG',
    'a.png',
    'b/a.jpg',
    'c d/e/a.jpeg',
    '🚗 数据 ünï.jpg',
    ' lead.jpg',
    'trail .jpg',
    'dot..jpg',
    '-dash.jpg',
    'a#b%20&?.jpg',
    'q\'".bmp',
    '1.jpg',
    'a -1.jpg',
    'a 1.jpg',
    'u\u2028v\x0bw.jpg',
    'n.tar.jpg',
    'train.jpg',
    f'{"l" * 251}.jpg',
    f'b/{"l" * 251}.jpg',
    f'{"长" * 83}.jpg',
    f'b/{"长" * 83}.jpg',
    'images/labels/x.jpg',
    'g.gif',
    'w.webp',
    't.tif',
    'j.jfif',
    'p.ppm',
    os.fsdecode(b'\xff\xfe.jpg'),
)
FORMATS = {
    '.jpg': 'JPEG',
    '.jpeg': 'JPEG',
    '.jfif': 'JPEG',
    '.png': 'PNG',
    '.bmp': 'BMP',
    '.gif': 'GIF',
    '.webp': 'WEBP',
    '.tif': 'TIFF',
    '.ppm': 'PPM',
}


def draw(path, generator, turned):
    """An image of noise of a mode that its format has."""
    size = generator.randint(1, 90), generator.randint(1, 70)
    pixels = np.random.default_rng(generator.getrandbits(32)).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels)
    kind = FORMATS[path.suffix.lower()]
    if kind == 'PNG':
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif kind == 'JPEG' and generator.random() < 0.3:
        image = image.convert('CMYK')
    exif = Image.Exif()
    if turned and kind == 'JPEG':
        exif[0x0112] = 6
        size = size[::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, kind, **({'exif': exif} if kind == 'JPEG' else {}))
    return size


def make(folder, seed):
    """A data set of all names, with any number of boxes anywhere."""
    generator = random.Random(seed)
    images = []
    for name in NAMES:
        path = folder / name
        width, height = draw(path, generator, turned=generator.random() < 0.2)
        boxes = []
        for _ in range(generator.choice((0, 1, 1, 3, 9))):
            x, y = generator.randrange(width), generator.randrange(height)
            boxes.append(
                LabelledBox(
                    generator.randrange(len(CLASSES)),
                    x,
                    y,
                    generator.randint(1, width - x),
                    generator.randint(1, height - y),
                )
            )
        images.append(LabelledImage(path, width, height, tuple(boxes)))
    return with_validation(Dataset(CLASSES, {'all': tuple(images)}, (), folder), 0.3)


def content(dataset):
    """By the bytes of the images, for names change where a format needs it."""
    return dataset.class_names, {
        split: {image.path.read_bytes(): (image.width, image.height, image.boxes) for image in images}
        for split, images in dataset.splits.items()
    }


def state(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in sorted(Path(folder).rglob('*'))}


@pytest.mark.parametrize(
    'seed, first, second', [(seed, *pair) for seed, pair in enumerate(itertools.product(WRITTEN_FORMATS, repeat=2))]
)
def test_any_to_any(tmp_path, seed, first, second):
    dataset = make(tmp_path / 'source', seed)
    expected, before = content(dataset), state(tmp_path / 'source')
    for number, name in enumerate((first, second)):
        assert write_dataset(dataset, tmp_path / f'{number}', name) == ()
        dataset = read_dataset(tmp_path / f'{number}', name)
        assert dataset.warnings == ()
        assert content(dataset) == expected
    assert state(tmp_path / 'source') == before


def test_crowds_stay_in_coco(tmp_path):
    image = LabelledImage(
        tmp_path / 'a.png', *draw(tmp_path / 'a.png', random.Random(1), False), (), (LabelledBox(0, 0, 0, 1, 1),)
    )
    write_dataset(Dataset(('cat',), {'all': (image,)}), tmp_path / 'out', 'coco')
    (read,) = read_dataset(tmp_path / 'out').images()
    assert (read.boxes, read.crowds) == (image.boxes, image.crowds)
