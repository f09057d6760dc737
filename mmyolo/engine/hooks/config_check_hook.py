"""Checks that the parts of a config fit each other before a training begins; see mmyolo/engine/config_check.py."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmyolo.registry import HOOKS

from ..config_check import check_training


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """Ends a training whose config contradicts itself or the data, before its first step.

    tools/train.py adds it to every run.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Check a training; a validation or a test has not built a training loop.

        Raises:
            ConfigConflictError: If parts of the config contradict each other.
        """
        if isinstance(runner._train_loop, BaseLoop):
            check_training(runner)
