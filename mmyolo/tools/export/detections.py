"""Export of detectors that give their detections themselves, without maps that someone else decodes and suppresses."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from mmyolo.utils.onnx_trace import INPUT, trace_to_onnx

from .check import SAME_BOX, SAME_SCORE, CheckReport
from .dependencies import need


def export_detections(
    network: nn.Module, path: Path, shape: tuple[int, int], outputs: Sequence[str], batch_size: int = 1, opset: int = 17
) -> None:
    """Write a network that gives boxes, scores and labels; the number of images is left open.

    Args:
        network: From (B, 3, H, W) normalised images to boxes (B, D, 4) xyxy in pixels, scores (B, D) and labels (B, D).
        path: The file to write.
        shape: Height and width of the input.
        outputs: Names of these three.
        batch_size: Images of the example that is traced.
        opset: Version of the ONNX operators.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = {name: {0: 'images'} for name in (INPUT, *outputs)}
    trace_to_onnx(network, torch.zeros(batch_size, 3, *shape), path, outputs, opset, axes)


def check_detections(
    network: nn.Module, preprocessor: nn.Module, path: Path, shape: tuple[int, int], image: np.ndarray, threshold: float
) -> CheckReport:
    """Compare a file, run by ONNX Runtime, with the network that it was made of, on an image and its mirror image.

    Args:
        network: As of `export_detections`.
        preprocessor: Of the detector, which normalises.
        path: The file.
        shape: Height and width of the input.
        image: (h, w, 3) uint8, blue first.
        threshold: Boxes with a lower score do not count.
    """
    resized = cv2.resize(image, shape[::-1])
    pixels = [torch.from_numpy(np.ascontiguousarray(one.transpose(2, 0, 1))) for one in (resized, resized[:, ::-1])]
    inputs = preprocessor({'inputs': pixels}, False)['inputs'].contiguous()
    session = need('onnxruntime').InferenceSession(str(path), providers=['CPUExecutionProvider'])
    with torch.inference_mode():
        expected = network(inputs)
    found = [torch.from_numpy(output) for output in session.run(None, {INPUT: inputs.numpy()})]
    pairs = [_compare(ours, theirs, threshold) for ours, theirs in zip(zip(*expected), zip(*found))]
    boxes, theirs, matched, of_boxes, of_scores = zip(*pairs)
    return CheckReport(path.name, len(pairs), sum(boxes), sum(theirs), sum(matched), max(of_boxes), max(of_scores))


def _compare(ours: Sequence[Tensor], theirs: Sequence[Tensor], threshold: float) -> tuple[int, int, int, float, float]:
    """Return how many boxes each finds and both, and the largest differences of a coordinate and a score."""
    (boxes, scores, labels), other = (
        [value[one[1] >= threshold] for value in one] for one in (tuple(ours), tuple(theirs))
    )
    distance = (boxes[:, None] - other[0]).abs().amax(-1)  # (n, m)
    far = (distance > SAME_BOX) | (labels[:, None] != other[2]) | ((scores[:, None] - other[1]).abs() > SAME_SCORE)
    distance[far] = torch.inf
    if not distance.numel():
        return len(boxes), len(other[0]), 0, 0.0, 0.0
    nearest, places = distance.min(1)
    same = nearest.isfinite()
    if not same.any():
        return len(boxes), len(other[0]), 0, 0.0, 0.0
    differences = (scores - other[1][places]).abs()
    return len(boxes), len(other[0]), int(same.sum()), float(nearest[same].max()), float(differences[same].max())
