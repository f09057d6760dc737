"""The learning rate of PPYOLOE: a warm-up, then a cosine, both by iteration.

Unlike in public mmyolo, a resumed training falls to the share of its initial rate, not of the rate it was resumed at,
and the rate stays at its lowest if the cosine ends before the training.
"""

import math

from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from mmyolo.registry import HOOKS

from .warmup import WarmupHook


@HOOKS.register_module()
class PPYOLOEParamSchedulerHook(WarmupHook):
    """Sets learning rates of the optimizer; takes the place of mmengine's schedulers.

    The warm-up lasts T = max(round(warmup_epochs * iterations per epoch), warmup_min_iter) iterations, over which the
    rate rises to its value. Momentum stays as it is.

    Args:
        warmup_min_iter: iterations that the warm-up has at least; set a smaller one for a training that is shorter.
        start_factor: share of the rate at the first iteration.
        warmup_epochs: epochs of the warm-up, may be a fraction.
        min_lr_ratio: share of the rate at the end of the cosine.
        total_epochs: epochs until the end of the cosine; the recipes train for less.
    """

    min_iter_name = 'warmup_min_iter'

    def __init__(
        self,
        warmup_min_iter: int = 1000,
        start_factor: float = 0.0,
        warmup_epochs: float = 5,
        min_lr_ratio: float = 0.0,
        total_epochs: int = 360,
    ) -> None:
        self.warmup_min_iter = warmup_min_iter
        self.start_factor = start_factor
        self.warmup_epochs = warmup_epochs
        self.min_lr_ratio = min_lr_ratio
        self.total_epochs = total_epochs

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None) -> None:
        """Set the rates of an iteration."""
        self._scale_rates(runner, self._factor(runner))

    def _factor(self, runner: Runner) -> float:
        warmup = self._warmup_iters(runner)
        if runner.iter <= warmup:
            progress = runner.iter / warmup if warmup else 1
            return self.start_factor * (1 - progress) + progress
        falling = self.total_epochs * len(runner.train_dataloader) - warmup
        progress = min((runner.iter - warmup) / falling, 1) if falling > 0 else 1
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * (1 + math.cos(math.pi * progress)) / 2
