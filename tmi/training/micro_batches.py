"""A training step whose images go through the network in parts, where all of them at once need too much memory.

The gradients of the parts are added up, and the optimizer makes one step, so rate, schedule, average of the weights and
the images of a step stay what they are. Norms over a batch, and losses that are divided by the objects of a step,
see those of a part: with as many objects in each part the gradient is the same, else its length differs somewhat.
"""

from collections.abc import Container, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


def train_in_parts(model: nn.Module, batch: Any, optim_wrapper: OptimWrapper, parts: int) -> dict[str, Tensor]:
    """Make a training step as `model.train_step` does, with fewer images at once.

    Losses of parts add up to that of all where a part of the model says so (`loss_is_sum`), because it multiplies them
    by the number of images; else they are means.

    Args:
        model: Of mmengine, perhaps wrapped for several processes.
        batch: Of a loader.
        optim_wrapper: Of the model.
        parts: How many; at most as many as images.

    Returns:
        The losses of the step by name.
    """
    module = model.module if is_model_wrapper(model) else model
    is_sum = any(getattr(part, 'loss_is_sum', False) for part in module.modules())
    with optim_wrapper.optim_context(model):
        data = module.data_preprocessor(batch, True)
    total: dict[str, Tensor] = {}
    # True masks are a map of numbers for each image, or a map for each object, as the head says.
    overlap = any(getattr(part, 'mask_overlap', False) for part in module.modules())
    shares = list(split_batch(data, parts, ('img_metas', 'masks') if overlap else ('img_metas',)))
    for number, (share, part) in enumerate(shares, 1):
        is_last = number == len(shares)
        # Processes add up their gradients once, in the backward pass of the last part.
        alone = model.no_sync() if not is_last and hasattr(model, 'no_sync') else nullcontext()
        with alone:
            with optim_wrapper.optim_context(model):
                losses = model._run_forward(part, mode='loss')
            loss, log = module.parse_losses(losses)
            weight = 1.0 if is_sum else share
            if is_last:
                optim_wrapper.update_params(loss * weight)
            else:
                optim_wrapper.backward(optim_wrapper.scale_loss(loss * weight))
                optim_wrapper._inner_count -= 1  # it counts steps
        for name, value in log.items():
            total[name] = total.get(name, 0.0) + value.detach() * weight
    return total


def split_batch(
    data: dict[str, Any], parts: int, per_image: Container[str] = ('img_metas',)
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Split what a data preprocessor gives.

    Args:
        data: `inputs` (B, C, H, W), and `data_samples`, a list of B or a dict as of `yolov5_collate`.
        parts: How many; at most B.
        per_image: Names of a dict that belong to images, also where there are as many objects.

    Yields:
        The share of the images, and the part in the same form.
    """
    inputs, samples = data['inputs'], data['data_samples']
    count, first = len(inputs), 0
    for size in map(len, torch.arange(count).tensor_split(min(parts, count))):
        last = first + size
        chosen = _rows(samples, first, last, count, per_image) if isinstance(samples, dict) else samples[first:last]
        yield size / count, {**data, 'inputs': inputs[first:last], 'data_samples': chosen}
        first = last


def _rows(samples: dict[str, Any], first: int, last: int, count: int, per_image: Container[str]) -> dict[str, Any]:
    """Return what belongs to some images: rows of objects begin with the number of their image."""
    objects = samples['bboxes_labels']
    inside = (objects[:, 0] >= first) & (objects[:, 0] < last)
    chosen = {}
    for name, value in samples.items():
        if len(value) == len(objects) and name not in per_image:
            chosen[name] = value[inside]
        elif len(value) == count:
            chosen[name] = value[first:last]
        else:
            raise ValueError(f'{name} has {len(value)} rows for {count} images and {len(objects)} objects')
    chosen['bboxes_labels'] = chosen['bboxes_labels'] - objects.new_tensor([first, *[0] * (objects.shape[1] - 1)])
    return chosen
