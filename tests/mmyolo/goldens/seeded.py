"""Weights, images and boxes that are functions of names and shapes, to hold a whole network against numbers.

The draws are part of the numbers: change nothing here without making all of them anew.
"""

import zlib

import numpy as np
import torch
from torch import Tensor

UNTOUCHED = ('.proj', '.proj_conv.weight', 'anchors', 'prior_generator')


def draw(name: str) -> np.random.Generator:
    """A generator that depends on the name alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def seeded_state(state: dict[str, Tensor], gain: float = 1.0) -> dict[str, Tensor]:
    """A state of the same keys and shapes whose activations neither vanish nor explode.

    Weights are gain * N(0, 1) / sqrt(fan in), norm scales near 1, running variances in 0.8..1.2, everything else
    0.1 * N(0, 1), counters 0.
    """
    return {key: _seeded_value(key, value, gain) for key, value in state.items()}


def _seeded_value(key: str, value: Tensor, gain: float) -> Tensor:
    if not value.is_floating_point():
        return torch.zeros_like(value)
    if key.endswith(UNTOUCHED):
        return value.clone()
    shape = tuple(value.shape)
    generator = draw(key)
    noise = generator.standard_normal(shape)
    if key.endswith('running_var'):
        noise = generator.uniform(0.8, 1.2, shape)  # drawn after the noise
    elif key.endswith('running_mean'):
        noise = 0.1 * noise
    elif value.ndim == 1 and key.endswith('weight'):
        noise = 1 + 0.1 * noise
    elif value.ndim >= 2 and value.numel() > shape[0]:
        noise = gain * noise / np.sqrt(value.numel() / shape[0])
    else:
        noise = 0.1 * noise
    return torch.as_tensor(np.asarray(noise), dtype=value.dtype)


def seeded_image(batch: int, height: int, width: int) -> Tensor:
    """(batch, 3, height, width) in [0, 1)."""
    values = draw(f'image-{batch}-{height}-{width}').random((batch, 3, height, width), dtype=np.float32)
    return torch.from_numpy(values)


def seeded_boxes(batch: int, height: int, width: int, num_classes: int, per_image: int = 8) -> Tensor:
    """(batch * per_image, 6) rows of image index, label, x1, y1, x2, y2 in pixels."""
    generator = draw(f'boxes-{batch}-{height}-{width}-{num_classes}')
    rows = []
    for image in range(batch):
        for _ in range(per_image):
            w, h = generator.uniform(0.06, 0.6) * width, generator.uniform(0.06, 0.6) * height
            x, y = generator.uniform(0, width - w), generator.uniform(0, height - h)
            rows.append((image, generator.integers(num_classes), x, y, x + w, y + h))
    return torch.tensor(rows, dtype=torch.float32)


def sample(tensor: Tensor, count: int = 32) -> Tensor:
    """Values at places that depend on the tensor's size alone."""
    flat = tensor.detach().double().flatten()
    places = draw(f'places-{flat.numel()}').integers(0, flat.numel(), count)
    return flat[torch.from_numpy(places)]
