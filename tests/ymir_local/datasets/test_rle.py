"""Boxes of run-length masks against pycocotools and against the mask itself."""

import numpy as np
import pytest

from ymir_exc.annotations.rle import mask_corners, unpack


@pytest.mark.parametrize('seed', range(40))
def test_against_pycocotools(seed):
    mask_api = pytest.importorskip('pycocotools.mask')
    generator = np.random.default_rng(seed)
    height, width = generator.integers(1, 90, 2)
    mask = np.zeros((height, width), np.uint8, order='F')
    top, left = generator.integers(0, height), generator.integers(0, width)
    mask[top : top + generator.integers(1, 50), left : left + generator.integers(1, 50)] = 1
    mask[generator.random((height, width)) < (0.3 if seed % 2 else 0.002)] ^= 1
    packed = mask_api.encode(mask)
    if not mask.any():
        mask[0, 0] = 1
        packed = mask_api.encode(mask)
    text = packed['counts'].decode()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    expected = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert mask_corners({'size': [height, width], 'counts': text}) == expected
    flat = mask.ravel(order='F')
    borders = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    counts = np.diff([0, *borders, flat.size]).tolist()
    assert unpack(text) == counts
    assert mask_corners({'size': [height, width], 'counts': counts}) == expected


@pytest.mark.parametrize(
    'mask, words',
    [
        ({'counts': [1]}, 'not a run-length mask'),
        ({'size': [2], 'counts': [4]}, 'not a run-length mask'),
        ({'size': [2, 2], 'counts': None}, 'not a run-length mask'),
        ({'size': [2, 2], 'counts': 'o'}, 'not a run-length mask'),
        ({'size': [2, 2], 'counts': [1, 1]}, 'do not add up'),
        ({'size': [2, 2], 'counts': [5, -1]}, 'do not add up'),
        ({'size': [0, 2], 'counts': []}, 'do not add up'),
        ({'size': [2, 2], 'counts': [4]}, 'its mask is empty'),
    ],
)
def test_no_mask(mask, words):
    with pytest.raises(ValueError, match=words):
        mask_corners(mask)
