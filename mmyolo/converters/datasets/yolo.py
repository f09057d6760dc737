"""Labels in the format of YOLO, one line `class cx cy w h` per object in shares of the image, to COCO."""
import logging
from pathlib import Path
from typing import Dict, List

from mmengine.logging import print_log

from mmyolo.utils.files import write_json
from mmyolo.utils.misc import IMG_EXTENSIONS
from mmyolo.utils.terminal import progress

from .coco_files import box_annotation, image_size, subset

SPLITS = ('train', 'val', 'test')


def read_classes(path: Path) -> List[str]:
    """Reads names of classes, one per line or all on one line with spaces between."""
    lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
    return lines[0].split() if len(lines) == 1 else lines


def read_labels(path: Path, num_classes: int) -> List[tuple]:
    """Reads the objects of one image.

    Returns:
        (class, cx, cy, w, h) of each; the box in shares of the image.

    Raises:
        ValueError: If a line is something else, with its file and number.
    """
    objects = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if not line.strip():
            continue
        try:
            label, *box = line.split()
            label, (cx, cy, w, h) = int(label), map(float, box)
        except ValueError:
            raise ValueError(f'{path}, line {number}: {line!r} must be `class cx cy w h`') from None
        if not 0 <= label < num_classes:
            raise ValueError(f'{path}, line {number}: class {label} must be from 0 to {num_classes - 1}, as '
                             f'classes.txt has {num_classes}')
        objects.append((label, cx, cy, w, h))
    return objects


def yolo_to_coco(root: Path) -> dict:
    """Converts a folder.

    Args:
        root: Has images/, labels/<name of the image>.txt and classes.txt.

    Returns:
        The content of a COCO file: category ids from 0 in the order of classes.txt, image ids from 0 in the order of
        names, annotation ids from 1. Images without labels are kept as images without objects.

    Raises:
        ValueError: If the folder is another, or a file in it is damaged.
    """
    missing = [name for name in ('images', 'labels', 'classes.txt') if not (root / name).exists()]
    if missing:
        raise ValueError(f'{root} has no {", ".join(missing)}; it must have images/, labels/ and classes.txt')
    classes = read_classes(root / 'classes.txt')
    images, annotations, without = [], [], 0
    files = sorted(path for path in (root / 'images').iterdir() if path.suffix.lower() in IMG_EXTENSIONS)
    for path in progress(files, 'Converting'):
        width, height = image_size(path)
        images.append(dict(id=len(images), file_name=path.name, width=width, height=height))
        labels = root / 'labels' / f'{path.stem}.txt'
        if not labels.is_file():
            without += 1
            continue
        for label, cx, cy, w, h in read_labels(labels, len(classes)):
            box = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
            annotations.append(box_annotation(len(annotations) + 1, images[-1]['id'], label, box))
    if without:
        print_log(f'{without} images have no file of labels; they are kept as images without objects', 'current',
                  logging.WARNING)  # yapf: disable
    return dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=index, name=name) for index, name in enumerate(classes)])


def split_by_lists(root: Path, coco: dict) -> Dict[str, dict]:
    """Splits by train.txt, val.txt and test.txt, which list images by any path that ends in their name.

    Returns:
        Name of each list that exists to its part; an image in none of them is in no part. Without lists: 'result' to
        everything.
    """
    parts, left = {}, {image['file_name'] for image in coco['images']}
    for split in SPLITS:
        file = root / f'{split}.txt'
        if not file.is_file():
            continue
        lines = file.read_text(encoding='utf-8').splitlines()
        listed = {line.strip().replace('\\', '/').rsplit('/', 1)[-1] for line in lines if line.strip()}
        images = [image for image in coco['images'] if image['file_name'] in listed]
        if len(images) < len(listed):
            print_log(f'{file} lists {len(listed) - len(images)} images that are not in {root / "images"}', 'current',
                      logging.WARNING)  # yapf: disable
        parts[split] = subset(coco, images, coco['annotations'])
        left -= listed
    if not parts:
        return dict(result=coco)
    if left:
        print_log(f'{len(left)} images are in none of the lists and are left out, such as {min(left)}', 'current',
                  logging.WARNING)  # yapf: disable
    return parts


def convert_yolo(root: Path) -> Dict[Path, dict]:
    """Writes root/annotations/{train,val,test}.json, or result.json without lists.

    Returns:
        File to its content.
    """
    parts = split_by_lists(root, yolo_to_coco(root))
    written = {root / 'annotations' / f'{name}.json': content for name, content in parts.items()}
    for path, content in written.items():
        write_json(path, content)
    return written
