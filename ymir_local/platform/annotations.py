"""The platform's three annotation formats, byte for byte (contract sections c.5, c.6 and c.7).

Boxes come as `LabelledBox`; the ark and VOC formats hold inclusive corners, coco holds x, y, w, h.
"""

import json
from collections.abc import Sequence
from xml.etree import ElementTree

from ymir_exc.errors import ConfigError

from .labels import LabelledBox, LabelledImage

FORMATS = {'ark': 'ark', 'det-ark': 'ark', 'voc': 'voc', 'det-voc': 'voc', 'coco': 'coco', 'seg-coco': 'coco'}


def annotation_format(export_format: str | None) -> str | None:
    """Return what the platform writes for a value of the hyper-parameter `export_format`.

    Args:
        export_format: `<annotation>:<asset>`; absent or empty means VOC.

    Returns:
        'ark', 'voc', 'coco', or None for images without annotations.

    Raises:
        ConfigError: there is no colon, or the asset part is not `raw`.
    """
    annotation, colon, asset = (export_format or 'voc:raw').lower().partition(':')
    if not colon or asset != 'raw':
        raise ConfigError(f"export_format is {export_format!r}; the platform takes '<annotation>:raw'")
    return FORMATS.get(annotation)


def ark_bytes(boxes: Sequence[LabelledBox]) -> bytes:
    """Write one line per box: class, xmin, ymin, xmax, ymax (inclusive), quality (-1.0: none), rotation."""
    return ''.join(
        f'{box.class_index}, {box.x}, {box.y}, {box.x + box.w - 1}, {box.y + box.h - 1}, -1.0, 0.0\n' for box in boxes
    ).encode()


def voc_bytes(
    image_path: str, width: int, height: int, boxes: Sequence[LabelledBox], class_names: Sequence[str]
) -> bytes:
    """Write one VOC document on a single line, without a declaration.

    Args:
        image_path: the path as the executor sees it.
        width: of the image in pixels.
        height: of the image in pixels.
        boxes: may be empty.
        class_names: names by class index.
    """

    def add(parent: ElementTree.Element, name: str, text: object | None = None) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, name)
        child.text = None if text is None else str(text)
        return child

    root = ElementTree.Element('annotation')
    add(root, 'folder', 'folder')
    add(root, 'filename', image_path)
    source = add(root, 'source')
    add(source, 'annotation', 'unknown')
    add(source, 'image', 'unknown')
    size = add(root, 'size')
    for name, value in (('width', width), ('height', height), ('depth', 3)):
        add(size, name, value)
    add(root, 'segmented', 0)
    add(root, 'image_quality', '0.0000')
    for box in boxes:
        item = add(root, 'object')
        add(item, 'name', class_names[box.class_index])
        for name, value in (('pose', 'unknown'), ('truncated', 'unknown'), ('occluded', 0)):
            add(item, name, value)
        if box.w and box.h:
            corners = add(item, 'bndbox')
            for name, value in (
                ('xmin', box.x),
                ('ymin', box.y),
                ('xmax', box.x + box.w - 1),
                ('ymax', box.y + box.h - 1),
                ('rotate_angle', '0.0000'),
            ):
                add(corners, name, value)
        add(item, 'difficult', 0)
        add(item, 'box_quality', '-1.0000')
        add(item, 'confidence', '-1.0000')
    return ElementTree.tostring(root, encoding='utf-8')


def coco_bytes(images: dict[str, tuple[str, LabelledImage]], class_names: Sequence[str]) -> bytes:
    """Write one coco document for all images.

    Args:
        images: image id (sha1) to file name without folder and image.
        class_names: names by class index; only those that occur are written.
    """
    entries: list[dict] = []
    annotations: list[dict] = []
    for image_id, (file_name, image) in enumerate(sorted(images.values(), key=lambda item: item[0]), 1):
        entries.append(
            {
                'id': image_id,
                'file_name': file_name,
                'width': image.width,
                'height': image.height,
                'date_captured': '',
                'license': 1,
                'coco_url': '',
                'flickr_url': '',
            }
        )
        for box in image.boxes:
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': box.class_index,
                    'iscrowd': 0,
                    'bbox': [box.x, box.y, box.w, box.h],
                    'confidence': -1.0,
                    'area': box.w * box.h,
                    'segmentation': {},
                }
            )
    occurring = sorted({annotation['category_id'] for annotation in annotations})
    return json.dumps(
        {
            'images': entries,
            'licenses': [{'id': 1, 'name': 'unknown', 'url': ''}],
            'categories': [{'id': index, 'name': class_names[index], 'supercategory': 'object'} for index in occurring],
            'annotations': annotations,
        },
        allow_nan=False,
    ).encode()
