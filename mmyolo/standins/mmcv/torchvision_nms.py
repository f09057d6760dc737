"""torchvision's compiled non-maximum suppression, where torchvision is installed and fits the installed PyTorch."""

import functools
from collections.abc import Callable

import torch


@functools.cache
def torchvision_nms() -> Callable | None:
    """Find the operator, once.

    Returns:
        nms(boxes, scores, iou_threshold) -> indices, or None if torchvision is missing or broken.
    """
    try:
        from torchvision.ops import nms

        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception:  # a build for another PyTorch fails in many ways: missing symbols, operators, attributes
        return None
    return nms
