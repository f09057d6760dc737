"""What the machine has, without importing torch."""

from __future__ import annotations

import os
import subprocess

from .errors import NoGpuError


def get_gpu_memory(device: str | int = 'cuda:0') -> tuple[float, float]:
    """Ask the driver for the memory of a GPU, over all processes.

    Args:
        device: ``'cuda:N'``, ``'cuda'`` or ``N``, counted as torch does, within CUDA_VISIBLE_DEVICES.

    Returns:
        Total and free memory in GiB.

    Raises:
        ValueError: ``device`` names no GPU.
        NoGpuError: there is no such GPU, or the driver does not answer.
    """
    text = str(device).lower()
    number = '0' if text == 'cuda' else text[len('cuda:') :] if text.startswith('cuda:') else text
    if not number.isdigit():
        raise ValueError(f"device must be 'cuda:N' or N, not {device!r}")
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is not None:
        identifiers = [part.strip() for part in visible.split(',') if part.strip()]
        if int(number) >= len(identifiers):
            raise NoGpuError(f'{device}: CUDA_VISIBLE_DEVICES={visible!r} has {len(identifiers)} GPUs')
        number = identifiers[int(number)]
    command = ['nvidia-smi', f'--id={number}', '--query-gpu=memory.total,memory.free', '--format=csv,noheader,nounits']
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        total, free = (float(value) / 1024 for value in answer.strip().split(','))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise NoGpuError(f'{device}: nvidia-smi gives no memory for it: {error}') from error
    return total, free
