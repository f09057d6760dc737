"""What schedules by iteration have in common: a warm-up, and the rates that their factors apply to."""

import logging

from mmengine.hooks import ParamSchedulerHook
from mmengine.logging import print_log
from mmengine.runner import Runner


class WarmupHook(ParamSchedulerHook):
    """Takes the place of mmengine's schedulers; a subclass sets rates before each iteration, from `initial_lr`."""

    priority = 9

    min_iter_name: str
    """Argument that says how many iterations the warm-up has at least, beside `warmup_epochs`."""

    def before_train(self, runner: Runner) -> None:
        """Note the rates that the factors apply to; a resumed optimizer brings them along."""
        for group in runner.optim_wrapper.param_groups:
            group.setdefault('initial_lr', group['lr'])

    def before_train_epoch(self, runner: Runner) -> None:
        """Warn, at the first epoch, of a training that ends before its warm-up does."""
        iterations = self._warmup_iters(runner)
        if runner.epoch == 0 and iterations >= runner.max_iters:
            print_log(
                f'The warm-up has {iterations} iterations and the training {runner.max_iters}: the learning rate never '
                f'reaches its value. Set warmup_epochs and {self.min_iter_name} of {type(self).__name__} lower.',
                'current',
                logging.WARNING,
            )

    def _warmup_iters(self, runner: Runner) -> int:
        return max(round(self.warmup_epochs * len(runner.train_dataloader)), getattr(self, self.min_iter_name))

    @staticmethod
    def _scale_rates(runner: Runner, factor: float) -> None:
        for group in runner.optim_wrapper.param_groups:
            group['lr'] = group['initial_lr'] * factor
