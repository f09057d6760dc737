"""The state of a training for a platform that keeps none of its own: a training that fails goes on from it."""

from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmyolo.utils.files import replacing
from tmi.training.training_state import Position, state_of


@HOOKS.register_module()
class StateHook(Hook):
    """Write the state after each validation, and when the training is asked to stop.

    Args:
        path: The file, which is replaced as a whole.
    """

    priority = 'LOWEST'  # after EMAHook has put the raw weights back

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Write it.

        Args:
            runner: The runner.
            metrics: Unused.
        """
        self.save_state(runner, Position())

    @master_only
    def save_state(self, runner, position: Position) -> None:
        """Write it.

        Args:
            runner: The runner.
            position: Where in its epoch it is.
        """
        with replacing(self.path) as temporary:
            torch.save(state_of(runner, position), temporary)
