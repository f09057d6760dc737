"""The schedule of a training that runs, moved to that of a run of another length.

After each of these functions the training goes on as one of the new length would from here: every number is what its
config gives for the step and the epoch that are done.
"""

import copy
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.hooks import ParamSchedulerHook
from mmengine.runner import Runner

from mmyolo.registry import HOOKS, PARAM_SCHEDULERS


class Done(NamedTuple):
    """How far a training is.

    Args:
        steps: Steps done.
        epochs: Epochs done.
    """

    steps: int
    epochs: int


def change_optimizer(runner: Runner, cfg: Config) -> None:
    """Move the optimizer and the rate that schedules begin with; one of another type begins without a state.

    Args:
        runner: Runs the training; its `cfg` gets what is changed.
        cfg: Config of a run of the new length.
    """
    old, new = runner.cfg.optim_wrapper, cfg.optim_wrapper
    if old.optimizer.type != new.optimizer.type:
        kept = {key: value for key, value in old.items() if key not in ('optimizer', 'clip_grad')}
        changed = {key: copy.deepcopy(new[key]) for key in ('optimizer', 'clip_grad') if key in new}
        runner.cfg.optim_wrapper = ConfigDict(kept, **changed)
        runner.optim_wrapper = runner.build_optim_wrapper(copy.deepcopy(runner.cfg.optim_wrapper))
        runner.optim_wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)
        for hook in runner.hooks:
            if isinstance(hook, ParamSchedulerHook):
                hook.before_train(runner)  # notes the rates that it begins with
    elif old.optimizer.lr != new.optimizer.lr:
        for group in runner.optim_wrapper.param_groups:
            for name in ('lr', 'initial_lr'):
                if name in group:
                    group[name] *= new.optimizer.lr / old.optimizer.lr
        old.optimizer.lr = new.optimizer.lr


def replace_schedulers(runner: Runner, schedulers: Sequence[dict[str, Any]], done: Done) -> None:
    """Put other schedulers of mmengine in place of those there are.

    Args:
        runner: Runs the training.
        schedulers: Configs of the new ones.
        done: So many steps and epochs they are taken on.
    """
    steps_per_epoch = len(runner.train_dataloader)
    for group in runner.optim_wrapper.param_groups:
        for name in ('lr', 'momentum', 'weight_decay'):
            group[name] = group.get(f'initial_{name}', group.get(name))
    defaults = {'optimizer': runner.optim_wrapper, 'epoch_length': steps_per_epoch}
    with warnings.catch_warnings():  # of steps that no step of the optimizer came before
        warnings.simplefilter('ignore', UserWarning)
        made = [PARAM_SCHEDULERS.build(dict(item), default_args=defaults) for item in schedulers]
        for step in range(1, done.steps + 1):
            ends_epoch = step % steps_per_epoch == 0 and step // steps_per_epoch <= done.epochs
            for scheduler in made:
                if not scheduler.by_epoch or ends_epoch:
                    scheduler.step()
    runner.param_schedulers = made


def replace_hook(runner: Runner, cfg: dict[str, Any]) -> None:
    """Put a hook in place of the one of the same type, if there is one.

    Args:
        runner: Runs the training.
        cfg: Config of the hook, which must need nothing of the one before.
    """
    kind = HOOKS.get(cfg['type'])
    for place, hook in enumerate(runner.hooks):
        if type(hook) is kind:
            new = HOOKS.build({key: value for key, value in cfg.items() if key != 'priority'})
            new.priority = hook.priority
            runner._hooks[place] = new
