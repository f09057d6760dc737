"""The processors and GPUs that a task may use."""

import os
from collections.abc import MutableMapping, Sequence

from tmi.errors import MissingGpuError, SettingError
from tmi.setting_names import advice

CPU_PROCESSES_VARIABLE = 'YMIR_CPU_PROCESSES'
MAX_CPU_PROCESSES = 1024


def available_cpus() -> int:
    """Return the CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def select_devices(gpu_ids: Sequence[int], environ: MutableMapping[str, str] = os.environ) -> None:
    """Show torch exactly the GPUs of the task; none hides all, even where the container sees some.

    Args:
        gpu_ids: Numbers as they count inside the container.
        environ: The environment to change; must happen before CUDA is initialised.
    """
    outer = [item for item in environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if item]
    chosen = [outer[index] if index < len(outer) else str(index) for index in gpu_ids]
    environ['CUDA_VISIBLE_DEVICES'] = ','.join(chosen)


def cpu_processes(default: int) -> int:
    """Return how many processes work together where there is no GPU.

    Args:
        default: Where the environment variable YMIR_CPU_PROCESSES does not say.

    Returns:
        The number.

    Raises:
        TaskError: 300001 if the variable holds no number of 1 or more.
    """
    text = os.environ.get(CPU_PROCESSES_VARIABLE, '')
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MAX_CPU_PROCESSES:
        raise SettingError(
            f'The environment variable {CPU_PROCESSES_VARIABLE} is {text!r}; allowed is a number from 1 to '
            f'{MAX_CPU_PROCESSES}.'
        )
    return int(text)


def find_device(num_gpus: int) -> str:
    """Return the kind of device that the task trains on.

    Args:
        num_gpus: GPUs that the task was given; 0 means CPU.

    Returns:
        'cuda' or 'cpu'.

    Raises:
        TaskError: 300102 if torch sees fewer GPUs.
    """
    if not num_gpus:
        return 'cpu'
    import torch  # processes that only start others do without

    visible = torch.cuda.device_count()
    if visible < num_gpus:
        raise MissingGpuError(
            f'The task was given {num_gpus} GPUs, torch {torch.__version__} sees {visible}: '
            + advice(
                'check that the container was started with --gpus and the driver fits the CUDA version of this image',
                'set {gpu_count} to 0',
            )
            + '.'
        )
    return 'cuda'
