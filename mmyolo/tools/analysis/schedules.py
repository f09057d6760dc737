"""Learning rate, momentum and weight decay over a training, without training.

The schedulers and scheduler hooks of a config run beside an optimizer of a model with a few weights. Other hooks do not
run: they are taken not to change the optimizer.
"""

import copy
import math
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmyolo.registry import HOOKS, PARAM_SCHEDULERS
from mmyolo.utils.terminal import progress

from .annotations import build_without_pipelines

PARAMETERS = {'lr': 'learning rate', 'momentum': 'momentum', 'wd': 'weight decay'}


class _Loader:
    """A loader of which only the length is asked."""

    collate_fn = staticmethod(pseudo_collate)

    def __init__(self, length: int, batch_size: int) -> None:
        self.length, self.batch_size = length, batch_size

    def __len__(self) -> int:
        return self.length


def dataset_size(cfg: Config) -> int:
    """Return images of the training set, counted."""
    return len(build_without_pipelines(cfg.train_dataloader.dataset))


def iterations_per_epoch(cfg: Config, num_images: int, num_gpus: int) -> int:
    """Return the batches that the loader of each of several processes gives."""
    loader = cfg.train_dataloader
    share, batch = math.ceil(num_images / num_gpus), loader.batch_size
    return max(share // batch if loader.get('drop_last') else math.ceil(share / batch), 1)


def _build_optimizer(cfg: Config, num_gpus: int):
    """Build the optimizer of the config for a model that has a weight, a norm and a bias, so every group is there."""
    wrapper = copy.deepcopy(cfg.optim_wrapper)
    wrapper['type'] = 'OptimWrapper'  # mixed precision does not change the schedule, but may need a GPU
    for key in ('loss_scale', 'dtype'):
        wrapper.pop(key, None)
    scale = cfg.get('auto_scale_lr') or {}
    if scale.get('enable'):
        wrapper.optimizer.lr *= cfg.train_dataloader.batch_size * num_gpus / scale['base_batch_size']
    if 'batch_size_per_gpu' in wrapper.optimizer:  # from which constructors compute the weight decay, as one process
        wrapper.optimizer.batch_size_per_gpu *= num_gpus
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    return build_optim_wrapper(model, wrapper)


def _build_schedulers(cfg: Config, runner: SimpleNamespace) -> list:
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    built = []
    for scheduler in copy.deepcopy(list(schedulers)):
        by_epoch = scheduler.get('by_epoch', True)
        scheduler.setdefault('end', runner.max_epochs if by_epoch else runner.max_iters)
        known = {'optimizer': runner.optim_wrapper, 'epoch_length': len(runner.train_dataloader)}
        built.append(PARAM_SCHEDULERS.build(scheduler, default_args=known))
    return built


def _build_hooks(cfg: Config) -> list[ParamSchedulerHook]:
    configs = [(cfg.get('default_hooks') or {}).get('param_scheduler') or {'type': 'ParamSchedulerHook'}]
    for hook in cfg.get('custom_hooks') or []:
        if issubclass(HOOKS.get(hook['type']) or object, ParamSchedulerHook):
            configs.append(hook)
    return [HOOKS.build(hook) for hook in configs]


def _read(optimizer: torch.optim.Optimizer, parameter: str) -> float:
    group = optimizer.param_groups[0]
    if parameter == 'momentum':
        return group['momentum'] if 'momentum' in group else group.get('betas', (0,))[0]
    return group[{'lr': 'lr', 'wd': 'weight_decay'}[parameter]]


def simulate(cfg: Config, parameter: str = 'lr', num_images: int | None = None, num_gpus: int = 1) -> dict[str, list]:
    """Record what a training would set.

    Args:
        cfg: The config.
        parameter: 'lr', 'momentum' or 'wd'; of the first group of the optimizer, which has the weights.
        num_images: Images of the training set; None counts them.
        num_gpus: Processes of the training.

    Returns:
        'values': one for each iteration, as it is when the optimizer steps; 'epoch_length': iterations of an epoch, or
        0 where the training counts iterations only.
    """
    length = iterations_per_epoch(cfg, dataset_size(cfg) if num_images is None else num_images, num_gpus)
    by_epoch = 'max_epochs' in cfg.train_cfg
    max_iters = cfg.train_cfg.max_epochs * length if by_epoch else cfg.train_cfg.max_iters
    loader = _Loader(length, cfg.train_dataloader.batch_size)
    max_epochs = cfg.train_cfg.max_epochs if by_epoch else math.ceil(max_iters / length)
    runner = SimpleNamespace(
        cfg=cfg,
        iter=0,
        epoch=0,
        max_iters=max_iters,
        max_epochs=max_epochs,
        train_dataloader=loader,
        train_loop=SimpleNamespace(dataloader=loader, max_iters=max_iters, max_epochs=max_epochs),
        optim_wrapper=_build_optimizer(cfg, num_gpus),
    )
    runner.param_schedulers = _build_schedulers(cfg, runner)
    hooks = _build_hooks(cfg)
    optimizer = runner.optim_wrapper.optimizer
    runner.optim_wrapper.step()  # nothing has a gradient; schedulers warn if they step before what they were given

    def call(point: str, *args) -> None:
        for hook in hooks:
            getattr(hook, point)(runner, *args)

    values = []
    call('before_train')
    for iteration in progress(range(max_iters), 'Simulating'):
        batch = iteration % length
        if by_epoch and batch == 0:
            call('before_train_epoch')
        call('before_train_iter', batch)
        values.append(_read(optimizer, parameter))
        call('after_train_iter', batch)
        runner.iter += 1
        if by_epoch and batch == length - 1:
            call('after_train_epoch')
            runner.epoch += 1
    return {'values': values, 'epoch_length': length if by_epoch else 0}
