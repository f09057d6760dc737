"""Which engine runs the network of a task: decided once, by the first process, on its first images; the others wait.

The first process exports the network and lets each engine in question run it on the first images, in a process of its
own for each; the boxes must be those of torch. `auto` takes the fastest. Whatever goes wrong with an engine, the task
goes on with torch, and the log says why. All processes use one engine, so boxes do not depend on their number.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmyolo.utils.onnx_trace import INPUT, trace_to_onnx
from tmi.families.base import Predictor
from tmi.inference.engines import AUTO, CHOICE_FILE, ENGINE_FOLDER, TORCH, installed_engines, log_choice
from tmi.inference.engines.agreement import describe_disagreement
from tmi.inference.engines.sessions import SESSIONS
from tmi.inference.engines.trial import INPUT_FILE, NETWORK_FILE, outputs_file, read_outputs, seconds_of_a_pass
from tmi.inference.plan import THREADS, PredictionPlan

TRIAL_LIMIT = 300  # seconds; for engines that hang
MEASURE_SECONDS = 1.0
WORTH_SECONDS = 30  # of a task with torch; trying the others takes some 6 seconds, and they save a fifth at best
LEAST_GAIN = 1.05  # an engine that is faster than torch by less, which measuring cannot tell apart, is not taken
POLL_SECONDS = 0.05
WAIT_SECONDS = 1.0  # between signs of life while an engine is tried


class Choice(NamedTuple):
    """The engine of a task.

    Args:
        engine: 'torch' or one of `SESSIONS`.
        reason: Why, in a sentence for the log.
    """

    engine: str
    reason: str


class TrialError(Exception):
    """An engine cannot be used; the message says why."""


def use_engine(
    predictor: Predictor,
    plan: PredictionPlan,
    folder: Path,
    rank: int,
    pixels: Tensor,
    on_wait: Callable[[], object] = lambda: None,
) -> None:
    """Let the engine of the task run the network of a predictor.

    Args:
        predictor: On the CPU; it has predicted once.
        plan: Of the task.
        folder: Of the task's predictions.
        rank: Number of the process.
        pixels: First images of this process, as many as go through the network together: (n, H, W, 3) uint8 BGR.
        on_wait: Called again and again while the process waits, for the first one or for a trial.
    """
    folder = folder / ENGINE_FOLDER
    if rank == 0 and not (folder / CHOICE_FILE).exists():  # else a process that was lost has chosen
        choice = choose_engine(predictor, plan, folder, pixels, on_wait)
        _write_choice(folder, choice)
        log_choice(plan.engine, choice.engine, choice.reason)
    else:
        choice = _wait_for_choice(folder, on_wait)
    if choice.engine != TORCH:
        session = SESSIONS[choice.engine](folder / NETWORK_FILE, THREADS)
        predictor.engine = lambda inputs: [torch.from_numpy(output) for output in session(as_array(inputs))]


def choose_engine(
    predictor: Predictor,
    plan: PredictionPlan,
    folder: Path,
    pixels: Tensor,
    on_wait: Callable[[], object] = lambda: None,
) -> Choice:
    """Try the engines in question; see `use_engine`, whose arguments these are.

    Returns:
        The choice; `NETWORK_FILE` lies in the folder unless it is torch.
    """
    inputs = predictor.network_input(pixels)
    network = predictor.network(with_features=plan.mining is not None)
    if network is None:
        return Choice(TORCH, 'the network of this kind of model cannot be exported')
    measure, torch_seconds = 0.0, 0.0
    if plan.engine == AUTO:
        measure = MEASURE_SECONDS
        with torch.inference_mode():
            torch_seconds = seconds_of_a_pass(lambda: network(inputs), measure)
        whole = plan.num_images / plan.world_size * torch_seconds / len(pixels)
        if whole < WORTH_SECONDS:
            return Choice(TORCH, f'the network needs {whole:.0f} s in all, which trying others does not repay')
    try:
        shutil.rmtree(folder, ignore_errors=True)  # what an attempt that was killed left
        folder.mkdir(parents=True)
        export_network(network, inputs, folder / NETWORK_FILE)
        np.save(folder / INPUT_FILE, as_array(inputs))
    except Exception as error:
        return Choice(TORCH, f'the network cannot be exported ({_first_line(error)})')
    speeds, problems = {}, []
    for engine in installed_engines() if plan.engine == AUTO else [plan.engine]:
        try:
            outputs, seconds = _try_engine(folder, engine, THREADS, measure, on_wait)
            problem = describe_disagreement(predictor, network, pixels, outputs, plan.score_thr)
        except TrialError as error:
            problem = str(error)
        if problem:
            problems.append(f'{engine} {problem}')
        else:
            speeds[engine] = seconds
    return _best(plan.engine, torch_seconds, speeds, problems)


def _best(asked: str, torch_seconds: float, speeds: Mapping[str, float], problems: Sequence[str]) -> Choice:
    """Choose among torch and the engines that agree with it."""
    if not speeds:
        return Choice(TORCH, '; '.join(problems))
    if asked != AUTO:
        return Choice(asked, 'its boxes agree with those of torch on the first images')
    fastest = min(speeds, key=speeds.__getitem__)
    gains = [f'{engine} {torch_seconds / seconds:.2f}' for engine, seconds in speeds.items()]
    reason = '; '.join([f'speed of the network, torch being 1: {", ".join(gains)}', *problems])
    return Choice(fastest if torch_seconds > LEAST_GAIN * speeds[fastest] else TORCH, reason)


def export_network(network: torch.nn.Module, inputs: Tensor, file: Path) -> None:
    """Write a network as an ONNX file, for any number of images of any size.

    Args:
        network: What `Predictor.network` gives.
        inputs: An example of its input.
        file: Where to write.
    """
    with torch.inference_mode():
        shapes = [output.shape for output in network(inputs)]
    names = [f'output{place}' for place in range(len(shapes))]
    axes = {INPUT: {0: 'images', 2: 'height', 3: 'width'}}
    for name, shape in zip(names, shapes):  # axes between are channels, anchors
        axes[name] = {0: 'images', len(shape) - 2: f'{name}_height', len(shape) - 1: f'{name}_width'}
    trace_to_onnx(network, inputs.contiguous(), file, names, dynamic_axes=axes)


def _try_engine(
    folder: Path, engine: str, threads: int, seconds: float, on_wait: Callable[[], object]
) -> tuple[list[Tensor], float]:
    """Run an engine on the input in a process of its own; returns outputs and seconds of a pass."""
    command = [sys.executable, '-m', 'tmi.inference.engines.trial', folder, engine, threads, seconds]
    status, text = _run_and_wait(list(map(str, command)), on_wait)
    if status < 0:
        raise TrialError(f'was ended by {signal.Signals(-status).name} while it was tried')
    if status:
        raise TrialError(f'fails: {"".join(text.strip().splitlines()[-1:])[:300]}')
    outputs, measured = read_outputs(folder, engine)
    outputs_file(folder, engine).unlink()
    return [torch.from_numpy(output) for output in outputs], measured


def _run_and_wait(command: Sequence[str], on_wait: Callable[[], object]) -> tuple[int, str]:
    """Run a command to its end; returns its exit status and what it wrote to stderr."""
    until = time.monotonic() + TRIAL_LIMIT
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            while True:
                on_wait()
                try:
                    _, text = process.communicate(timeout=min(WAIT_SECONDS, max(until - time.monotonic(), 0)))
                    return process.returncode, text
                except subprocess.TimeoutExpired as error:
                    if time.monotonic() >= until:
                        raise TrialError(f'did not end within {TRIAL_LIMIT} seconds') from error
        finally:
            process.kill()


def as_array(inputs: Tensor) -> np.ndarray:
    """Return the input of a network as engines take it."""
    return inputs.contiguous().numpy()


def _first_line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]


def _write_choice(folder: Path, choice: Choice) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f'{CHOICE_FILE}.tmp'
    temporary.write_text(json.dumps(choice._asdict()), encoding='utf-8')
    temporary.replace(folder / CHOICE_FILE)


def _wait_for_choice(folder: Path, on_wait: Callable[[], object]) -> Choice:
    """Wait until the first process has decided."""
    while not (folder / CHOICE_FILE).exists():
        on_wait()
        time.sleep(POLL_SECONDS)
    values: dict[str, Any] = json.loads((folder / CHOICE_FILE).read_text(encoding='utf-8'))
    return Choice(**values)
