"""The checkpoint hook run by hand, without a training, and killed where a test wants."""

import os
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper

from ymir.checkpoint_hook import YmirCheckpointHook

CONFIG = 'model.py'


class Killed(BaseException):
    """Stands in for SIGKILL: nothing may catch it and tidy up."""


def make_runner(task, precisions=None):
    """Return a stand-in for mmengine's runner.

    Args:
        task: the task.
        precisions: average precision of each class in every validation.
    """
    model = torch.nn.Linear(2, 2)
    return SimpleNamespace(
        epoch=0,
        iter=0,
        seed=1,
        experiment_name='test',
        model=model,
        work_dir=str(task.out_dir / 'models'),
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo={'classes': ('one', 'two')}), batch_size=8),
        val_evaluator=SimpleNamespace(metrics=[SimpleNamespace(class_precisions=precisions)]),
        message_hub=MessageHub.get_instance('checkpoint-hook-test'),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)),
        param_schedulers=None,
        train_loop=SimpleNamespace(micro_batches=1),
        logger=MMLogger.get_instance('checkpoint-hook-test'),
        call_hook=lambda name, checkpoint: None,
    )


def make_hook(keep=1, config=CONFIG):
    return YmirCheckpointHook(config, 'yolov8_n', (64, 64), keep, {'conf_thr': 0.001, 'iou_thr': 0.7})


def validate(hook, runner, mean_ap):
    runner.epoch += 1
    runner.iter += 1
    hook.after_val_epoch(runner, {'coco/bbox_mAP': mean_ap})
    hook.after_train(runner)  # waits for what is written in the background, and fails as it did


class Death:
    """Ends a run at a given rename or removal, which are all that changes what others see.

    Args:
        monkeypatch: of pytest.
    """

    def __init__(self, monkeypatch):
        self.changes_left = -1
        for name, change in (
            ('os.replace', os.replace),
            ('os.unlink', os.unlink),
            ('pathlib.Path.unlink', Path.unlink),
        ):
            monkeypatch.setattr(name, self._counted(change))

    def _counted(self, change):

        def wrapper(*arguments, **options):
            if self.changes_left == 0:
                raise Killed
            self.changes_left -= 1
            return change(*arguments, **options)

        return wrapper
