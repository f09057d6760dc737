"""Masks of objects: checked, converted with their boxes, and written as the result of instance segmentation."""

import json
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from tests.ymir_exc import platform_rules as rules
from tests.ymir_exc.test_dataset_convert import fill, read
from ymir_exc import dataset_convert as convert
from ymir_exc.annotations.masks import NoMask, checked_mask, mask_area
from ymir_exc.errors import ConfigError, DatasetError, ResultError
from ymir_exc.result_writer import SegmentationResultWriter
from ymir_exc.segmentation_result import Instance, check_segmentation_result

WIDTH, HEIGHT = 100, 80  # of the images of `task`
SQUARE = [10, 20, 30, 20, 30, 40, 10, 40]


def pixels():
    bits = np.zeros((HEIGHT, WIDTH), np.uint8)
    bits[20:40, 10:30] = 1
    bits[25:30, 15:20] = 0
    return bits


def packed():
    code = mask_utils.encode(np.asfortranarray(pixels()))
    return {'size': [HEIGHT, WIDTH], 'counts': code['counts'].decode('ascii')}


def runs(values=None):
    changes = np.flatnonzero(np.diff(np.concatenate([[0], pixels().T.ravel()]))).tolist()
    found = np.diff([0, *changes, WIDTH * HEIGHT]).tolist()
    return {'size': [HEIGHT, WIDTH], 'counts': found if values is None else values}


def test_masks_that_can_be_used():
    assert checked_mask([SQUARE], WIDTH, HEIGHT) == ([SQUARE], 400)
    triangle = [0, 0, 10, 0, 0, 10.5]
    assert checked_mask([SQUARE, [1, 2, 3, 4], triangle, [1] * 7], WIDTH, HEIGHT) == ([SQUARE, triangle], 452.5)
    beyond, partly = [100, 0, 110, 0, 110, 9], [-9, -9, 3, -9, 3, 3]
    assert checked_mask([beyond, partly], WIDTH, HEIGHT) == ([beyond, partly], 117)
    assert checked_mask(packed(), WIDTH, HEIGHT) == (packed(), 375) == (packed(), mask_utils.area(packed()))
    with_decimals = {'size': [HEIGHT, WIDTH], 'counts': [float(run) for run in runs()['counts']]}
    mask, area = checked_mask(with_decimals, WIDTH, HEIGHT)
    assert mask == runs() and area == 375 and all(type(run) is int for run in mask['counts'])
    assert mask_area([SQUARE, triangle]) == 452.5 and mask_area(packed()) == 375


@pytest.mark.parametrize(
    'segmentation, words',
    [
        ([[1, 2, 3, 4]], '3 points or more'),
        ([[1, 2, 3, 4, 5, 6, 7]], '3 points or more'),
        ([[5, 5, 5, 5, 5, 5]], 'no area'),
        ([[100, 0, 110, 0, 110, 9]], 'outside the image of 100 x 80'),
        ([[5, -9, 9, -9, 9, 0], [5, 80, 9, 80, 9, 99]], 'outside the image of 100 x 80'),
        ({'size': [HEIGHT, WIDTH], 'counts': 'nonsense'}, 'not a run-length mask'),
        ({'size': [1, 3], 'counts': '1\u00b2'}, 'not a run-length mask'),  # 1 and 2 here, other bytes for COCO's tools
        ({'size': [1, 3], 'counts': '1' + 'R' + 'P' * 9 + '0'}, 'not a run-length mask'),
        ({'size': [HEIGHT, WIDTH], 'counts': [9, 9]}, 'do not add up to 100 x 80'),
        ({'size': [HEIGHT, WIDTH], 'counts': [9000, -1000]}, 'do not add up to 100 x 80'),
        ({'size': [HEIGHT, WIDTH], 'counts': [float('inf')]}, 'not a run-length mask'),
        ({'size': [HEIGHT, WIDTH], 'counts': [8000]}, 'is empty'),
        ({'size': [WIDTH, HEIGHT], 'counts': [0, 8000]}, 'of 80 x 100 pixels, the image of 100 x 80'),
    ],
)
def test_masks_that_cannot_be_used(segmentation, words):
    with pytest.raises(ValueError, match=words) as caught:
        checked_mask(segmentation, WIDTH, HEIGHT)
    assert not isinstance(caught.value, NoMask)


def write_masks(task, *segmentations, **more):
    task.write_config(export_format='seg-coco:raw', object_type=4)
    task.add_image('a.jpg', None)
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': WIDTH, 'height': HEIGHT}],
        'categories': [{'id': 0, 'name': 'cat'}],
        'annotations': [
            {'id': number, 'image_id': 1, 'category_id': 0, 'bbox': [10, 20, 20, 20], 'segmentation': mask, **more}
            for number, mask in enumerate(segmentations, 1)
        ],
    }
    path = task.annotations / 'coco-annotations.json'
    path.write_text(json.dumps(content))
    fill(task, [f'{task.assets}/a.jpg\t{path}'], [])


def test_objects_without_a_mask_are_skipped_where_masks_are_wanted(task):
    masks = [[SQUARE], packed(), runs(), {}, [], None, {'size': [HEIGHT, WIDTH], 'counts': [7]}, [[1, 2]]]
    write_masks(task, *masks)
    found = []
    report = convert.convert_dataset_to_coco(
        splits=('train',), masks=True, on_finding=lambda split, finding: found.append((finding.line, finding.reason))
    )
    objects = read(report.splits['train'])['annotations']
    assert [item['segmentation'] for item in objects] == masks[:3]
    assert [item['area'] for item in objects] == [400, 375, 375]
    without, invalid = 'object without a mask', 'invalid mask'
    assert [finding for finding in found if finding[1] in (without, invalid)] == [
        *((f'annotation {number}', without) for number in (4, 5, 6)),
        *((f'annotation {number}', invalid) for number in (7, 8)),
    ]
    assert report.splits['train'].dropped_boxes.by_reason == {without: 3, invalid: 2}
    assert convert.convert_dataset_to_coco(splits=('train',)).splits['train'].num_boxes == 8


@pytest.mark.parametrize('masks', [(None,), ([[1, 2]], {})])
def test_an_image_is_skipped_where_no_object_has_a_mask(task, masks):
    write_masks(task, *masks)
    with pytest.raises(
        DatasetError, match='1 x image whose objects have no mask.*Instance segmentation learns polygons'
    ):
        convert.convert_dataset_to_coco(splits=('train',), masks=True)
    write_masks(task)  # without objects it stays
    assert convert.convert_dataset_to_coco(splits=('train',), masks=True).splits['train'].num_empty_images == 1


def test_the_area_of_the_annotation_counts(task):
    write_masks(task, [SQUARE], area=7)
    report = convert.convert_dataset_to_coco(splits=('train',), masks=True)
    assert read(report.splits['train'])['annotations'][0]['area'] == 7


@pytest.mark.parametrize('export_format', ['ark:raw', 'voc:raw', 'det-ark:raw'])
def test_formats_without_masks_are_an_error(task, export_format):
    task.add_image('a.jpg', '')
    task.write_config(export_format=export_format, object_type=4)
    fill(task, [f'{task.assets}/a.jpg\t{task.annotations}/a.txt'], [])
    with pytest.raises(ConfigError, match=f"export_format in config.yaml is '{export_format}'.*needs seg-coco:raw"):
        convert.convert_dataset_to_coco(masks=True)


def instance(**changes):
    return Instance(
        **{'class_id': 0, 'score': 0.5, 'bbox': (10, 20, 20, 20), 'area': 375, 'counts': packed()['counts']}
    )._replace(**changes)


def test_the_result_is_written_image_by_image(task):
    with SegmentationResultWriter(['cat', 'bird']) as writer:
        assert (
            writer.write_new('/in/assets/a.jpg', (WIDTH, HEIGHT), [instance(), instance(class_id=1, score=1 / 3)])
            is None
        )
        assert writer.write_new('/in/assets/b.jpg', None, []) is None
        assert writer.write_new('/in/other/a.jpg', (5, 5), [instance()]) == '/in/assets/a.jpg'
        assert not task.infer_file.exists()
    text = task.infer_file.read_text()
    assert rules.segmentation_result_violations(text) == []
    found = json.loads(text)
    assert check_segmentation_result(found) == found
    assert [(image['id'], image['file_name'], image['width'], image['height']) for image in found['images']] == [
        (1, 'a.jpg', WIDTH, HEIGHT),
        (2, 'b.jpg', 0, 0),
    ]
    assert found['categories'] == [{'id': 0, 'name': 'cat'}, {'id': 1, 'name': 'bird'}]
    expected = dict(id=1, image_id=1, category_id=0, bbox=[10, 20, 20, 20], area=375, iscrowd=0, confidence=0.5)
    assert found['annotations'] == [
        dict(expected, segmentation=packed()),
        dict(expected, segmentation=packed(), id=2, category_id=1, confidence=0.3333333),
    ]
    assert (mask_utils.decode(found['annotations'][0]['segmentation']) == pixels()).all()
    assert [path.name for path in task.infer_file.parent.iterdir() if path.name.startswith('tmp')] == []


def test_a_result_without_images_or_objects(task):
    with SegmentationResultWriter(['cat']):
        pass
    assert json.loads(task.infer_file.read_text()) == {
        'categories': [{'id': 0, 'name': 'cat'}],
        'annotations': [],
        'images': [],
    }


@pytest.mark.parametrize('changes', [{'score': float('nan')}, {'class_id': 3}, {'bbox': (1, 2)}])
def test_a_bad_value_leaves_the_earlier_result(task, changes):
    task.infer_file.write_text('earlier')
    with pytest.raises(ResultError, match='a.jpg: object 1|finite'), SegmentationResultWriter(['cat']) as writer:
        writer.write_new('/in/assets/a.jpg', (WIDTH, HEIGHT), [instance(**changes)])
    assert task.infer_file.read_text() == 'earlier'


def test_memory_does_not_grow_with_what_was_written(task):
    item = instance()

    def peak(count):
        tracemalloc.start()
        with SegmentationResultWriter(['cat']) as writer:
            for number in range(count):
                writer.write_new(f'/in/assets/{number}.jpg', (WIDTH, HEIGHT), [item])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    size_of_an_image = 300  # bytes in the file; the table of names holds 682 before it grows
    few, many = peak(50), peak(550)
    assert many - few < 0.2 * 500 * size_of_an_image
