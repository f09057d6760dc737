"""The platform's three annotation formats, byte for byte (contract sections c.5, c.6 and c.7).

Boxes come as `LabelledBox`; the ark and VOC formats hold inclusive corners, coco holds x, y, w, h.
"""

import json
from collections.abc import Sequence
from xml.etree import ElementTree

from ymir_exc.annotations.masks import mask_area
from ymir_exc.errors import ConfigError

from .labels import LabelledBox, LabelledImage

FORMATS = {'ark': 'ark', 'det-ark': 'ark', 'voc': 'voc', 'det-voc': 'voc', 'coco': 'coco', 'seg-coco': 'coco'}


def annotation_format(export_format: str | None) -> str | None:
    """Return what the platform writes for a value of the hyper-parameter `export_format`.

    Args:
        export_format: `<annotation>:<asset>`; missing or empty means VOC.

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
        f'{box.class_index}, {", ".join(map(str, box.corners().values()))}, -1.0, 0.0\n' for box in boxes
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
    root = ElementTree.Element('annotation')
    add_elements(root, folder='folder', filename=image_path)
    add_elements(ElementTree.SubElement(root, 'source'), annotation='unknown', image='unknown')
    add_elements(ElementTree.SubElement(root, 'size'), width=width, height=height, depth=3)
    add_elements(root, segmented=0, image_quality='0.0000')
    for box in boxes:
        item = ElementTree.SubElement(root, 'object')
        add_elements(item, name=class_names[box.class_index], pose='unknown', truncated='unknown', occluded=0)
        if box.w and box.h:
            add_elements(ElementTree.SubElement(item, 'bndbox'), **box.corners(), rotate_angle='0.0000')
        add_elements(item, difficult=0, box_quality='-1.0000', confidence='-1.0000')
    return ElementTree.tostring(root, encoding='utf-8')


def add_elements(parent: ElementTree.Element, **texts: object) -> None:
    """Add an element for each name, with its text.

    Args:
        parent: of an XML document.
        **texts: by name, in order.
    """
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = str(text)


def _mask_of(box: LabelledBox) -> dict:
    """Return `area` and `segmentation` of an object, coordinates of polygons as whole numbers.

    Differs on purpose from the platform, which holds one polygon: an object of several parts keeps them.
    """
    mask = box.mask
    if isinstance(mask, list):
        mask = [[round(value) for value in polygon] for polygon in mask]
    try:
        return {'area': int(mask_area(mask)) if mask else box.w * box.h, 'segmentation': mask or {}}
    except ValueError:  # the executor will say what is wrong with it
        return {'area': box.w * box.h, 'segmentation': mask}


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
                    **_mask_of(box),
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
