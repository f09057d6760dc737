"""In which number format a network predicts."""

import torch

AUTOCAST = {'fp16': torch.float16, 'bf16': torch.bfloat16}


def resolve_autocast(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the number format of the matrix products of a prediction, None for fp32.

    Args:
        precision: 'auto', 'fp32', 'fp16' or 'bf16'; auto is fp16 on a GPU and fp32 on a CPU.
        device: Where it runs.
    """
    if precision == 'auto':
        precision = 'fp16' if device.type == 'cuda' else 'fp32'
    return AUTOCAST.get(precision)
