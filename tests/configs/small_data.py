"""Small data sets laid out where the configs look for them, below a folder that is the working directory."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmdet.datasets import CocoDataset, VOCDataset

WIDTH, HEIGHT = 160, 120
IMAGES = 4
# x1, y1, x2, y2 of the two objects of each image, classes 0 and 1 of the data set
BOXES = [[(10 + 8 * k, 20, 70 + 8 * k, 90), (60, 5 + 6 * k, 150, 60 + 6 * k)] for k in range(IMAGES)]


def write_images(folder: Path) -> list:
    """Writes a picture with two filled boxes per image."""
    folder.mkdir(parents=True)
    names = []
    for index, boxes in enumerate(BOXES):
        image = np.random.default_rng(index).integers(0, 80, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for (x1, y1, x2, y2), colour in zip(boxes, ((255, 80, 0), (0, 200, 255))):
            cv2.rectangle(image, (x1, y1), (x2, y2), colour, -1)
        names.append(f'{index:06d}.jpg')
        cv2.imwrite(str(folder / names[-1]), image)
    return names


def write_coco(file: Path, names: list, classes: tuple) -> None:
    """Writes annotations with boxes and polygons; the last image has none."""
    annotations = []
    for index, boxes in enumerate(BOXES[:-1]):
        for label, (x1, y1, x2, y2) in enumerate(boxes):
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': index,
                    'category_id': label % len(classes) + 1,
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': 0,
                    'segmentation': [[x1, y1, x2, y1, x2, y2, x1, y2]],
                }
            )
    content = {
        'images': [{'id': i, 'file_name': name, 'width': WIDTH, 'height': HEIGHT} for i, name in enumerate(names)],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(classes, 1)],
        'annotations': annotations,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def write_voc(root: Path) -> None:
    for year, split in (('VOC2007', ('trainval', 'test')), ('VOC2012', ('trainval',))):
        names = write_images(root / year / 'JPEGImages')
        (root / year / 'Annotations').mkdir()
        (root / year / 'ImageSets' / 'Main').mkdir(parents=True)
        for name, boxes in zip(names, BOXES):
            objects = ''.join(
                f'<object><name>{VOCDataset.METAINFO["classes"][label]}</name><difficult>0</difficult>'
                f'<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>'
                '</object>'
                for label, (x1, y1, x2, y2) in enumerate(boxes)
            )
            (root / year / 'Annotations' / name.replace('jpg', 'xml')).write_text(
                f'<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{objects}</annotation>'
            )
        for part in split:
            (root / year / 'ImageSets' / 'Main' / f'{part}.txt').write_text('\n'.join(n[:-4] for n in names))


def write_crowdhuman(root: Path) -> None:
    names = write_images(root / 'Images')
    lines = []
    for name, boxes in zip(names, BOXES):
        people = [
            {
                'tag': 'person',
                'fbox': [x1, y1, x2 - x1, y2 - y1],
                'vbox': [x1, y1, x2 - x1, y2 - y1],
                'hbox': [x1, y1, 10, 10],
                'head_attr': {},
                'extra': {'ignore': label, 'box_id': label},
            }
            for label, (x1, y1, x2, y2) in enumerate(boxes)
        ]
        lines.append(json.dumps({'ID': name[:-4], 'gtboxes': people}))
    for part in ('train', 'val'):
        (root / f'annotation_{part}.odgt').write_text('\n'.join(lines))


def write_all(root: Path) -> None:
    """Writes every data set that the configs name, below `root/data`."""
    data = root / 'data'
    coco = CocoDataset.METAINFO['classes']
    for part in ('train2017', 'val2017'):
        write_coco(data / 'coco' / 'annotations' / f'instances_{part}.json', write_images(data / 'coco' / part), coco)
    for part in ('train', 'val'):
        write_coco(data / 'balloon' / f'{part}.json', write_images(data / 'balloon' / part), ('balloon',))
    names = write_images(data / 'cat' / 'images')
    for part in ('trainval', 'test'):
        write_coco(data / 'cat' / 'annotations' / f'{part}.json', names, ('cat',))
    write_voc(data / 'VOCdevkit')
    write_crowdhuman(data / 'CrowdHuman')
