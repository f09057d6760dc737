"""What happens after each epoch: pictures, weights and the log are replaced, then the platform is told.

The line `[Process: 3/80]` makes the platform push what lies in `output/`, so it comes last, and at once.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner, autocast

from mmyolo.datasets.transforms.loading import decode_image
from mmyolo.errors import UnreadableImageError
from pie.box_metric import PieBoxMetric
from pie.outputs import Outputs
from pie.pictures import best_image, draw_boxes, write_picture
from pie.termination import Termination
from pie.texts import say
from pie.trainlog import ALL, TrainLog

TERMINATION = 'termination'  # in the message hub


def box_metric(evaluator: Evaluator) -> PieBoxMetric:
    """Return the metric of boxes, which another may hold that leaves out unreadable images."""
    (metric,) = (getattr(one, 'metric', one) for one in evaluator.metrics)
    return metric


@HOOKS.register_module()
class PieEpochHook(Hook):
    """Write the results of each epoch.

    Args:
        output_dir: The folder `output/`.
        stem: Name of the weights file without `.th`.
        colors: (red, green, blue) of each class.
        sample_file: COCO file of the training images that are measured.
        description: What stands beside the weights, but for the confidence.
        auto_termination: Whether to end when the accuracy rises no more.
        unused: What the core gives to every hook of this place.
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook takes back the averaged weights, which are what was validated

    def __init__(
        self,
        output_dir: str,
        stem: str,
        colors: Sequence[Sequence[int]],
        sample_file: str,
        description: Mapping[str, Any],
        auto_termination: bool = False,
        **unused: Any,
    ) -> None:
        self.outputs = Outputs(Path(output_dir), stem)
        self.colors = colors
        self.sample_file = sample_file
        self.description = description
        self.termination = Termination() if auto_termination else None
        self.loss_sum: Any = 0.0
        self.steps = 0

    def before_train(self, runner) -> None:
        """Make the loader of the training images that are measured; a training that goes on has waited already."""
        found = runner.message_hub.runtime_info.get(TERMINATION) if runner.iter else None
        if found and self.termination is not None:
            vars(self.termination).update(found)
        config = copy.deepcopy(runner.cfg.val_dataloader)
        config.dataset.ann_file = self.sample_file
        config.update(num_workers=0, persistent_workers=False)
        self.sample_loader = Runner.build_dataloader(config, seed=runner.seed)
        self.sample_evaluator = runner.build_evaluator({'type': 'PieBoxMetric', 'ann_file': self.sample_file})
        self.sample_evaluator.dataset_meta = self.sample_loader.dataset.metainfo

    def before_train_epoch(self, runner) -> None:
        """Begin to add up the losses."""
        self.loss_sum, self.steps = 0.0, 0

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Add a loss, on its device: reading each would stop a GPU.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: Losses by name.
        """
        self.loss_sum = self.loss_sum + outputs['loss'].detach()
        self.steps += 1

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Write everything, then say that it is there.

        Args:
            runner: The runner; its epoch counts the finished ones.
            metrics: What the evaluator found.
        """
        self._measure_sample(runner)
        loss = torch.as_tensor(self.loss_sum, dtype=torch.float32) / max(self.steps, 1)
        all_reduce(loss, 'mean')  # all processes decide alike whether to end
        loss = float(loss)
        ends = self.termination is not None and self.termination.add((metrics or {}).get('pie/mAP', 0.0), loss)
        if self.termination is not None:
            runner.message_hub.update_info(TERMINATION, dict(vars(self.termination)))
        if ends:
            runner.train_loop.stop_training = True
        if not is_main_process():
            return
        valid = box_metric(runner.val_evaluator)
        names = list(runner.val_dataloader.dataset.metainfo['classes'])
        self._draw(valid, names)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.outputs.write_weights(model.state_dict(), {**self.description, 'confidence': valid.scores.confidence})
        train_rows = box_metric(self.sample_evaluator).scores.rows(names)
        train_rows[ALL]['loss'] = loss
        log = TrainLog.read(self.outputs.log)
        # After an early end train.py notes it: until then a reader of x < y takes the training for a running one.
        log.add_epoch(runner.epoch, train_rows, valid.scores.rows(names), ended=runner.epoch >= runner.max_epochs)
        if ends and runner.epoch < runner.max_epochs:
            say('ended_early', epoch=runner.epoch, count=self.termination.waited, best=f'{self.termination.best:.4f}')
        print(f'[Process: {runner.epoch}/{runner.max_epochs}]', flush=True)

    def _measure_sample(self, runner) -> None:
        model = runner.model
        model.eval()
        with torch.no_grad():
            for batch in self.sample_loader:
                with autocast(enabled=bool(runner.val_loop.fp16)):
                    found = model.val_step(batch)
                self.sample_evaluator.process(data_samples=found, data_batch=batch)
        self.sample_evaluator.evaluate(len(self.sample_loader.dataset))

    def _draw(self, valid: PieBoxMetric, names: Sequence[str]) -> None:
        if not valid.images:
            return
        confidence = valid.scores.confidence
        path, predicted, _ = valid.images[best_image(valid.images, confidence)]
        try:
            image = decode_image(Path(path).read_bytes(), path)
        except UnreadableImageError:  # its place was taken by an empty one
            return
        write_picture(self.outputs.picture('pred'), draw_boxes(image, predicted, names, self.colors, confidence))
