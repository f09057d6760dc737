"""Exponential moving average whose momentum starts large and falls (YOLOX, YOLOv5).

Unlike the public release, buffers that are not averaged follow the model after every step, not only after the first;
the model handed to `update_parameters` is the one that is read; a tensor shared under several names moves once. The
numbers are otherwise the same. All tensors are updated by one fused call instead of one call each.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from mmdet.models.layers import ExpMomentumEMA as _ExpMomentumEMA
from torch import Tensor, nn

from mmyolo.registry import MODELS


@MODELS.register_module()
class ExpMomentumEMA(_ExpMomentumEMA):
    """Keeps a moving average of a model's floating-point tensors.

    The first step copies the model; step k > 0 moves every tensor by
    (1 - momentum) * exp(-(1 + k) / gamma) + momentum of the way to the model's.

    Args:
        model: the model to average.
        momentum: share of the model in an update when training has gone on for long.
        gamma: steps after which the initial, larger share has fallen to 1/e of it.
        interval: steps between two updates.
        device: where the average is kept; by default where the model is.
        update_buffers: whether floating-point buffers are averaged too. Integer buffers then keep the values of the
            first copy; otherwise all buffers follow the model.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 2000,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(
            model, momentum=momentum, gamma=gamma, interval=interval, device=device, update_buffers=update_buffers
        )
        self.avg_parameters = _without_aliases(self.avg_parameters)

    def momentum_at(self, steps: int) -> float:
        """Return the share of the model in the update after `steps` updates."""
        return (1 - self.momentum) * math.exp(-(1 + steps) / self.gamma) + self.momentum

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Move one tensor, in place.

        Args:
            averaged_param: the average.
            source_param: the model's tensor.
            steps: updates so far.
        """
        averaged_param.lerp_(source_param, self.momentum_at(int(steps)))

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards a model.

        Args:
            model: has the keys and shapes of the model given at construction.
        """
        steps = int(self.steps)
        source = model.state_dict() if self.update_buffers else dict(model.named_parameters())
        if steps == 0:
            for name, average in self.avg_parameters.items():
                average.copy_(source[name])
        elif steps % self.interval == 0:
            _lerp(((average, source[name]) for name, average in self.avg_parameters.items()), self.momentum_at(steps))
        if not self.update_buffers:
            buffers = list(self.module.buffers())
            if buffers:
                torch._foreach_copy_(buffers, list(model.buffers()))
        self.steps += 1


def _without_aliases(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    first_names = {}
    for name, tensor in tensors.items():
        first_names.setdefault(tensor.data_ptr() if tensor.numel() else name, name)
    return {name: tensors[name] for name in first_names.values()}


def _lerp(pairs: Iterable[tuple[Tensor, Tensor]], weight: float) -> None:
    # a call is fused only over tensors of one device and type
    batches = defaultdict(lambda: ([], []))
    for average, current in pairs:
        if average.is_floating_point():
            averages, currents = batches[average.device, average.dtype]
            averages.append(average)
            currents.append(current.to(average))
    for averages, currents in batches.values():
        torch._foreach_lerp_(averages, currents, weight)
