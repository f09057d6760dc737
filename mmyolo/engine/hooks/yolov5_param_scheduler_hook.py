"""The learning rate and momentum of YOLOv5: a warm-up by iteration, then a rate per epoch."""

import math
from collections.abc import Callable

import numpy as np
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from mmyolo.errors import ArgumentValueError
from mmyolo.registry import HOOKS

from .warmup import WarmupHook

# index of the parameter group of biases, see YOLOv5OptimizerConstructor
BIAS_GROUP = 2


def linear_fn(lr_factor: float, max_epochs: int) -> Callable[[float], float]:
    """Give a factor that falls in a line from 1 at epoch 0 to `lr_factor` at `max_epochs`.

    Args:
        lr_factor: the last factor.
        max_epochs: epochs of the training.
    """
    return lambda epoch: (1 - epoch / max_epochs) * (1 - lr_factor) + lr_factor


def cosine_fn(lr_factor: float, max_epochs: int) -> Callable[[float], float]:
    """Give a factor that falls along half a cosine from 1 at epoch 0 to `lr_factor` at `max_epochs`.

    Args:
        lr_factor: the last factor.
        max_epochs: epochs of the training.
    """
    return lambda epoch: (1 - math.cos(epoch * math.pi / max_epochs)) / 2 * (lr_factor - 1) + 1


def between(first: float, last: float, iteration: int, iterations: int) -> float:
    """Return the value between two after some of the iterations; exactly `last` after all of them."""
    return float(np.interp(iteration, (0, iterations), (first, last))) if iterations else last


@HOOKS.register_module()
class YOLOv5ParamSchedulerHook(WarmupHook):
    """Sets learning rates and momenta of the optimizer; takes the place of mmengine's schedulers.

    The warm-up lasts T = max(round(warmup_epochs * iterations per epoch), warmup_mim_iter) iterations. Over it the rate
    of biases falls from `warmup_bias_lr`, all others rise from 0, and momentum goes from `warmup_momentum` to its own.
    Then epoch e + 1 runs at the factor of epoch e. A warm-up that ends within an epoch keeps its last rate until the
    epoch's end. The public release does the same.

    Args:
        scheduler_type: 'linear' or 'cosine'.
        lr_factor: the factor at the end of the training.
        max_epochs: epochs of the training.
        warmup_epochs: epochs of the warm-up, may be a fraction.
        warmup_bias_lr: first learning rate of biases.
        warmup_momentum: first momentum.
        warmup_mim_iter: iterations that the warm-up has at least; set a smaller one for a training that is shorter.
        **kwargs: further arguments of the factor's function.

    Raises:
        ValueError: for another `scheduler_type`.
    """

    min_iter_name = 'warmup_mim_iter'

    scheduler_maps = {'linear': linear_fn, 'cosine': cosine_fn}

    def __init__(
        self,
        scheduler_type: str = 'linear',
        lr_factor: float = 0.01,
        max_epochs: int = 300,
        warmup_epochs: float = 3,
        warmup_bias_lr: float = 0.1,
        warmup_momentum: float = 0.8,
        warmup_mim_iter: int = 1000,
        **kwargs,
    ) -> None:
        if scheduler_type not in self.scheduler_maps:
            raise ArgumentValueError(
                f'scheduler_type must be one of {sorted(self.scheduler_maps)}, got {scheduler_type!r}'
            )
        self.warmup_epochs = warmup_epochs
        self.warmup_bias_lr = warmup_bias_lr
        self.warmup_momentum = warmup_momentum
        self.warmup_mim_iter = warmup_mim_iter
        self.scheduler_fn = self.scheduler_maps[scheduler_type](lr_factor=lr_factor, max_epochs=max_epochs, **kwargs)
        self._warmup_end = False

    def before_train(self, runner: Runner) -> None:
        """Note the rates and momenta that the factors apply to; a resumed optimizer brings them along."""
        super().before_train(runner)
        for group in runner.optim_wrapper.param_groups:
            if 'momentum' in group:
                group.setdefault('initial_momentum', group['momentum'])

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None) -> None:
        """Set rates and momenta of an iteration of the warm-up."""
        iterations = self._warmup_iters(runner)
        if runner.iter > iterations:
            self._warmup_end = True
            return
        factor = self.scheduler_fn(runner.epoch)
        for index, group in enumerate(runner.optim_wrapper.param_groups):
            first = self.warmup_bias_lr if index == BIAS_GROUP else 0
            group['lr'] = between(first, group['initial_lr'] * factor, runner.iter, iterations)
            if 'momentum' in group:
                group['momentum'] = between(self.warmup_momentum, group['initial_momentum'], runner.iter, iterations)

    def after_train_epoch(self, runner: Runner) -> None:
        """Set the rates of the next epoch, once the warm-up is over.

        Args:
            runner: runs the training; its epoch is still the one that ends.
        """
        if self._warmup_end:
            self._scale_rates(runner, self.scheduler_fn(runner.epoch))
