"""Which number format a training computes in, by what the hardware does fast."""

from pathlib import Path
from typing import Any

import torch

from tmi.errors import SettingError, settings_file

CPU_INFO = Path('/proc/cpuinfo')
FAST_BF16_FLAGS = frozenset({'avx512_bf16', 'amx_bf16'})


def cpu_has_fast_bf16() -> bool:
    """Return whether the CPU multiplies bf16 in hardware; elsewhere it is emulated, and slower than fp32."""
    if not CPU_INFO.is_file():
        return False
    for line in CPU_INFO.read_text(encoding='utf-8').splitlines():
        if line.startswith('flags'):
            return bool(FAST_BF16_FLAGS.intersection(line.split()))
    return False


def resolve_precision(asked: str, device: str) -> str:
    """Decide the number format.

    Args:
        asked: 'auto', 'fp32', 'bf16' or 'fp16'.
        device: 'cuda' or 'cpu'.

    Returns:
        'fp32', 'bf16' or 'fp16'.

    Raises:
        TaskError: 300001 for fp16 on a CPU, or bf16 on a GPU without it.
    """
    if device == 'cpu':
        if asked == 'fp16':
            raise SettingError(
                f'Bad value in {settings_file()}, precision: fp16 needs a GPU; allowed on a CPU is auto, fp32 or bf16.'
            )
        if asked == 'auto':
            return 'bf16' if cpu_has_fast_bf16() else 'fp32'
        return asked
    has_bf16 = torch.cuda.get_device_capability()[0] >= 8
    if asked == 'auto':
        return 'bf16' if has_bf16 else 'fp16'
    if asked == 'bf16' and not has_bf16:
        raise SettingError(
            f'Bad value in {settings_file()}, precision: this GPU has no bf16; allowed is auto, fp32 or fp16.'
        )
    return asked


def set_precision(optim_wrapper: dict[str, Any], precision: str) -> None:
    """Set the number format in the config of an optimizer wrapper, in place.

    Args:
        optim_wrapper: Its config.
        precision: 'fp32', 'bf16' or 'fp16'.
    """
    if precision == 'bf16':  # it has the range of fp32: nothing to scale
        optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16', loss_scale={'enabled': False})
    elif precision == 'fp16':
        optim_wrapper.update(type='AmpOptimWrapper', dtype='float16')
