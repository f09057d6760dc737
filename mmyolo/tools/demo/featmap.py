"""Feature maps over the image they come from: finding layers by name, recording what they put out, drawing it.

Unlike the public release, layers are found without evaluating text as code, and the padding of the input is cut off, so
that a map lies where it belongs.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch.nn.functional as F
from mmengine.visualization.utils import convert_overlay_heatmap
from torch import Tensor, nn

_STEP = re.compile(r'\.?([A-Za-z_]\w*)|\[(-?\d+)\]|\.(\d+)')


def find_layer(model: nn.Module, expression: str) -> nn.Module:
    """Find a layer, such as 'backbone', 'backbone.stage4[0]', 'model.neck.out_layers[2]'.

    Args:
        model: the whole model.
        expression: attributes and indices; 'model.' at the start stands for the model itself.

    Returns:
        The layer.

    Raises:
        ValueError: if there is none of this name, with the names at the place where it went wrong.
    """
    layer, place = model, 0
    steps = expression if hasattr(model, 'model') else expression.removeprefix('model.')
    while place < len(steps):
        match = _STEP.match(steps, place)
        name, index = (match[1], match[2] or match[3]) if match else (None, None)
        try:
            layer = getattr(layer, name) if name else layer[int(index)]
        except (AttributeError, IndexError, TypeError):
            known = ', '.join(name for name, _ in layer.named_children()) or 'none'
            raise ValueError(
                f'There is no layer {expression!r}: {steps[place:]!r} is not to be found after '
                f'{steps[:place] or "the model"!r}, which has the layers {known}'
            ) from None
        place = match.end()
    if not isinstance(layer, nn.Module):
        raise ValueError(f'{expression!r} is not a layer but a {type(layer).__name__}')
    return layer


@contextmanager
def record_outputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Within this context, keeps the latest feature maps that layers put out.

    Args:
        layers: by name.

    Yields:
        (B, C, H, W) by name; a layer with several outputs gives name[0], name[1] ...
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output) -> None:
        if isinstance(output, Tensor):
            outputs[name] = output.detach()
        elif isinstance(output, (tuple, list)):
            for index, one in enumerate(output):
                keep(f'{name}[{index}]', one)

    handles = [
        layer.register_forward_hook(lambda module, inputs, output, name=name: keep(name, output))
        for name, layer in layers.items()
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def cut_padding(featmap: Tensor, metainfo: Mapping) -> Tensor:
    """Cut what lies over the padding of the input off a feature map, at fractions of a cell if need be.

    Args:
        featmap: (C, H, W) over the whole input.
        metainfo: `pad_param` (top, bottom, left, right) and `img_shape` or `batch_input_shape` (height, width) in
            pixels of the input.

    Returns:
        (C, H, W) over the image alone.
    """
    height, width = metainfo.get('batch_input_shape', metainfo['img_shape'])[:2]
    top, bottom, left, right = (float(pad) for pad in metainfo.get('pad_param', (0, 0, 0, 0)))
    # a batch is padded further at its right and bottom
    right += width - metainfo['img_shape'][1]
    bottom += height - metainfo['img_shape'][0]
    if not any((top, bottom, left, right)):
        return featmap
    scale_x, scale_y = (width - left - right) / width, (height - top - bottom) / height
    theta = featmap.new_tensor([[scale_x, 0, (left - right) / width], [0, scale_y, (top - bottom) / height]])
    grid = F.affine_grid(theta[None].float(), (1, 1, *featmap.shape[-2:]), align_corners=False)
    return F.grid_sample(featmap[None].float(), grid, padding_mode='border', align_corners=False)[0]


def reduce_channels(featmap: Tensor, reduction: str | None, topk: int) -> list[Tensor]:
    """Choose what of a feature map is shown.

    Args:
        featmap: (C, H, W).
        reduction: 'squeeze_mean': the mean of the channels; 'select_max': the channel with the largest sum; None: the
            `topk` channels with the largest sums.
        topk: how many; if it is not positive, all of a map of 1 or 3 channels.

    Returns:
        Maps (H, W).

    Raises:
        ValueError: if `reduction` is another one, or too many channels would be shown.
    """
    if reduction == 'squeeze_mean':
        return [featmap.mean(0)]
    if reduction not in ('select_max', None):
        raise ValueError(f"channel reduction {reduction!r}: must be 'squeeze_mean', 'select_max' or None")
    count = 1 if reduction == 'select_max' else topk
    if count <= 0:
        if len(featmap) not in (1, 3):
            raise ValueError(
                f'without a reduction and with topk {topk} a map needs 1 or 3 channels, it has {len(featmap)}'
            )
        return list(featmap)
    best = featmap.sum((1, 2)).topk(min(count, len(featmap))).indices
    return list(featmap[best])


def overlay_featmap(
    featmap: Tensor, image: np.ndarray, reduction: str | None = 'select_max', topk: int = 4, alpha: float = 0.5
) -> list[np.ndarray]:
    """Lay what is shown of a feature map over an image.

    Args:
        featmap: (C, H, W) over the image, see `cut_padding`.
        image: (H, W, 3) uint8 RGB.
        reduction: see `reduce_channels`.
        topk: see `reduce_channels`.
        alpha: opacity of the map.

    Returns:
        (H, W, 3) uint8 RGB of each channel shown.
    """
    maps = reduce_channels(featmap.float().cpu(), reduction, topk)
    size = image.shape[:2]
    maps = [F.interpolate(one[None, None], size, mode='bilinear', align_corners=False)[0, 0] for one in maps]
    return [convert_overlay_heatmap(one, image, alpha) for one in maps]
