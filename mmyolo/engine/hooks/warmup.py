"""The trap of a warm-up that is longer than the training."""
import logging

from mmengine.logging import print_log
from mmengine.runner import Runner


def warn_of_endless_warmup(runner: Runner, iterations: int, settings: str) -> None:
    """Warns, at the first epoch, of a training that ends before its warm-up does.

    Args:
        runner: runs the training.
        iterations: of the warm-up.
        settings: what to lower.
    """
    if runner.epoch == 0 and iterations >= runner.max_iters:
        print_log(
            f'The warm-up has {iterations} iterations and the training {runner.max_iters}: the learning rate never '
            f'reaches its value. Set {settings} lower.', 'current', logging.WARNING)
