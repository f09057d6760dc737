"""Classes that an annotation file does not have, and those of its own that are left out, are named."""

import json
import logging

import pytest

from mmyolo.datasets.class_names import check_class_names, differing_names
from mmyolo.errors import ConfigConflictError
from mmyolo.registry import DATASETS

OBJECTS = {'cat': 5, 'dog': 12, 'bird': 0}


@pytest.mark.parametrize(
    'classes, words',
    [
        (('cat', 'dog', 'bird'), []),
        (('bird', 'cat', 'dog'), []),
        (('cat', 'dog'), []),  # no object is lost
        (('cat', 'dgo', 'bird'), ["no 'dgo' of metainfo.classes (did you mean 'dog'?)", '12 objects', "'dog' 12"]),
        (('bird',), ['17 objects of other classes are left out', "'dog' 12, 'cat' 5"]),
        (('cat', 'dog', 'bird', 'unicorn'), ["no 'unicorn'"]),
        (('Cat', 'dog', 'bird'), ["no 'Cat'", "did you mean 'cat'", "'cat' 5"]),
    ],
)
def test_sentence(classes, words):
    sentence = differing_names('train.json', classes, OBJECTS)
    assert bool(sentence) == bool(words) and all(word in sentence for word in words), sentence


def test_sentence_names_the_most_frequent_classes_and_counts_the_rest():
    sentence = differing_names('a.json', ('cat',), {'cat': 1, **{f'class {n}': n for n in range(1, 41)}})
    assert f'{sum(range(1, 41))} objects' in sentence and "'class 40' 40" in sentence and 'and 30 more' in sentence


@pytest.mark.parametrize('classes', [['cat'], ('cat', 'dog'), ('人',)])
def test_names(classes):
    check_class_names(classes)


@pytest.mark.parametrize(
    'classes', ['cat', (), [], None, 3, ('cat', 3), ('cat', ''), (' ',), ('cat', 'cat'), {'cat': 1}]
)
def test_no_names(classes):
    with pytest.raises(ConfigConflictError, match='metainfo.classes'):
        check_class_names(classes)


def test_names_may_stand_in_a_text_file(tmp_path):
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    kind = DATASETS.get('YOLOv5CocoDataset')
    assert kind._load_metainfo({'classes': str(tmp_path / 'names.txt')})['classes'] == ['cat', 'dog']
    with pytest.raises(ConfigConflictError, match="the text 'cat'"):
        kind._load_metainfo({'classes': 'cat'})


def coco(folder):
    boxes = [
        {'id': i, 'image_id': 1, 'category_id': 1 + i % 2, 'bbox': [1, 1, 9, 9], 'area': 81, 'iscrowd': 0}
        for i in range(1, 6)
    ]
    content = {
        'images': [{'id': 1, 'file_name': '1.jpg', 'width': 20, 'height': 20}],
        'annotations': boxes,
        'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}],
    }
    (folder / 'train.json').write_text(json.dumps(content))
    return {'type': 'YOLOv5CocoDataset', 'ann_file': 'train.json', 'data_prefix': {'img': ''}}


def voc(folder):
    for name in ('Annotations', 'ImageSets/Main'):
        (folder / 'VOC2007' / name).mkdir(parents=True)
    (folder / 'VOC2007/ImageSets/Main/train.txt').write_text('1\n')
    objects = ''.join(
        f'<object><name>{("cat", "dog")[i % 2]}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>'
        '<ymax>9</ymax></bndbox></object>'
        for i in range(1, 6)
    )
    (folder / 'VOC2007/Annotations/1.xml').write_text(
        f'<annotation><size><width>20</width><height>20</height></size>{objects}</annotation>'
    )
    return {
        'type': 'YOLOv5VOCDataset',
        'ann_file': 'VOC2007/ImageSets/Main/train.txt',
        'data_prefix': {'sub_data_root': 'VOC2007/'},
    }


@pytest.mark.parametrize('write', [coco, voc])
def test_a_data_set_warns_of_objects_that_are_not_trained(write, tmp_path, monkeypatch):
    said = []
    for module in ('yolov5_coco', 'yolov5_voc'):
        monkeypatch.setattr(
            f'mmyolo.datasets.{module}.print_log', lambda text, logger, level: said.append((text, level))
        )
    part = write(tmp_path)
    for classes, words in ((('cat', 'dog'), []), (('cat', 'dgo'), ["'dgo'", "'dog' 3"]), (('cat',), ["'dog' 3"])):
        said.clear()
        DATASETS.build(dict(part, data_root=str(tmp_path), metainfo={'classes': classes}, pipeline=[]))
        assert len(said) == bool(words)
        assert all(word in said[0][0] for word in words) and all(level == logging.WARNING for _, level in said)
