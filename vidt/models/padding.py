"""Which rows and columns of a batch of padded images, or of a map of them, belong to the image.

An image lies at the top left of its canvas, so its mask is one row of flags and one column of flags. They give the
same numbers as the mask itself at a fraction of the work.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Valid(NamedTuple):
    """Rows and columns that belong to the image.

    Args:
        rows: Shape (B, H), bool.
        columns: Shape (B, W), bool.
    """

    rows: Tensor
    columns: Tensor

    @classmethod
    def of_mask(cls, mask: Tensor) -> 'Valid':
        """Read the flags off a mask.

        Args:
            mask: Shape (B, H, W), bool, True on the padding right of and below each image.
        """
        return cls(~mask[:, :, 0], ~mask[:, 0, :])

    @classmethod
    def of_sizes(cls, sizes: Tensor, height: int, width: int) -> 'Valid':
        """Make the flags of images of these sizes.

        Args:
            sizes: Shape (B, 2), height and width of each image in pixels.
            height: Height of the canvas in pixels.
            width: Width of the canvas in pixels.
        """
        rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
        return cls(rows, torch.arange(width, device=sizes.device) < sizes[:, 1:])

    def resized(self, height: int, width: int) -> 'Valid':
        """Return the flags of a map of another size, each taken from the nearest place as torch's 'nearest' does."""
        return Valid(_nearest(self.rows, height), _nearest(self.columns, width))

    def padding(self) -> Tensor:
        """Return the mask of shape (B, H, W), bool, True on padding."""
        return ~(self.rows[:, :, None] & self.columns[:, None, :])

    def ratios(self) -> Tensor:
        """Return which part of width and height belongs to the image, shape (B, 2), float32 in (0, 1]."""
        return torch.stack([self.columns.float().mean(1), self.rows.float().mean(1)], 1)


def _nearest(flags: Tensor, size: int) -> Tensor:
    if flags.shape[1] == size:
        return flags
    return F.interpolate(flags[None].float(), size=size, mode='nearest')[0] > 0.5
