"""The last epochs of YOLOX: whole images instead of mosaics, and a loss on the undecoded boxes.

Unlike the public release, a training that is resumed after the switch is switched too, the pipeline of a data set
within wrappers is found, and the new loader has the seed of the old one.
"""

import copy
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmyolo.registry import HOOKS


@HOOKS.register_module()
class YOLOXModeSwitchHook(Hook):
    """Switches the training before the epoch, counted from 1, of number `max_epochs - num_last_epochs`.

    So one epoch more than `num_last_epochs` runs switched, as in the public release.

    Args:
        num_last_epochs: epochs after the one at which the training is switched.
        new_train_pipeline: the transforms of the last epochs; None keeps the ones there are.
    """

    def __init__(self, num_last_epochs: int = 15, new_train_pipeline: list[dict] | None = None) -> None:
        self.num_last_epochs = num_last_epochs
        self.new_train_pipeline = new_train_pipeline
        self._has_switched = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Build a new loader and turn the loss on, once.

        Args:
            runner: runs the training.
        """
        if self._has_switched or runner.epoch + 1 < runner.max_epochs - self.num_last_epochs:
            return
        self._has_switched = True
        if self.new_train_pipeline is not None:
            print_log('The last epochs begin: the training pipeline is switched', 'current')
            config = copy.deepcopy(runner.cfg.train_dataloader)
            _set_pipeline(config.dataset, self.new_train_pipeline)
            # A new loader, because workers that persist would go on with the pipeline they have.
            seed = runner.seed if isinstance(getattr(runner, 'seed', None), int) else None
            runner.train_loop.dataloader = Runner.build_dataloader(config, seed=seed)
        print_log('The last epochs begin: the loss of undecoded boxes (loss_bbox_aux) is added', 'current')
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.bbox_head.use_bbox_aux = True


def _set_pipeline(dataset: Any, pipeline: list[dict]) -> None:
    """Give a data set, or those within a wrapper without a pipeline of its own, another pipeline, in place."""
    if not isinstance(dataset, dict):  # built already
        dataset.pipeline = copy.deepcopy(pipeline)
        return
    if 'pipeline' in dataset or not ('dataset' in dataset or 'datasets' in dataset):
        dataset['pipeline'] = copy.deepcopy(pipeline)
        return
    for inner in dataset.get('datasets', [dataset.get('dataset')]):
        _set_pipeline(inner, pipeline)
