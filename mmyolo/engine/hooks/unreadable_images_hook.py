"""Trainings and tests in which some images cannot be read: evaluations leave these out, the end counts them."""

import logging
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather_object, is_main_process
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmyolo.evaluation.readable_only import ReadableOnly
from mmyolo.registry import HOOKS
from mmyolo.utils.unreadable import MAX_NAMED, UNREADABLE, UnreadableImage, none_readable, printable


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Leaves unreadable images out of evaluations and names them at the end; see mmyolo/utils/unreadable.py.

    tools/train.py and tools/test.py add it to every run.
    """

    priority = 'ABOVE_NORMAL'  # its list is complete when other hooks report how the run ended

    def before_run(self, runner: Runner) -> None:
        """Forget what an earlier run of this process has found."""
        UNREADABLE.clear()

    def before_train(self, runner: Runner) -> None:
        """Check that the validation set has a readable image, which otherwise shows only after the first epochs.

        Raises:
            UnreadableImageError: No image of the validation set can be read.
        """
        if runner.val_loop is None:
            return
        dataset = runner.val_dataloader.dataset
        if not hasattr(dataset, 'part'):
            return
        for tried in range(len(dataset)):
            if not _is_unreadable(dataset, tried):
                return
        raise none_readable(dataset.part, len(dataset))

    def before_val(self, runner: Runner) -> None:
        """Change the metrics of the validation."""
        _evaluate_readable_images(runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Change the metrics of the test."""
        _evaluate_readable_images(runner.test_evaluator)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: list | None = None
    ) -> None:
        """Hide unreadable images, which have been counted, from the hooks that draw results."""
        _hide_unreadable(outputs)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: list | None = None
    ) -> None:
        """Hide unreadable images, which have been counted, from the hooks that draw results."""
        _hide_unreadable(outputs)

    def after_train(self, runner: Runner) -> None:
        """Report what was skipped, in all processes together."""
        _tell()

    def after_test(self, runner: Runner) -> None:
        """Report what was skipped, in all processes together."""
        _tell()


def _is_unreadable(dataset: BaseDataset, index: int) -> bool:
    samples = dataset[index]['data_samples']
    return bool((samples[0] if isinstance(samples, list) else samples).get('unreadable'))


def _hide_unreadable(outputs: list | None) -> None:
    if isinstance(outputs, list):
        outputs[:] = [sample for sample in outputs if not sample.get('unreadable')]


def _evaluate_readable_images(evaluator: Evaluator) -> None:
    for place, metric in enumerate(evaluator.metrics):
        if type(metric).evaluate is BaseMetric.evaluate and not isinstance(metric, ReadableOnly):
            evaluator.metrics[place] = ReadableOnly(metric)


def _tell() -> None:
    for images in all_gather_object(UNREADABLE.all()):
        for image in images:
            UNREADABLE.add(UnreadableImage(*image))
    if not is_main_process():
        return
    for part in ('training', 'validation'):
        images = UNREADABLE.all(part)
        if images:
            names = ', '.join(f'{image.path} ({image.reason})' for image in images[:MAX_NAMED])
            more = ', ...' if len(images) > MAX_NAMED else ''
            text = f'{len(images)} images of the {part} set were skipped because they cannot be read: {names}{more}'
            print_log(printable(text), 'current', logging.WARNING)
