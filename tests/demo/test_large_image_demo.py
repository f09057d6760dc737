"""demo/large_image_demo.py: what it writes, and that patches find what the whole image cannot show."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo.tools.demo.large_image import slice_windows
from tests.demo.detector import picture


def test_patches_find_small_objects(run, write_picture, capsys):
    boxes = write_picture('in/a.png', 21, 420, 500, 6)
    options = ('--patch-size', 128, '--patch-overlap-ratio', 0.5, '--batch-size', 5)
    run('large_image_demo', 'in', *options, '--debug', '--save-patch')
    windows = slice_windows(420, 500, 128, 0.5)
    said = re.search(r'(\d+) boxes in (\d+) patches, (\d+) after', capsys.readouterr().out)
    found, patches, merged = map(int, said.groups())
    assert patches == len(windows) == 42
    assert len(boxes) <= merged < found
    before, after, unmerged = (cv2.imread(name) for name in ('in/a.png', 'output/a.png', 'output/a_unmerged.png'))
    for _, x1, y1, x2, y2 in boxes:
        assert (after != before)[y1 - 4 : y2 + 4, x1 - 4 : x2 + 4].any()
    assert (unmerged != before).sum() > (after != before).sum()
    assert sorted(path.name for path in Path('output/a_patches').iterdir()) == sorted(
        f'{x}_{y}.png' for x, y, *_ in windows
    )
    assert cv2.imread('output/a_patches/0_64.png').shape == (128, 128, 3)


def test_an_image_without_objects(run, capsys):
    cv2.imwrite('dark.png', picture(0, 150, 150, 0)[0])
    run('large_image_demo', 'dark.png', '--patch-size', 128)
    assert '0 boxes in 4 patches, 0 after the merge' in capsys.readouterr().out
    assert np.array_equal(cv2.imread('output/dark.png'), cv2.imread('dark.png'))


def test_batches_do_not_change_the_result(run, write_picture):
    write_picture('a.png', 21, 200, 300, 4)
    for size in (1, 4):
        run('large_image_demo', 'a.png', '--patch-size', 128, '--batch-size', size, '--out-dir', size)
    assert np.array_equal(cv2.imread('1/a.png'), cv2.imread('4/a.png'))


def test_wrong_use(run, capsys):
    with pytest.raises(SystemExit):
        run('large_image_demo', 'a.png', '--batch-size', 0)
    assert 'must be at least 1' in capsys.readouterr().err
