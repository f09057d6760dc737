"""Whether a segmentation data set has pixels of no class."""

import json

import numpy as np
import pytest
from pycocotools import mask

from ymir_exc import dataset_convert as convert
from ymir_exc.errors import DatasetError
from ymir_exc.util import get_merged_config


def rle(*boxes):
    pixels = np.zeros((10, 20), np.uint8, order='F')
    for x, y, w, h in boxes:
        pixels[y : y + h, x : x + w] = 1
    encoded = mask.encode(pixels)
    return {'size': encoded['size'], 'counts': encoded['counts'].decode()}


@pytest.mark.parametrize(
    'segmentations, blank',
    [
        ([rle((0, 0, 20, 10))], False),
        ([rle((0, 0, 10, 10)), rle((10, 0, 10, 10))], False),
        ([rle((0, 0, 15, 10)), rle((0, 0, 15, 10))], True),  # areas sum to more than the image, but a strip is blank
        ([rle((0, 0, 20, 9))], True),
        ([[[0, 0, 20, 0, 20, 10, 0, 10]]], False),
        ([{'size': [10, 20], 'counts': [0, 200]}], False),
        ([], True),
        ([{}], True),
    ],
)
def test_blank_area(task, monkeypatch, segmentations, blank):
    monkeypatch.setenv('WITH_BLANK_AREA', '')
    path = task.annotations / 'coco-annotations.json'
    path.write_text(
        json.dumps(
            {
                'images': [
                    {'id': 1, 'file_name': 'a.jpg', 'width': 20, 'height': 10},
                    {'id': 2, 'file_name': 'val.jpg', 'width': 9, 'height': 9},
                ],
                'categories': [],
                'annotations': [
                    {'id': index, 'image_id': 1, 'segmentation': segmentation}
                    for index, segmentation in enumerate(segmentations)
                ],
            }
        )
    )
    task.write_index('train', [f'/in/assets/a.jpg\t{path}'])
    cfg = get_merged_config()
    assert convert.find_blank_area_in_dataset(cfg) is blank
    assert convert.train_with_black_area_or_not(cfg) is blank
    path.unlink()
    assert convert.train_with_black_area_or_not(cfg) is blank  # from the environment variable
    cfg.param.ignore_blank_area = 'true'
    assert convert.train_with_black_area_or_not(cfg) is False
    with pytest.raises(DatasetError, match='coco-annotations.json'):
        convert.find_blank_area_in_dataset(cfg)
