"""The network of a training, compiled by torch.compile (`compile: true`).

Parts of the model whose shapes follow from the input are compiled. The loss picks its priors by the data, so that its
shapes differ from step to step; it stays as it is. Whether a compiler is there and takes the model is found out at the
first batch, forward and backward, before anything is learned; if not, the training goes on without.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import Tensor, nn

from tmi.families import family_of

MAX_REASON = 200  # characters of a compiler's error


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the network at the first batch, or say in one sentence why not.

    A batch of another size (the last one of an epoch) and validations are computed without: each would be compiled
    once more, which takes longer than it saves.

    Args:
        backend: Of torch.compile.
    """

    priority = 'LOWEST'

    def __init__(self, backend: str = 'inductor') -> None:
        self.backend = backend
        self.shape: torch.Size | None = None  # of the batches that are computed by what was compiled
        self.calls: dict[nn.Module, Any] = {}  # part -> what was compiled of it

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        """Compile at the first batch; then use what was compiled for batches of its shape alone.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: A batch of the loader, whose `inputs` are (B, 3, H, W) or B images (3, H, W).
        """
        shape = _shape(data_batch['inputs'])
        if self.shape is None:
            self.shape = shape
            self._compile(runner, data_batch)
        self._use(shape == self.shape)

    def before_val(self, runner) -> None:
        """Validate without."""
        self._use(False)

    def _compile(self, runner, data_batch: dict[str, Any]) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        parts = family_of(runner.cfg.model).compilable_parts(model)
        start = time.monotonic()
        reason = ''
        try:
            for part in parts:
                part.compile(backend=self.backend)
            with _unchanged(model), runner.optim_wrapper.optim_context(runner.model):
                _try_gradients(model, data_batch)
        except Exception as error:  # whatever a compiler raises
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:MAX_REASON]
        failed = torch.tensor(float(bool(reason)), device=next(model.parameters()).device)
        all_reduce(failed, 'max')  # all processes compute in the same way
        self.calls = {part: part._compiled_call_impl for part in parts}
        if failed:
            self._use(False)
            self.calls = {}
            cause = reason or 'it failed in another process'
            runner.logger.warning('compile: the network cannot be compiled, the training goes on without (%s).', cause)
            return
        torch._dynamo.config.suppress_errors = True  # what fails later, with another shape, is computed without
        runner.logger.info('compile: the network was compiled in %.0f s.', time.monotonic() - start)

    def _use(self, compiled: bool) -> None:
        for part, call in self.calls.items():
            part._compiled_call_impl = call if compiled else None


def _shape(inputs: Tensor | Sequence[Tensor]) -> torch.Size:
    return inputs.shape if torch.is_tensor(inputs) else torch.Size((len(inputs), *inputs[0].shape))


def _try_gradients(model: nn.Module, data_batch: dict[str, Any]) -> None:
    """Compute loss and gradients of a batch, which leaves no trace in the parameters."""
    preprocess = copy.deepcopy(model.data_preprocessor)  # it may count its calls
    losses = model(**preprocess(copy.deepcopy(data_batch), training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    torch.autograd.grad(total, parameters, allow_unused=True)


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Put statistics of norms and torch's random numbers back as they were."""
    buffers = [buffer.clone() for buffer in model.buffers()]
    try:
        device = next(model.parameters()).device
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):  # by default it touches all GPUs
            yield
    finally:
        for buffer, former in zip(model.buffers(), buffers):
            buffer.copy_(former)
