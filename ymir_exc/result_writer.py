"""Writes the results of training, mining and inference into /out (contract sections d.2 to d.5)."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

from . import env
from .atomic import write_text_atomically
from .infer_result import Annotation, Box, InferResultWriter
from .mining_result import MiningResultWriter
from .protocol import multiple_model_stages_supportable
from .segmentation_result import SegmentationResultWriter, check_segmentation_result
from .training_result import remove_model_stages, write_model_stage, write_training_result

__all__ = [
    'Annotation',
    'Box',
    'InferResultWriter',
    'MiningResultWriter',
    'SegmentationResultWriter',
    'multiple_model_stages_supportable',
    'remove_model_stages',
    'write_infer_result',
    'write_mining_result',
    'write_model_stage',
    'write_training_result',
]


def write_mining_result(mining_result: Iterable[tuple[str, Any]]) -> None:
    """Write result.tsv, the highest score first; equal scores keep their order, NaN goes last.

    Args:
        mining_result: (path as in the index file, score) of every candidate.

    Raises:
        ResultError: a score is not a number, a path cannot stand in a line; the old file stays.
    """
    with MiningResultWriter() as writer:
        for path, score in mining_result:
            writer.write(path, score)


def write_infer_result(infer_result: Mapping[str, Any], algorithm: str = 'detection') -> None:
    """Write infer-result.json.

    Args:
        infer_result: for detection, image path -> list of :class:`Annotation`, every candidate among the keys; for
            segmentation, a coco dict.
        algorithm: ``'detection'`` or ``'segmentation'``.

    Raises:
        ResultError: the platform would reject it or lose objects; the old file stays.
        ValueError: another algorithm.
    """
    if algorithm == 'detection':
        detections: dict[str, list[Annotation]] = dict(infer_result)
        with InferResultWriter() as writer:
            for image, annotations in detections.items():
                writer.write(image, annotations)
    elif algorithm == 'segmentation':
        checked = check_segmentation_result(infer_result)
        write_text_atomically(
            env.get_current_env().output.infer_result_file, json.dumps(checked, allow_nan=False) + '\n'
        )
    else:
        raise ValueError(f"algorithm must be 'detection' or 'segmentation', not {algorithm!r}")
