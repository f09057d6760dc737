"""An optimizer that steps in one pass over the weights, where PyTorch has one; the numbers are the same."""

from typing import Any

# Those of PyTorch with a fused form on CPUs and GPUs in every version from 2.4 on; that of Adagrad fails on GPUs there.
FUSED = ('SGD', 'Adam', 'AdamW')
# Arguments that exclude `fused`.
OTHER_FORMS = ('fused', 'foreach', 'differentiable')


def use_fused_optimizer(optim_wrapper: dict[str, Any]) -> None:
    """Choose the fused form of an optimizer, in place.

    One kernel reads gradient, weight and momentum once, instead of one kernel for each operation and tensor. With the
    loss scaled for fp16 nothing changes: there PyTorch hands the scale to a fused optimizer, and a state that was saved
    by another form could not be resumed.

    Args:
        optim_wrapper: Config of an optimizer wrapper. A form that it names stays.
    """
    optimizer = optim_wrapper['optimizer']
    scaled = optim_wrapper.get('type') == 'AmpOptimWrapper' and optim_wrapper.get('dtype') != 'bfloat16'
    if optimizer['type'] in FUSED and not scaled and not any(form in optimizer for form in OTHER_FORMS):
        optimizer['fused'] = True
