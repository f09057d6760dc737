"""Runs an exported file with ONNX Runtime; all it needs to know stands in the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .dependencies import need
from .metadata import read_metadata

INTERPOLATIONS = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
    'lanczos': cv2.INTER_LANCZOS4,
}


class Boxes(NamedTuple):
    """Boxes of one image, best first."""

    bboxes: np.ndarray
    """(n, 4) xyxy in pixels of the image."""
    scores: np.ndarray
    """(n,)."""
    labels: np.ndarray
    """(n,) int32."""


class Fit(NamedTuple):
    """An image as the input of a network; a point p of it is (p - shift) / scale of the image."""

    pixels: np.ndarray
    """(H, W, 3) uint8."""
    scale: tuple[float, float]
    """x, y."""
    shift: tuple[int, int]
    """x, y."""


def fit(image: np.ndarray, size: Sequence[int], resize: dict) -> Fit:
    """Bring an image to the input size.

    Args:
        image: (h, w, 3) uint8.
        size: height and width.
        resize: `mode`: 'letterbox' (aspect ratio kept, padding on all sides), 'corner' (padding at the right and
            bottom) or 'stretch'; `pad_value` of the three channels; `interpolation`; `scale_up`: whether images smaller
            than the input are enlarged.
    """
    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    if not resize['scale_up']:
        ratio = min(ratio, 1.0)
    if resize['mode'] == 'stretch':
        new_h, new_w = size
    elif resize['mode'] == 'corner' or resize['interpolation'] != 'area or bilinear':
        new_h, new_w = int(height * ratio + 0.5), int(width * ratio + 0.5)
    else:
        new_h, new_w = int(height * ratio), int(width * ratio)
    new_h, new_w = min(max(new_h, 1), size[0]), min(max(new_w, 1), size[1])
    if (new_h, new_w) != (height, width):
        interpolation = resize['interpolation']
        if interpolation == 'area or bilinear':
            interpolation = 'area' if ratio < 1 else 'bilinear'
        image = cv2.resize(image, (new_w, new_h), interpolation=INTERPOLATIONS[interpolation])
    pad_h, pad_w = size[0] - new_h, size[1] - new_w
    top, left = (pad_h // 2, pad_w // 2) if resize['mode'] == 'letterbox' else (0, 0)
    if pad_h or pad_w:
        image = cv2.copyMakeBorder(
            image, top, pad_h - top, left, pad_w - left, cv2.BORDER_CONSTANT, value=resize['pad_value']
        )
    return Fit(image, (new_w / width, new_h / height), (left, top))


class OnnxDetector:
    """An exported detector.

    Args:
        path: the ONNX file.
        providers: of ONNX Runtime, its CPU by default.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] = ('CPUExecutionProvider',)) -> None:
        runtime = need('onnxruntime')
        self.session = runtime.InferenceSession(str(path), providers=list(providers))
        self.metadata = read_metadata(self.session.get_modelmeta().custom_metadata_map)
        self.classes = self.metadata['classes']
        self.size = self.metadata['input_size']
        self.input = self.session.get_inputs()[0]

    @property
    def batch_size(self) -> int | None:
        """Images per run, None if any number will do."""
        return self.input.shape[0] if isinstance(self.input.shape[0], int) else None

    def make_input(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[Fit]]:
        """Make the input of a batch.

        Args:
            images: (h, w, 3) uint8 each, blue first, as OpenCV reads them.

        Returns:
            (B, 3, H, W), and how each image was fitted.
        """
        fits = [fit(image, self.size, self.metadata['resize']) for image in images]
        batch = np.stack([one.pixels for one in fits]).transpose(0, 3, 1, 2)
        if self.metadata['preprocess_in_graph']:
            return batch.astype(np.uint8 if self.input.type == 'tensor(uint8)' else np.float32), fits
        if self.metadata['channel_order'] == 'rgb':
            batch = batch[:, ::-1]
        mean, std = (np.float32(self.metadata[name]).reshape(-1, 1, 1) for name in ('mean', 'std'))
        return (batch.astype(np.float32) - mean) / std, fits

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run the graph; return its outputs."""
        return self.session.run(None, {self.input.name: np.ascontiguousarray(batch)})

    def detect(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Detect in images.

        Args:
            images: (h, w, 3) uint8 each, blue first; any number, in batches of the size that the file has.

        Returns:
            The boxes of each image, clamped to it.

        Raises:
            ValueError: for a file of raw maps.
        """
        if self.metadata['form'] == 'raw':
            raise ValueError(
                'This file gives raw maps, which are not boxes yet: export the checkpoint without --model-only'
            )
        results = []
        step = self.batch_size or max(len(images), 1)
        for start in range(0, len(images), step):
            part = list(images[start : start + step])
            count = len(part)
            batch, fits = self.make_input(part + part[-1:] * (step - count if self.batch_size else 0))
            outputs = self.run(batch)
            for image, one, *rows in zip(part, fits, *outputs):
                results.append(_in_image(image, one, *rows))
        return results


def _in_image(
    image: np.ndarray, one: Fit, num: np.ndarray, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> Boxes:
    num = int(num[0])
    bboxes = (boxes[:num] - np.float32(one.shift * 2)) / np.float32(one.scale * 2)
    height, width = image.shape[:2]
    return Boxes(bboxes.clip(0, np.float32([width, height] * 2)), scores[:num], labels[:num])
