"""Outlines of run-length encoded masks, and the instances that have them."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mmyolo.datasets.transforms.loading import LoadAnnotations
from mmyolo.datasets.transforms.polygons import trace_rle

HEIGHT, WIDTH = 50, 70


def encode(pixels, as_list=False):
    if as_list:
        changes = np.flatnonzero(np.diff(np.concatenate([[0], pixels.T.ravel()]))).tolist()
        return {'size': list(pixels.shape), 'counts': np.diff([0, *changes, pixels.size]).tolist()}
    code = mask_utils.encode(np.asfortranarray(pixels))
    return {'size': code['size'], 'counts': code['counts'].decode('ascii')}


def blank():
    return np.zeros((HEIGHT, WIDTH), np.uint8)


@pytest.mark.parametrize('as_list', [False, True])
def test_the_outline_of_a_rectangle_runs_along_its_edges(as_list):
    pixels = blank()
    pixels[10:20, 30:45] = 1
    (outline,) = trace_rle(encode(pixels, as_list))
    corners = [(30, 10.5), (30, 19.5), (30.5, 10), (30.5, 20), (44.5, 10), (44.5, 20), (45, 10.5), (45, 19.5)]
    assert sorted(map(tuple, outline.reshape(-1, 2).tolist())) == corners and outline.dtype == np.float32


def test_a_pixel_the_whole_image_and_nothing():
    pixels = blank()
    assert trace_rle(encode(pixels)) == []
    pixels[3, 4] = 1
    assert sorted(trace_rle(encode(pixels))[0].reshape(-1, 2).tolist()) == [[4, 3.5], [4.5, 3], [4.5, 4], [5, 3.5]]
    (outline,) = trace_rle(encode(blank() + 1))
    assert outline.reshape(-1, 2).max(0).tolist() == [WIDTH, HEIGHT]


def test_parts_and_holes():
    pixels = blank()
    pixels[5:15, 5:15] = pixels[30:45, 40:60] = 1
    pixels[8:12, 8:12] = 0
    outlines = trace_rle(encode(pixels))
    extents = sorted((*part.reshape(-1, 2).min(0), *part.reshape(-1, 2).max(0)) for part in outlines)
    assert extents == [(5, 5, 15, 15), (40, 30, 60, 45)]  # with the hole filled


@pytest.mark.parametrize('seed', range(6))
def test_a_traced_mask_covers_the_same_pixels(seed):
    rng = np.random.default_rng(seed)
    pixels = blank()
    if seed % 2:
        cv2.circle(pixels, (30, 25), int(rng.integers(3, 18)), 1, -1)
    else:
        corners = cv2.convexHull(rng.integers(5, 45, (6, 2)).astype(np.int32))
        cv2.fillPoly(pixels, [corners], 1)
    (outline,) = trace_rle(encode(pixels))
    code = mask_utils.merge(mask_utils.frPyObjects([outline.astype(float).tolist()], HEIGHT, WIDTH))
    assert (mask_utils.decode(code) == pixels).all()
    extent = *outline.reshape(-1, 2).min(0), *outline.reshape(-1, 2).max(0)
    x, y, w, h = mask_utils.toBbox(encode(pixels))
    assert extent == (x, y, x + w, y + h)


def test_instances_with_run_length_codes_are_loaded():
    pixels = blank()
    pixels[10:20, 30:45] = 1
    square = [30.0, 10.0, 45.0, 10.0, 45.0, 20.0, 30.0, 20.0]
    instances = [
        dict(bbox=[0, 0, 1, 1], bbox_label=label, ignore_flag=0, mask=mask)
        for label, mask in enumerate((encode(pixels), [square], encode(blank()), encode(pixels, as_list=True)))
    ]
    load = LoadAnnotations(with_bbox=True, with_mask=True, mask2bbox=True)
    results = load({'ori_shape': (HEIGHT, WIDTH), 'instances': instances})
    assert results['gt_bboxes_labels'].tolist() == [0, 1, 3]
    assert results['gt_bboxes'].numpy().tolist() == [[30, 10, 45, 20]] * 3
