"""mmengine's loop of a validation, which takes fewer images at once where the memory is too small for a batch.

What is found in an image and the metric do not depend on how many images go through the network together, so only the
part of the batch that failed is predicted again, and the training goes on.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import LOOPS
from mmengine.runner import ValLoop
from mmengine.runner.amp import autocast

from tmi.errors import StepMemoryError, as_task_error, needs_fewer_images


@LOOPS.register_module()
class TaskValLoop(ValLoop):
    """Validates; arguments are those of mmengine's loop."""

    most: int | None = None  # images at once, once a batch was too large

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict a batch and hand it to the evaluator.

        Args:
            idx: Number of the batch, from 0.
            data_batch: Of the loader: `inputs` and `data_samples`, of each image one.

        Raises:
            TaskError: StepMemoryError if the memory is too small for one image.
        """
        self.runner.call_hook('before_val_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            outputs = self._predict(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook('after_val_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _predict(self, batch: Any) -> list[Any]:
        images = len(batch['inputs'])
        size = min(self.most or images, images)
        if size < images:
            parts = (_part(batch, first, first + size) for first in range(0, images, size))
            return [sample for part in parts for sample in self._predict(part)]
        try:
            return list(self.runner.model.val_step(batch))
        except (RuntimeError, MemoryError) as error:
            if not needs_fewer_images(error):
                raise
            known = as_task_error(error)
            if images == 1:
                raise StepMemoryError(known.sentence) from error
            sentence = known.sentence
        self.most = images // 2
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        # mmengine shows a warning of one form once, so that the text is made here.
        self.runner.logger.warning(
            f'{sentence} The validation goes on with {self.most} images at once instead of {images}.'
        )
        return self._predict(batch)


def _part(batch: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    """Return some images of a batch."""
    return {name: value[first:last] for name, value in batch.items()}
