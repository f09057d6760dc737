"""Annotations of labelme, one JSON file per image, to COCO."""
import json
import logging
from pathlib import Path
from typing import Dict, Optional, Tuple

from mmengine.logging import print_log

from mmyolo.utils.files import replacing, write_json
from mmyolo.utils.misc import IMG_EXTENSIONS
from mmyolo.utils.terminal import progress

from .coco_files import box_annotation, image_size


def read_class_ids(path: Path) -> Dict[str, int]:
    """Reads lines of an id and a name, such as `1 traffic light`.

    Raises:
        ValueError: If a line is something else.
    """
    ids = {}
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if not line.strip():
            continue
        index, _, name = line.strip().partition(' ')
        if not index.isdecimal() or not name.strip():
            raise ValueError(f'{path}, line {number}: {line!r} must be an id and a name, such as "1 cat"')
        ids[name.strip()] = int(index)
    return ids


def labelme_to_coco(img_dir: Path, labels_dir: Path,
                    class_ids: Optional[Dict[str, int]] = None) -> Tuple[dict, Dict[str, int]]:
    """Converts rectangles; other shapes and images without a file of labels are skipped with a message.

    Args:
        img_dir: Has the images.
        labels_dir: Has <name of the image>.json for each.
        class_ids: Name of each class to its id in the category list; None numbers them from 1 as they are met.

    Returns:
        The content of a COCO file, and name to id of every class.

    Raises:
        ValueError: If a class is not in `class_ids`.
    """
    known = {} if class_ids is None else dict(class_ids)
    images, annotations, without, shapes = [], [], 0, {}
    files = sorted(path for path in img_dir.iterdir() if path.suffix.lower() in IMG_EXTENSIONS)
    for path in progress(files, 'Converting'):
        labels = labels_dir / f'{path.stem}.json'
        if not labels.is_file():
            without += 1
            continue
        width, height = image_size(path)
        images.append(dict(id=len(images) + 1, file_name=path.name, width=width, height=height))
        for shape in json.loads(labels.read_text(encoding='utf-8'))['shapes']:
            if shape['shape_type'] != 'rectangle':
                shapes[shape['shape_type']] = shapes.get(shape['shape_type'], 0) + 1
                continue
            name = shape['label']
            if name not in known:
                if class_ids is not None:
                    raise ValueError(f'{labels}: the class {name!r} is not in the list of classes, {sorted(known)}')
                known[name] = len(known) + 1
            xs, ys = zip(*shape['points'])
            box = (min(xs), min(ys), max(xs), max(ys))
            annotations.append(box_annotation(len(annotations) + 1, images[-1]['id'], known[name], box))
    if without:
        print_log(f'Skipped {without} images without a file of labels in {labels_dir}', 'current', logging.WARNING)
    if shapes:
        print_log(f'Skipped shapes that are no rectangles: {shapes}', 'current', logging.WARNING)
    categories = [dict(id=index, name=name) for name, index in known.items()]
    return dict(images=images, annotations=annotations, categories=categories), known


def convert_labelme(img_dir: Path, labels_dir: Path, out: Path, class_id_txt: Optional[Path] = None) -> dict:
    """Writes the COCO file and, where no list of classes was given, class_with_id.txt beside it.

    Returns:
        The content of the COCO file.
    """
    coco, ids = labelme_to_coco(img_dir, labels_dir, None if class_id_txt is None else read_class_ids(class_id_txt))
    write_json(out, coco, indent=4)
    if class_id_txt is None:
        with replacing(out.parent / 'class_with_id.txt') as temporary:
            temporary.write_text(''.join(f'{index} {name}\n' for name, index in ids.items()), encoding='utf-8')
    return coco
