"""Losses and gradient norms of training steps, read from the device together where the log shows them.

Reading a number waits until the device has computed it, and then the device waits until the next step is sent to it. On
a GPU, which computes a step of a small network in milliseconds, that is a good part of a step. So the numbers of each
step stay on the device until the log is due; what is logged is the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

READ_AT_ONCE = ('cpu',)  # kinds of devices that are never ahead of the program


class StepValues:
    """The numbers of steps that have not been read yet."""

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []
        self._interval = 1

    def follow(self, runner: Runner) -> None:
        """Read as often as a runner's log is written, and at the first step."""
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 1)

    def add(self, values: Mapping[str, Any]) -> None:
        """Keep the numbers of a step.

        Args:
            values: Name to a number or a tensor that holds one.
        """
        self._steps.append(
            {name: value.detach() if torch.is_tensor(value) else value for name, value in values.items()}
        )

    def due(self, runner: Runner, batch_idx: int) -> bool:
        """Return whether to read now.

        Args:
            runner: Its step is not counted yet.
            batch_idx: Step in the epoch, from 0.
        """
        number = batch_idx + 1
        is_free = all(
            not torch.is_tensor(value) or value.device.type in READ_AT_ONCE for value in self._steps[-1].values()
        )
        is_logged = number % self._interval == 0 or number == len(runner.train_dataloader)
        return is_free or is_logged or runner.iter == 0

    def read(self) -> list[dict[str, Any]]:
        """Return the numbers of each step since the last reading, in one transfer from the device."""
        steps, self._steps = self._steps, []
        places = [(step, name) for step in steps for name, value in step.items() if torch.is_tensor(value)]
        if places:
            numbers = torch.stack([step[name].reshape(()).double() for step, name in places]).tolist()
            for (step, name), number in zip(places, numbers):
                step[name] = number
        return steps


class KeptNorm:
    """Clips gradients as a function of PyTorch does, and keeps their norm instead of giving it to be read at once.

    Args:
        clip: torch.nn.utils.clip_grad_norm_ or clip_grad_value_.
        kept: Where the norm goes.
        name: Under which.
    """

    def __init__(self, clip: Callable[..., Any], kept: dict[str, Any], name: str) -> None:
        self.clip, self.kept, self.name = clip, kept, name

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        norm = self.clip(*args, **kwargs)
        if norm is not None:
            self.kept[self.name] = norm


@HOOKS.register_module()
class StepValuesHook(RuntimeInfoHook):
    """mmengine's hook that hands losses, rates and norms to the log, which reads the device when the log is due."""

    def __init__(self) -> None:
        self.values = StepValues()
        self.norm: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Find out when the log is due.

        Args:
            runner: The runner.
        """
        super().before_train(runner)
        self.values.follow(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the norm of the gradients too; the optimizer may be another one since the last step.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
        """
        super().before_train_iter(runner, batch_idx, data_batch)
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapper) and wrapper.clip_grad_kwargs:
            if not isinstance(wrapper.clip_func, KeptNorm):
                wrapper.clip_func = KeptNorm(wrapper.clip_func, self.norm, wrapper.grad_name)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Keep the numbers of a step, and hand on all since the last log if one is due.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: The losses of the step.
        """
        self.values.add({**self.norm, **(outputs or {})})
        self.norm.clear()
        if self.values.due(runner, batch_idx):
            self._hand_on(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Hand on what is left of an epoch that was cut short.

        Args:
            runner: The runner.
        """
        self._hand_on(runner)

    def _hand_on(self, runner: Runner) -> None:
        for step in self.values.read():
            for name, value in step.items():
                runner.message_hub.update_scalar(f'train/{name}', value)
