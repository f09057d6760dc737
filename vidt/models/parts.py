"""Working through many tokens in parts, so that what lies between two layers stays in the cache of a CPU."""

from collections.abc import Iterator

import torch
from torch import Tensor


def parts(length: int, size: int, like: Tensor) -> Iterator[slice]:
    """Yield slices of at most `size`, or one of the whole length where parts would not be faster.

    They are slower where gradients are kept, and on a GPU; a compiler fuses the layers itself.

    Args:
        length: How much there is.
        size: Length of a part.
        like: A tensor that is going to be worked on.
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if torch.is_grad_enabled() or like.device.type != 'cpu' or traced:
        yield slice(None)
        return
    for start in range(0, length, size):
        yield slice(start, start + size)
