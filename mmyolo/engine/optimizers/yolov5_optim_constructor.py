"""Parameter groups and weight decay of YOLOv5.

Unlike the public release: parameters that are neither a weight nor a bias (learned scales, say) are trained, in the
group of norms; a parameter shared by several modules is in one group; norms and biases have no weight decay whatever
the optimizer's default is; the caller's config is left as it was.
"""

from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmyolo.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOv5OptimizerConstructor:
    """Builds an optimizer wrapper with the groups: weights that decay, norms and single parameters, biases.

    The order matters: a warm-up treats the last group in its own way. If the optimizer's config has
    `batch_size_per_gpu`, weight decay is scaled by T * accumulate / base_total_batch_size, where T is the batch over
    all processes and accumulate = max(round(base_total_batch_size / T), 1). Gradients are not accumulated by this.

    Args:
        optim_wrapper_cfg: config of the wrapper, with `optimizer`.
        paramwise_cfg: {'base_total_batch_size': 64} if None.

    Raises:
        TypeError: if the config of the wrapper is not a dict.
        AssertionError: if `optimizer` or `base_total_batch_size` is missing.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if not isinstance(optim_wrapper_cfg, dict):
            raise TypeError(f'optim_wrapper must be a dict, got {type(optim_wrapper_cfg).__name__}')
        if 'optimizer' not in optim_wrapper_cfg:
            raise AssertionError("optim_wrapper needs the key 'optimizer'")
        paramwise_cfg = {'base_total_batch_size': 64} if paramwise_cfg is None else paramwise_cfg
        if 'base_total_batch_size' not in paramwise_cfg:
            raise AssertionError("paramwise_cfg needs the key 'base_total_batch_size', 64 in the published recipes")
        self.optim_wrapper_cfg = optim_wrapper_cfg.copy()
        self.optim_wrapper_cfg.setdefault('type', 'OptimWrapper')
        self.optimizer_cfg = self.optim_wrapper_cfg.pop('optimizer').copy()
        self.base_total_batch_size = paramwise_cfg['base_total_batch_size']

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper for a model."""
        if is_model_wrapper(model):
            model = model.module
        optimizer_cfg = self.optimizer_cfg.copy()
        batch_size = optimizer_cfg.pop('batch_size_per_gpu', None)
        weights, norms, biases = self.group_parameters(model)
        groups = [{'params': weights}, {'params': norms, 'weight_decay': 0.0}, {'params': biases, 'weight_decay': 0.0}]
        if 'weight_decay' in optimizer_cfg:
            groups[0]['weight_decay'] = optimizer_cfg.pop('weight_decay') * self.decay_scale(batch_size)
        print_log(
            f'Parameter groups: {len(weights)} weights, {len(norms)} norms and single parameters, {len(biases)} biases',
            'current',
        )
        optimizer = OPTIMIZERS.build(dict(optimizer_cfg, params=groups))
        return OPTIM_WRAPPERS.build(self.optim_wrapper_cfg, default_args={'optimizer': optimizer})

    def group_parameters(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Sort the parameters of a model, frozen ones too.

        Args:
            model: without a data-parallel wrapper.

        Returns:
            Weights; weights of norms, then parameters with another name than weight and bias; biases.
        """
        weights, norms, single, biases = [], [], [], []
        seen = set()
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter in seen:
                    continue
                seen.add(parameter)
                if name == 'bias':
                    biases.append(parameter)
                elif name != 'weight':
                    single.append(parameter)
                elif isinstance(module, _NormBase):
                    norms.append(parameter)
                else:
                    weights.append(parameter)
        return [weights, norms + single, biases]

    def decay_scale(self, batch_size_per_gpu: int | None) -> float:
        """Return the factor on weight decay.

        Args:
            batch_size_per_gpu: images per process and step; None leaves weight decay as it is.
        """
        if batch_size_per_gpu is None:
            return 1.0
        total = get_world_size() * batch_size_per_gpu
        accumulate = max(round(self.base_total_batch_size / total), 1)
        scale = total * accumulate / self.base_total_batch_size
        if scale != 1:
            print_log(f'Weight decay is scaled by {scale:g} for {total} images per step', 'current')
        return scale
