"""Engines: what runs the network of a model in place of PyTorch, on a CPU.

Only the network (backbone, neck and the convolutions of the head) goes to an engine. What comes before and after it
(letterbox, normalisation, decoding, suppression, what mining measures) is the same code in PyTorch, so an engine can
change boxes by rounding alone. Whether it does is checked on the first images of each task, see `choice.py`.

Which engine a task can use at all is decided by the parent of the predicting processes, here; this module imports
neither torch nor an engine.
"""

import logging
from collections.abc import Sequence
from importlib.util import find_spec

TORCH = 'torch'
AUTO = 'auto'
ENGINE_FOLDER = 'engine'  # below the predictions of a task, while they are made
CHOICE_FILE = 'choice.json'  # in it
PACKAGES = {'onnxruntime': ('onnx', 'onnxruntime'), 'openvino': ('onnx', 'openvino')}
"""Engine -> the packages that it needs; onnx writes the file that both read."""

logger = logging.getLogger('tmi')


def missing_packages(engine: str) -> list[str]:
    """Return the packages that an engine needs and that are not installed."""
    return [name for name in PACKAGES[engine] if find_spec(name) is None]


def installed_engines() -> list[str]:
    """Return the engines besides torch whose packages are installed."""
    return [engine for engine in PACKAGES if not missing_packages(engine)]


def usable_engine(asked: str, gpu_ids: Sequence[int], precision: str) -> str:
    """Return the engine that a task tries to use; a sentence in the log says why it is not the one asked for.

    Args:
        asked: 'torch', 'onnxruntime', 'openvino', or 'auto' for the fastest.
        gpu_ids: GPUs of the task, none for the CPU.
        precision: 'auto', 'fp32', 'fp16' or 'bf16'.

    Returns:
        `asked`, or 'torch' where the task has GPUs, another precision than fp32, or lacks a package.
    """
    if asked == TORCH:
        return TORCH
    if gpu_ids:
        reason = 'engines other than torch run on the CPU, and this task has GPUs'
    elif precision not in ('auto', 'fp32'):
        reason = f'engines other than torch compute in fp32 here, and precision is {precision}'
    elif asked == AUTO:
        if installed_engines():
            return AUTO
        reason = 'neither onnxruntime nor openvino is installed with the package onnx'
    else:
        missing = missing_packages(asked)
        if not missing:
            return asked
        reason = f'the package {" and ".join(missing)} is not installed (pip install {" ".join(missing)})'
    logger.log(logging.INFO if asked == AUTO else logging.WARNING, 'engine is %s, torch is used: %s', asked, reason)
    return TORCH


def log_choice(asked: str, engine: str, reason: str) -> None:
    """Say which engine a task uses.

    Args:
        asked: By the task.
        engine: That is used.
        reason: Why.
    """
    level = logging.WARNING if engine == TORCH and asked != AUTO else logging.INFO
    logger.log(level, 'engine is %s, %s is used: %s', asked, engine, reason)
