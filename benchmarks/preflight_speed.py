"""How fast a data set is checked and converted to COCO before a training, against a plain loop over the same files.

    python benchmarks/preflight_speed.py [--images 100000] [--formats ark voc] [--folder DIR]

The loop opens each image with Pillow for its size and orientation, reads it whole for a hash, parses its annotation by
what the standard library has, checks and clips boxes and writes one COCO file. Both sides read warm files, each in a
process of its own, and must write the same COCO file and count the same faults; among the images are some that are
missing, cut short, copies, or have wrong boxes. The loop does not look for images that are nearly the same, so the time
for that stands apart. Memory is what the process grows by, per image; those that parse for it do not grow.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ymir_exc.attribute_dict import AttributeDict  # noqa: E402
from ymir_exc.dataset_convert import convert_dataset_to_coco  # noqa: E402
from ymir_exc.dataset_convert import report as kinds  # noqa: E402
from ymir_exc.env import EnvConfig  # noqa: E402

CLASSES = ['cat', 'dog', 'bird', 'car', 'person']
SIDES = ('width', 'height')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
LOOKED_FOR = (
    *(kinds.MISSING_IMAGE, kinds.TRUNCATED, kinds.MISSING_ANNOTATION, kinds.INVERTED, kinds.OUTSIDE, kinds.CLIPPED),
    *(kinds.SAME_IMAGE, kinds.UNKNOWN_CLASS),
)
SUFFIXES = {'ark': 'txt', 'voc': 'xml'}


def write_data(folder: Path, images: int, formats: list[str]) -> None:
    """Write images of 4 KB with a comment that makes each unique, up to 10 boxes each, and index files.

    Args:
        folder: An empty one.
        images: How many.
        formats: 'ark' and 'voc'.
    """
    rng, noise = random.Random(0), np.random.RandomState(0)
    pictures = []
    for _ in range(50):
        width, height = rng.choice([(160, 120), (120, 160), (200, 150)])
        pixels = cv2.resize(noise.randint(0, 256, (height // 8, width // 8, 3)).astype(np.uint8), (width, height))
        pictures.append((cv2.imencode('.jpg', pixels)[1].tobytes(), width, height))
    lines: dict[str, list[str]] = {name: [] for name in formats}
    for index in range(images):
        place = f'{index % 256:02x}/{index:040x}'
        data, width, height = pictures[index % len(pictures)]
        comment = b'%032d' % (index - index % 1000 if index % 1000 == 1 else index)  # some are copies
        data = data[:2] + b'\xff\xfe' + (len(comment) + 2).to_bytes(2, 'big') + comment + data[2:]
        if index % 1000 == 1:
            data = (folder / f'assets/{(index - 1) % 256:02x}/{index - 1:040x}.jpg').read_bytes()
        image = folder / f'assets/{place}.jpg'
        image.parent.mkdir(parents=True, exist_ok=True)
        if index % 1000 != 2:
            image.write_bytes(data[: len(data) // 2] if index % 1000 == 3 else data)
        boxes = [_box(rng, width, height, index) for _ in range(rng.randint(0, 10))]
        for name in formats:
            file = folder / f'{name}/{place}.{SUFFIXES[name]}'
            file.parent.mkdir(parents=True, exist_ok=True)
            if index % 1000 != 4:
                file.write_text(_TEXTS[name](boxes, width, height))
            lines[name].append(f'{image}\t{file}\n')
    for name in formats:
        (folder / f'{name}.tsv').write_text(''.join(lines[name]))
    (folder / 'none.tsv').write_text('')


def _box(rng: random.Random, width: int, height: int, index: int) -> tuple[int, ...]:
    x, y = rng.randint(0, width - 30), rng.randint(0, height - 30)
    right, bottom = rng.randint(x + 10, x + 29), rng.randint(y + 10, y + 29)
    fault = index % 500
    if fault == 10:
        x, right = right, x
    elif fault == 11:
        x, right = x + width, right + width
    elif fault == 12:
        right += width
    return rng.randrange(len(CLASSES) + (fault == 13)), x, y, right, bottom


def _ark_text(boxes: list[tuple[int, ...]], width: int, height: int) -> str:
    return ''.join(f'{", ".join(map(str, box))}, -1.0, 0.0\n' for box in boxes)


def _voc_text(boxes: list[tuple[int, ...]], width: int, height: int) -> str:
    objects = ''.join(
        f'<object><name>{[*CLASSES, "unknown"][class_id]}</name><pose>unknown</pose><truncated>unknown</truncated>'
        '<occluded>0</occluded><bndbox>'
        + ''.join(f'<{corner}>{value}</{corner}>' for corner, value in zip(CORNERS, box))
        + '<rotate_angle>0.0000</rotate_angle></bndbox><difficult>0</difficult><box_quality>-1.0000</box_quality>'
        '<confidence>-1.0000</confidence></object>'
        for class_id, *box in boxes
    )
    return (
        '<annotation><folder>folder</folder><filename>image.jpg</filename><source><annotation>unknown</annotation>'
        f'<image>unknown</image></source><size><width>{width}</width><height>{height}</height><depth>3</depth></size>'
        f'<segmented>0</segmented><image_quality>0.0000</image_quality>{objects}</annotation>'
    )


_TEXTS = {'ark': _ark_text, 'voc': _voc_text}


def _read_ark(path: str) -> Iterator[tuple[float, ...]]:
    with open(path, encoding='utf-8') as stream:
        for line in stream:
            class_id, x, y, right, bottom, quality, angle = line.split(',')
            yield int(class_id), int(x), int(y), int(right), int(bottom), float(quality), float(angle)


def _read_voc(path: str) -> Iterator[tuple[float, ...]]:
    for element in ElementTree.parse(path).getroot().iter('object'):
        name, box = element.findtext('name'), element.find('bndbox')
        corners = (int(box.findtext(corner)) for corner in CORNERS)
        class_id = CLASSES.index(name) if name in CLASSES else len(CLASSES)
        yield class_id, *corners, float(element.findtext('box_quality')), float(box.findtext('rotate_angle'))


def run_loop(folder: Path, name: str) -> dict[str, int]:
    """Check and convert a data set image by image, as a script does.

    Args:
        folder: Of the data; gets loop.json.
        name: The format.

    Returns:
        How often each kind of fault was found.
    """
    read = {'ark': _read_ark, 'voc': _read_voc}[name]
    found: Counter = Counter()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    hashes = set()
    for line in open(folder / f'{name}.tsv', encoding='utf-8'):
        path, annotation = line.rstrip('\n').split('\t')
        if not os.path.exists(path):
            found[kinds.MISSING_IMAGE] += 1
            continue
        with Image.open(path) as image:
            width, height = image.size
            if image.getexif().get(0x0112) in (5, 6, 7, 8):
                width, height = height, width
        with open(path, 'rb') as stream:
            data = stream.read()
        if not data.endswith(b'\xff\xd9'):
            found[kinds.TRUNCATED] += 1
            continue
        if not os.path.exists(annotation):
            found[kinds.MISSING_ANNOTATION] += 1
            continue
        digest = hashlib.md5(data).digest()
        found[kinds.SAME_IMAGE] += digest in hashes
        hashes.add(digest)
        images.append({'id': len(images) + 1, 'file_name': path, 'width': width, 'height': height})
        for class_id, x, y, right, bottom, quality, angle in read(annotation):
            if class_id >= len(CLASSES):
                found[kinds.UNKNOWN_CLASS] += 1
                continue
            if right < x or bottom < y:
                found[kinds.INVERTED] += 1
                continue
            left, top, end, low = max(x, 0), max(y, 0), min(right + 1, width), min(bottom + 1, height)
            if end <= left or low <= top:
                found[kinds.OUTSIDE] += 1
                continue
            found[kinds.CLIPPED] += max(left - x, top - y, right + 1 - end, bottom + 1 - low) > 1
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': len(images),
                    'category_id': class_id,
                    'bbox': [left, top, end - left, low - top],
                    'area': (end - left) * (low - top),
                    'iscrowd': 0,
                    'segmentation': [],
                    'bbox_quality': quality,
                    'rotate_angle': angle,
                }
            )
    categories = [{'id': index, 'name': name, 'supercategory': 'object'} for index, name in enumerate(CLASSES)]
    with open(folder / 'loop.json', 'w', encoding='utf-8') as stream:
        json.dump({'images': images, 'annotations': annotations, 'categories': categories}, stream)
    return dict(found)


def run_preflight(folder: Path, name: str, decode: int | None = 0) -> dict[str, int]:
    """Check and convert a data set as a training does.

    Args:
        folder: Of the data; gets ymir_train.json.
        name: The format.
        decode: Pixels of images that are compared by what they show.

    Returns:
        How often each kind of fault was found.
    """
    env = EnvConfig()
    env.input.assets_dir, env.input.training_index_file = str(folder), str(folder / f'{name}.tsv')
    param = {'class_names': CLASSES, 'export_format': f'{name}:raw'}
    cfg = AttributeDict(param=param, ymir=env)
    report = convert_dataset_to_coco(cfg, ['train'], True, str(folder), decode=decode).splits['train']
    counts = Counter()
    for findings in report.findings:
        counts.update(findings.by_reason)
    return {kind: counts[kind] for kind in LOOKED_FOR if counts[kind]}


WAYS: dict[str, Callable[[Path, str], dict[str, int]]] = {
    'loop': run_loop,
    'preflight': run_preflight,
    'similar': lambda folder, name: run_preflight(folder, name, None),
}


NAMES = {'loop': 'loop', 'preflight': 'preflight', 'similar': 'preflight with near-identical images'}


def _memory() -> SimpleNamespace:
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return SimpleNamespace(now=1024 * int(status['VmRSS'].split()[0]), most=1024 * int(status['VmHWM'].split()[0]))


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(folder: Path, name: str, way: str) -> dict[str, Any]:
    """Run one way in a process of its own.

    Args:
        folder: Of the data.
        name: The format.
        way: One of `WAYS`.

    Returns:
        Its `seconds`, those of the processors (`cpu`), the `bytes` that the process grew by, and what was `found`.
    """
    command = [sys.executable, __file__, '--folder', str(folder), '--formats', name, '--way', way]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def compare(folder: Path, name: str) -> None:
    """Check that both ways wrote the same.

    Args:
        folder: Of the data.
        name: The format.

    Raises:
        SystemExit: They did not.
    """
    one, other = (json.loads((folder / file).read_bytes()) for file in ('loop.json', 'ymir_train.json'))
    if one != other:
        raise SystemExit(f'{name}: the COCO files differ')


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=100_000)
    parser.add_argument('--formats', nargs='+', choices=SUFFIXES, default=list(SUFFIXES))
    parser.add_argument('--folder', type=Path, help='where the data is written, or was; default: a temporary one')
    parser.add_argument('--way', choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        before, begun, cpu = _memory().now, time.perf_counter(), _cpu_seconds()
        found = WAYS[arguments.way](arguments.folder, arguments.formats[0])
        seconds, cpu = time.perf_counter() - begun, _cpu_seconds() - cpu
        print(json.dumps({'seconds': seconds, 'cpu': cpu, 'bytes': _memory().most - before, 'found': found}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / 'none.tsv').exists():
            write_data(folder, arguments.images, arguments.formats)
        Console(width=100).print(measured_table(folder, arguments.formats))


def measured_table(folder: Path, formats: list[str]) -> Table:
    """Measure both ways in turn.

    Args:
        folder: Of the data.
        formats: 'ark' and 'voc'.

    Returns:
        A table.

    Raises:
        SystemExit: The ways differ in what they find or write.
    """
    table = Table(title=f'Checked and converted on {len(os.sched_getaffinity(0))} cores')
    for column in ('way', 'images', 'seconds', 'ratio', 'CPU seconds', 'ratio', 'KB/image'):
        table.add_column(column, justify='right')
    for name in formats:
        images = sum(1 for _ in open(folder / f'{name}.tsv', encoding='utf-8'))
        runs = {way: measure(folder, name, way) for way in WAYS}
        compare(folder, name)
        if runs['loop']['found'] != runs['preflight']['found']:
            raise SystemExit(f'{name}: found were {runs["loop"]["found"]} and {runs["preflight"]["found"]}')
        loop = runs['loop']
        for way, run in runs.items():
            numbers = (run['seconds'], loop['seconds'] / run['seconds'], run['cpu'], loop['cpu'] / run['cpu'])
            table.add_row(
                f'{name}, {NAMES[way]}',
                f'{images:,}',
                *(f'{number:.1f}' for number in numbers),
                f'{run["bytes"] / images / 1000:.2f}',
            )
    return table


if __name__ == '__main__':
    main()
