"""How the tokens of a map are dealt to windows of 7 x 7, as in Swin (arXiv 2103.14030)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 7
SHIFT = WINDOW // 2
TOKENS = WINDOW * WINDOW
OTHER_REGION = -100.0  # added to the score of two tokens that became neighbours only by the shift


class Windows(NamedTuple):
    """Where each token of a map goes.

    Args:
        tokens: Shape (windows * 49,), int64: the token of each place, counted from 1; 0 where it is padding.
        places: Shape (tokens,), int64: the place of each token.
        mask: Shape (windows, 1, 49, 49): what is added to the scores, None if nothing is.
    """

    tokens: Tensor
    places: Tensor
    mask: Tensor | None


def make_windows(height: int, width: int, shifted: bool, device: torch.device) -> Windows:
    """Deal a map of height x width tokens, padded right and below to a multiple of 7, to windows.

    Args:
        height: Rows of the map.
        width: Columns of the map.
        shifted: Whether the padded map is rolled by 3 up and left first, as in every second block.
        device: Where the tensors are put.

    Returns:
        The windows, row by row.
    """
    count = height * width
    grid = torch.arange(1, count + 1, device=device).view(height, width)
    grid = F.pad(grid, (0, -width % WINDOW, 0, -height % WINDOW))
    mask = None
    if shifted:
        grid = grid.roll((-SHIFT, -SHIFT), (0, 1))
        regions = _partition(_regions(grid.shape[0], device)[:, None] * 3 + _regions(grid.shape[1], device))
        mask = (regions[:, :, None] != regions[:, None, :]).float().mul(OTHER_REGION)[:, None]
    tokens = _partition(grid).flatten()
    places = torch.empty(count + 1, dtype=torch.int64, device=device)
    places[tokens] = torch.arange(tokens.shape[0], device=device)
    return Windows(tokens, places[1:], mask)


def _regions(size: int, device: torch.device) -> Tensor:
    """Which of three parts each row of the rolled map is in: whole windows, the rest, what was rolled round."""
    row = torch.arange(size, device=device)
    return (row >= size - WINDOW).long() + (row >= size - SHIFT).long()


def _partition(grid: Tensor) -> Tensor:
    height, width = grid.shape
    return grid.view(height // WINDOW, WINDOW, width // WINDOW, WINDOW).transpose(1, 2).reshape(-1, TOKENS)


def relative_position_index() -> Tensor:
    """Return which row of the table of biases holds that of each pair of tokens of a window, shape (49, 49), int64."""
    token = torch.arange(TOKENS)
    row, column = token // WINDOW, token % WINDOW
    down = row[:, None] - row + WINDOW - 1
    return down * (2 * WINDOW - 1) + column[:, None] - column + WINDOW - 1
