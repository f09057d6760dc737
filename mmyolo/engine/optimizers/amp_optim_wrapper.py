"""Mixed precision on every device: float16 with scaled losses, as mmengine does it on a GPU, or bfloat16 unscaled.

mmengine's wrapper does not run without a GPU and scales every loss. The name is the same, so a config that asks for
AmpOptimWrapper in the scope of this package trains on both.
"""

import logging

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper

from mmyolo.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_AmpOptimWrapper):
    """mmengine's AmpOptimWrapper, with bfloat16 unscaled on any device, and always bfloat16 on a CPU.

    bfloat16 has the range of float32, so small gradients do not vanish and nothing has to be scaled.

    Args:
        loss_scale: 'dynamic', a number or the arguments of a GradScaler; without effect on bfloat16.
        dtype: 'float16', 'bfloat16' or the torch.dtype; None is the default of the device. On a CPU float16 becomes
            bfloat16, with a warning.
        use_fsdp: as in mmengine, without effect on bfloat16.
        kwargs: arguments of mmengine's OptimWrapper.
    """

    def __init__(
        self,
        loss_scale: str | float | dict = 'dynamic',
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs,
    ) -> None:
        on_cpu = get_device() == 'cpu'
        if on_cpu and dtype not in (None, 'bfloat16', torch.bfloat16):
            print_log(f'Mixed precision on a CPU uses bfloat16; {dtype} is for GPUs', 'current', logging.WARNING)
        if not on_cpu and dtype not in ('bfloat16', torch.bfloat16):
            super().__init__(loss_scale=loss_scale, dtype=dtype, use_fsdp=use_fsdp, **kwargs)
            return
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = torch.amp.GradScaler(enabled=False)
        self._scale_update_param: float | None = None
        self.cast_dtype = torch.bfloat16

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state saved in either format: one without a loss scale lets scaling start anew."""
        state_dict = dict(state_dict)
        if not state_dict.get('loss_scaler'):
            state_dict.pop('loss_scaler', None)
        super().load_state_dict(state_dict)
