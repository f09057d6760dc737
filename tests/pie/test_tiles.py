"""How large pictures are cut: every pixel is predicted once, from a tile that sees enough around it."""

import numpy as np
import pytest

from pie.tiles import FILE_MULTIPLE, Grid, Window


@pytest.mark.parametrize(
    'size, tile, overlap',
    [
        ((1000, 700), (128, 128), 32),
        ((100, 90), (128, 128), 32),
        ((129, 1500), (128, 96), 0),
        ((513, 513), (256, 256), 64),
        ((1300, 300), (608, 608), 128),
        ((64, 64), (64, 64), 32),
    ],
)
def test_every_pixel_is_in_one_core(size, tile, overlap):
    grid = Grid(size, tile, overlap)
    counts, blocks = np.zeros(size[::-1], int), 0
    for block in grid:
        blocks += 1
        assert all(start % step == 0 for start, step in zip(block.window, grid.block))
        for part in block.tiles:
            seen, core = part
            counts[core.top : core.bottom, core.left : core.right] += 1
            assert (seen.width, seen.height) == tile
            for axis, length in enumerate(size):
                before, after = core[axis] - seen[axis], seen[axis + 2] - core[axis + 2]
                if length <= tile[axis]:
                    assert (seen[axis], core[axis], core[axis + 2]) == (0, 0, length)
                    continue
                assert seen[axis] >= 0 and seen[axis + 2] <= length
                assert before >= overlap // 2 or seen[axis] == 0
                assert after >= overlap // 2 or seen[axis + 2] == length
    assert (counts == 1).all() and blocks == len(grid)
    assert all(side % FILE_MULTIPLE == 0 for side in grid.block)


def test_a_part_in_the_array_of_another():
    outer, inner = Window(10, 20, 50, 60), Window(12, 25, 20, 30)
    array = np.arange(40 * 40).reshape(40, 40)
    assert array[inner.within(outer)].shape == (5, 8) and array[inner.within(outer)][0, 0] == 5 * 40 + 2
