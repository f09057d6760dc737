"""Whatever stands in the files of labels, it is read or rejected with a sentence; and nothing is written to them."""

import random
import re

import pytest

from ymir_exc.errors import DatasetError
from ymir_local.datasets import FORMATS, read_dataset

VOC = (
    '<annotation><filename>1.jpg</filename><size><width>64</width><height>48</height></size><object><name>cat</name>'
    '<bndbox><xmin>16</xmin><ymin>12</ymin><xmax>47</xmax><ymax>35</ymax></bndbox></object></annotation>'
)
COCO = (
    '{"images": [{"id": 1, "file_name": "1.jpg", "width": 64}], "annotations": [{"id": 2, "image_id": 1, '
    '"category_id": 7, "iscrowd": 0, "bbox": [16, 12, 32, 24], "segmentation": {"size": [48, 64], "counts": "0"}}'
    '], "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}]}'
)
INDEX = '/in/assets/1.jpg\t/in/annotations/1.{}\n'
SETS = {
    'coco': {'a.json': COCO, '1.jpg': None},
    'coco without bbox': {'a.json': COCO.replace('"bbox": [16, 12, 32, 24], ', ''), '1.jpg': None},
    'voc': {
        'Annotations/1.xml': VOC,
        'JPEGImages/1.jpg': None,
        'ImageSets/Main/train.txt': '1\n',
        'labels.txt': 'cat\n',
    },
    'yolo': {
        'data.yaml': 'path: .\ntrain: images\nval: val.txt\nnames: {0: cat}\nnc: 1\n',
        'val.txt': 'images/1.jpg\n',
        'images/1.jpg': None,
        'labels/1.txt': '0 0.5 0.5 0.5 0.5\n',
    },
    'ymir ark': {
        'config.yaml': 'class_names: [cat]\n',
        'train-index.tsv': INDEX.format('txt'),
        'assets/1.jpg': None,
        'annotations/1.txt': '0, 16, 12, 47, 35, -1.0, 0.0\n',
    },
    'ymir voc': {
        'config.yaml': 'class_names: [cat]\n',
        'train-index.tsv': INDEX.format('xml'),
        'assets/1.jpg': None,
        'annotations/1.xml': VOC,
    },
    'ymir coco': {
        'config.yaml': 'class_names: [cat]\n',
        'train-index.tsv': INDEX.format('json'),
        'assets/1.jpg': None,
        'annotations/1.json': COCO,
    },
}
WORDS = (
    '',
    'null',
    '[]',
    '{}',
    '[[]]',
    '{"a": 1}',
    '"x"',
    'true',
    '-1',
    '0',
    '1e400',
    'NaN',
    '9' * 30,
    '~',
    ':',
    '- ',
    '\n',
    '\t',
    '\0',
    '\x85',
    'é',
    '..',
    '../..',
    '/',
    'x' * 300,
    'a/' * 300,
    '<a>',
    '&x;',
    '<!DOCTYPE a [<!ENTITY b "c">]>',
)


def mutated(text, generator):
    for _ in range(generator.randint(1, 3)):
        places = [match.span() for match in re.finditer(r'[\w.]+|"[^"]*"|\[[^\[\]]*\]|\S', text)] or [(0, 0)]
        start, end = generator.choice(places)
        text = (
            text[:start]
            + generator.choice((*WORDS, text[start:end] * 2))
            + (text[end:] if generator.random() < 0.9 else '')
        )
    return text.encode('latin-1' if generator.random() < 0.2 else 'utf-8')


@pytest.mark.parametrize('name', SETS)
def test_mutated_files(name, tmp_path, draw):
    generator = random.Random(name)
    for path, text in SETS[name].items():
        if text is None:
            draw(path)
    kind = name.split()[0]
    rejected = 0
    for _ in range(120):
        chosen = generator.choice([path for path, text in SETS[name].items() if text is not None])
        files = {
            path: mutated(text, generator) if path == chosen else text.encode()
            for path, text in SETS[name].items()
            if text is not None
        }
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        for form in (None, kind, generator.choice(FORMATS)):
            try:
                dataset = read_dataset(tmp_path, form)
            except DatasetError as error:
                rejected += 1
                assert str(tmp_path) in str(error) and str(error)[0] not in '[{', files
            else:
                for image in dataset.images():
                    for box in image.boxes:
                        assert 0 <= box.x < box.x + box.w <= 64 and 0 <= box.y < box.y + box.h <= 48, files
                        assert 0 <= box.class_index < len(dataset.class_names), files
        assert {path: (tmp_path / path).read_bytes() for path in files} == files
    assert rejected
