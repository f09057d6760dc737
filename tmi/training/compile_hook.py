"""The network of a training, compiled by torch.compile (`compile: true`).

Parts of the model whose shapes follow from the input are compiled. The loss picks its priors by the data, so that its
shapes differ from step to step; it stays as it is. Whether a compiler is there and takes the model is found out at the
first batch, forward and backward, before anything is learned; if not, the training goes on without. Where several
processes train, each first compiles a small network that asks the others for nothing, and all go on without if one of
them cannot: layers that share statistics would wait for that one for ever.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import Tensor, nn
from torch.nn import functional

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
            data_batch: A batch of the loader, whose `inputs` are (B, 3, H, W) or B images (3, H, W) of any size.
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
        device = next(model.parameters()).device
        start = time.monotonic()
        several = get_world_size() > 1
        reason = _agreed(_try(lambda: _try_compiler(self.backend, device)), device) if several else ''
        if not reason:
            # Of several processes one must not stop within the network, where the others would wait for it.
            torch._dynamo.config.suppress_errors = several
            reason = _agreed(_try(lambda: self._compile_parts(runner, model, parts, data_batch)), device)
        self.calls = {part: part._compiled_call_impl for part in parts}
        if reason:
            self._use(False)
            self.calls = {}
            runner.logger.warning('compile: the network cannot be compiled, the training goes on without (%s).', reason)
            return
        torch._dynamo.config.suppress_errors = True  # what fails later, with another shape, is computed without
        runner.logger.info('compile: the network was compiled in %.0f s.', time.monotonic() - start)

    def _compile_parts(self, runner, model: nn.Module, parts: Sequence[nn.Module], data_batch: dict[str, Any]) -> None:
        for number, part in enumerate(parts):
            part._compiled_call_impl = torch.compile(_call_of(part, number), backend=self.backend, dynamic=False)
        with _unchanged(model), runner.optim_wrapper.optim_context(runner.model):
            _try_gradients(model, data_batch)

    def _use(self, compiled: bool) -> None:
        for part, call in self.calls.items():
            part._compiled_call_impl = call if compiled else None


def _call_of(part: nn.Module, number: int) -> Callable[..., Any]:
    """Return the call of a module as a function of its own.

    Of the methods of torch.nn, as those of Sequential, torch.compile takes nothing, but what they call, piece by piece;
    and of pieces with the same code it takes eight and computes all further ones without.

    Args:
        part: The module.
        number: Which no other part has.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return part._call_impl(*args, **kwargs)

    call.__code__ = call.__code__.replace(co_name=f'call_of_part_{number}')
    return call


def _try(work: Callable[[], None]) -> str:
    """Return in one line why a compiler failed; empty if it did not."""
    try:
        work()
    except Exception as error:  # whatever a compiler raises
        return ' '.join(f'{type(error).__name__}: {error}'.split())[:MAX_REASON]
    return ''


def _agreed(reason: str, device: torch.device) -> str:
    """Return this process's reason, or that another one has one; empty if none has, as all compute in the same way."""
    failed = torch.tensor(float(bool(reason)), device=device)
    all_reduce(failed, 'max')
    return reason or ('it failed in another process' if failed else '')


def _try_compiler(backend: Any, device: torch.device) -> None:
    """Compile a layer of the usual kind, forward and backward, without another process."""

    def layer(image: Tensor, weight: Tensor) -> Tensor:
        return functional.silu(functional.conv2d(image, weight))

    weight = torch.ones(4, 3, 3, 3, device=device, requires_grad=True)
    torch.compile(layer, backend=backend)(torch.ones(1, 3, 8, 8, device=device), weight).sum().backward()


def _shape(inputs: Tensor | Sequence[Tensor]) -> torch.Size:
    """Return the shape of a batch, of images of several sizes once they are padded to the largest."""
    if torch.is_tensor(inputs):
        return inputs.shape
    return torch.Size((len(inputs), *map(max, zip(*(image.shape for image in inputs)))))


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
