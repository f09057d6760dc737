"""How a config states its schedule, read and written: the one place that knows the three forms.

- The hook of YOLOv5, which YOLOv6, YOLOv7 and YOLOv8 share: `default_hooks.param_scheduler`.
- The hook of PPYOLOE, in the same place.
- mmengine's list of schedulers, `param_scheduler` (RTMDet, YOLOX): a warm-up, then parts that begin and end where the
  warm-up ends, at a share of the epochs, or where mosaics close.

All forms are read as the same few numbers, which `recipe.make_recipe` scales to the run, and written from them.
"""

import math
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmyolo.registry import HOOKS
from tmi.families.reschedule import replace_hook
from tmi.families.schedulers import read_schedulers, write_schedulers
from tmi.recipe import BaseRecipe, Recipe

YOLOV5_HOOK = 'YOLOv5ParamSchedulerHook'
PPYOLOE_HOOK = 'PPYOLOEParamSchedulerHook'
# Hook that changes the pipeline for the last epochs -> the argument that holds the pipeline.
SWITCH_HOOKS = {'mmdet.PipelineSwitchHook': 'switch_pipeline', 'YOLOXModeSwitchHook': 'new_train_pipeline'}
# PPYOLOE's rate falls along a cosine that would end after this many times the epochs.
PPYOLOE_COSINE = 1.2
# PPYOLOE+ starts from a trained detector; without one its network takes ten times the rate, as PPYOLOE's recipes do.
PPYOLOE_FROM_SCRATCH = 10
# The soft targets that its losses are divided by are few at first; without a limit, the warm-up of a short run ended in
# losses of a million.
PPYOLOE_MAX_GRADIENT = 10
# What AdamW takes over from the config of SGD.
SHARED_ARGUMENTS = ('weight_decay', 'batch_size_per_gpu')
NEVER = 10**9  # an epoch that no run reaches


def read_schedule(cfg: ConfigDict, pretrained: bool) -> BaseRecipe:
    """Read the numbers of a config that the run's length changes.

    Args:
        cfg: A complete config.
        pretrained: Whether the run starts from a trained detector.

    Returns:
        The numbers; `BaseRecipe`'s own where the config has none.
    """
    default = BaseRecipe()
    optimizer = cfg.optim_wrapper.optimizer
    assigning = cfg.model.get('train_cfg') or {}
    hook = _rate_hook(cfg)
    ema = next((hook for hook in cfg.custom_hooks if hook['type'] == 'EMAHook'), {})
    numbers: dict[str, Any] = {'lr': optimizer.lr}
    if hook.get('type') == YOLOV5_HOOK:
        numbers.update(
            lr_factor=hook.get('lr_factor', default.lr_factor),
            warmup_epochs=hook.get('warmup_epochs', default.warmup_epochs),
            warmup_min_iters=hook.get('warmup_mim_iter', default.warmup_min_iters),
        )
    elif hook.get('type') == PPYOLOE_HOOK:
        numbers.update(
            lr_factor=_cosine_at_the_end(hook.get('min_lr_ratio', 0.0)),
            warmup_epochs=hook.get('warmup_epochs', 5),
            warmup_min_iters=hook.get('warmup_min_iter', default.warmup_min_iters),
            max_gradient=PPYOLOE_MAX_GRADIENT,
        )
        if cfg.get('load_from') and not pretrained:
            numbers['lr'] *= PPYOLOE_FROM_SCRATCH
    elif cfg.get('param_scheduler'):
        numbers.update(read_schedulers(cfg.param_scheduler, optimizer.lr))
    return BaseRecipe(
        close_mosaic_epochs=closing_epochs(cfg),
        ema_momentum=ema.get('momentum', default.ema_momentum),
        ema_gamma=ema.get('gamma', default.ema_gamma),
        first_assigner_share=assigning.get('initial_epoch', 0) / cfg.train_cfg.max_epochs,
        optimizer=optimizer.type,
        batch_size=cfg.train_dataloader.batch_size,
        val_interval=cfg.train_cfg.get('val_interval', default.val_interval),
        pretrained=pretrained,
        **numbers,
    )


def write_schedule(cfg: ConfigDict, recipe: Recipe) -> None:
    """Write the numbers of a run into a config, whose epochs are still its own.

    Args:
        cfg: A complete config, changed in place.
        recipe: What `make_recipe` gives.
    """
    hook = _rate_hook(cfg)
    _write_optimizer(cfg, recipe)
    if recipe.first_assigner_epochs:
        cfg.model.train_cfg.initial_epoch = recipe.first_assigner_epochs
    if hook.get('type') == YOLOV5_HOOK:
        hook.update(
            max_epochs=recipe.epochs,
            lr_factor=recipe.lr_factor,
            warmup_epochs=recipe.warmup_iters / recipe.iters_per_epoch,
            warmup_mim_iter=recipe.warmup_iters,
        )
    elif hook.get('type') == PPYOLOE_HOOK:
        hook.update(
            total_epochs=int(PPYOLOE_COSINE * recipe.epochs),
            warmup_epochs=recipe.warmup_iters / recipe.iters_per_epoch,
            warmup_min_iter=recipe.warmup_iters,
        )
    elif cfg.get('param_scheduler'):
        cfg.param_scheduler = write_schedulers(
            cfg.param_scheduler, cfg.train_cfg.max_epochs, closing_epochs(cfg), recipe
        )
    cfg.custom_hooks = _write_hooks(cfg.custom_hooks, recipe)


def reschedule(runner: Runner, cfg: Config) -> None:
    """Move what is not mmengine's schedulers to a run of another length: rate hooks, last epochs, average, assigner.

    Args:
        runner: Runs the training.
        cfg: The complete config of a run of that length.
    """
    rate_hook = _rate_hook(cfg)
    if rate_hook.get('type') in (YOLOV5_HOOK, PPYOLOE_HOOK):
        replace_hook(runner, rate_hook)
    written = {item['type']: item for item in cfg.custom_hooks}
    for hook in runner.hooks:
        if isinstance(hook, EMAHook) and 'EMAHook' in written:
            for name in ('momentum', 'gamma'):
                if name in written['EMAHook']:
                    setattr(hook.ema_model, name, written['EMAHook'][name])
    for kind in SWITCH_HOOKS:
        _move_switch(runner, kind, written.get(kind))
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if 'initial_epoch' in (cfg.model.get('train_cfg') or {}):
        model.bbox_head.initial_epoch = cfg.model.train_cfg.initial_epoch


def _move_switch(runner: Runner, kind: str, written: Mapping | None) -> None:
    """Move the start of the last epochs; a run that is too short for them gets a start behind its end."""
    running = [hook for hook in runner.hooks if type(hook) is HOOKS.get(kind)]
    if not running and written is not None:
        runner.register_hook(dict(written))
    for hook in running:
        if hasattr(hook, 'num_last_epochs'):
            hook.num_last_epochs = written['num_last_epochs'] if written is not None else -1
        else:
            hook.switch_epoch = written['switch_epoch'] if written is not None else NEVER


def closing_epochs(cfg: ConfigDict) -> int:
    """Return the last epochs of a config that have a pipeline of their own."""
    for hook in cfg.custom_hooks:
        if hook['type'] in SWITCH_HOOKS:
            return hook.get('num_last_epochs') or cfg.train_cfg.max_epochs - hook['switch_epoch']
    return 0


def switch_pipelines(cfg: ConfigDict) -> list[dict[str, Any]]:
    """Return the pipelines of the last epochs, for each hook that has one.

    Args:
        cfg: A complete config.

    Returns:
        Hook and name of its argument, as `dict(hook=..., argument=...)`.
    """
    return [
        {'hook': hook, 'argument': SWITCH_HOOKS[hook['type']]}
        for hook in cfg.custom_hooks
        if hook['type'] in SWITCH_HOOKS
    ]


def _cosine_at_the_end(lowest: float) -> float:
    """Return what is left of PPYOLOE's rate when training ends, before the cosine does."""
    return lowest + (1 - lowest) * (1 + math.cos(math.pi / PPYOLOE_COSINE)) / 2


def _write_optimizer(cfg: ConfigDict, recipe: Recipe) -> None:
    wrapper = cfg.optim_wrapper
    if recipe.optimizer != wrapper.optimizer.type:
        kept = {key: value for key, value in wrapper.optimizer.items() if key in SHARED_ARGUMENTS}
        wrapper.optimizer = dict(kept, type=recipe.optimizer)
        hook = _rate_hook(cfg)
        if hook.get('type') == YOLOV5_HOOK:  # its first rate of biases is one of SGD
            hook['warmup_bias_lr'] = 0.0
    wrapper.optimizer.lr = recipe.lr
    if recipe.max_gradient:
        wrapper.setdefault('clip_grad', {'max_norm': recipe.max_gradient})


def _rate_hook(cfg: ConfigDict) -> Mapping:
    return cfg.default_hooks.get('param_scheduler') or {}


def _write_hooks(hooks: list[ConfigDict], recipe: Recipe) -> list[ConfigDict]:
    kept = []
    for hook in hooks:
        if hook['type'] in SWITCH_HOOKS:
            if not recipe.close_mosaic_epochs:
                continue
            if 'num_last_epochs' in hook:
                hook['num_last_epochs'] = recipe.close_mosaic_epochs
            else:
                hook['switch_epoch'] = recipe.epochs - recipe.close_mosaic_epochs
        elif hook['type'] == 'EMAHook':
            hook.update(momentum=recipe.ema_momentum, gamma=recipe.ema_gamma)
        kept.append(hook)
    return kept
