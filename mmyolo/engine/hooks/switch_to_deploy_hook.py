"""Tests the form of the model that will be deployed."""

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmyolo.registry import HOOKS
from mmyolo.utils.deploy import switch_to_deploy


@HOOKS.register_module()
class SwitchToDeployHook(Hook):
    """Switches the model to its deployed form before it is tested.

    A moving average that `EMAHook` keeps is switched too, because that hook swaps both models' tensors after the test.
    """

    def before_test_epoch(self, runner: Runner) -> None:
        """Switch the model in place."""
        switch_to_deploy(runner.model)
        # a runner that only holds a model, such as a stand-in, has no list of hooks
        hooks = getattr(runner, 'hooks', ())
        for hook in hooks if isinstance(hooks, (list, tuple)) else ():
            if isinstance(hook, EMAHook):
                switch_to_deploy(hook.ema_model)
