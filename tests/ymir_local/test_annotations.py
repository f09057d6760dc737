"""Annotation files against the platform's bytes."""

import json
from pathlib import Path

import pytest

from ymir_local.platform.annotations import annotation_format, ark_bytes, coco_bytes, voc_bytes
from ymir_local.platform.labels import LabelledBox, LabelledImage

NAMES = ['forklift', 'pallet', 'person & co']


@pytest.mark.parametrize(
    'export_format, expected',
    [
        ('ark:raw', 'ark'),
        ('DET-ARK:raw', 'ark'),
        ('voc:raw', 'voc'),
        ('det-voc:raw', 'voc'),
        ('coco:raw', 'coco'),
        ('seg-coco:raw', 'coco'),
        ('', 'voc'),
        (None, 'voc'),
        ('none:raw', None),
        ('whatever:raw', None),
    ],
)
def test_export_format(export_format, expected):
    assert annotation_format(export_format) == expected


@pytest.mark.parametrize('export_format', ['ark', 'ark:lmdb', 'ark:jpg'])
def test_export_format_that_the_platform_rejects(export_format):
    with pytest.raises(ValueError, match='<annotation>:raw'):
        annotation_format(export_format)


def test_ark_has_inclusive_corners():
    assert (
        ark_bytes([LabelledBox(0, 37, 52, 82, 189), LabelledBox(2, -3, 5, 1, 1)])
        == b'0, 37, 52, 118, 240, -1.0, 0.0\n2, -3, 5, -3, 5, -1.0, 0.0\n'
    )
    assert ark_bytes([]) == b''


def test_voc_is_one_line_in_the_order_of_the_platform():
    header = (
        b'<annotation><folder>folder</folder><filename>/in/assets/0c/a0c.jpg</filename><source>'
        b'<annotation>unknown</annotation><image>unknown</image></source><size><width>640</width>'
        b'<height>480</height><depth>3</depth></size><segmented>0</segmented>'
        b'<image_quality>0.0000</image_quality>'
    )
    item = (
        b'<object><name>person &amp; co</name><pose>unknown</pose><truncated>unknown</truncated>'
        b'<occluded>0</occluded><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>19</xmax><ymax>20</ymax>'
        b'<rotate_angle>0.0000</rotate_angle></bndbox><difficult>0</difficult><box_quality>-1.0000</box_quality>'
        b'<confidence>-1.0000</confidence></object>'
    )
    path = '/in/assets/0c/a0c.jpg'
    assert voc_bytes(path, 640, 480, [], NAMES) == header + b'</annotation>'
    assert voc_bytes(path, 640, 480, [LabelledBox(2, 10, 20, 10, 1)], NAMES) == header + item + b'</annotation>'
    flat = voc_bytes(path, 640, 480, [LabelledBox(2, 10, 20, 10, 0)], NAMES)
    assert b'<occluded>0</occluded><difficult>0</difficult>' in flat and b'bndbox' not in flat


def test_coco_counts_images_from_one_and_categories_from_zero():
    images = {
        'bb': ('bb.jpg', LabelledImage(Path('x'), 640, 480, (LabelledBox(2, 10, 20, 30, 40),))),
        'aa': ('aa.jpg', LabelledImage(Path('y'), 64, 48, ())),
    }
    content = coco_bytes(images, NAMES)
    assert b'\n' not in content
    document = json.loads(content)
    assert list(document) == ['images', 'licenses', 'categories', 'annotations']
    assert [(image['id'], image['file_name'], image['width']) for image in document['images']] == [
        (1, 'aa.jpg', 64),
        (2, 'bb.jpg', 640),
    ]
    assert document['categories'] == [{'id': 2, 'name': 'person & co', 'supercategory': 'object'}]
    assert document['annotations'] == [
        {
            'id': 1,
            'image_id': 2,
            'category_id': 2,
            'iscrowd': 0,
            'bbox': [10, 20, 30, 40],
            'confidence': -1.0,
            'area': 1200,
            'segmentation': {},
        }
    ]
