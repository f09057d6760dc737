"""Gives all processes the same batch-norm statistics before each validation.

Without SyncBatchNorm, which needs an accelerator, every process counts its own images, and the moving average of the
weights keeps statistics of its own as well. Each process would validate, and the first one save, another model.
mmengine's SyncBuffersHook does not know of the moving average.
"""

from mmengine.dist import all_reduce_params, is_distributed
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmyolo.registry import HOOKS


@HOOKS.register_module()
class SyncNormStatisticsHook(Hook):
    """Averages the floating-point buffers of the model, and of its moving average, over the processes."""

    # Before EMAHook swaps the averaged weights in.
    priority = 'ABOVE_NORMAL'

    def before_val_epoch(self, runner: Runner) -> None:
        """Average the buffers; without effect in a single process."""
        if not is_distributed():
            return
        averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
        for model in (runner.model, *averages):
            all_reduce_params((buffer for buffer in model.buffers() if buffer.is_floating_point()), op='mean')
