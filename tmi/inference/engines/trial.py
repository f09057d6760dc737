"""Tries an engine (`python -m tmi.inference.engines.trial FOLDER ENGINE THREADS SECONDS`); imports no torch.

It is a process of its own, so that an engine that crashes on this machine ends nothing but its trial.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tmi.inference.engines.sessions import SESSIONS
from tmi.processes import end_with_parent

NETWORK_FILE = 'network.onnx'
INPUT_FILE = 'input.npy'
LEAST_PASSES = 3


def outputs_file(folder: Path, engine: str) -> Path:
    """Return where a trial leaves what the network gave, and the seconds of a pass."""
    return folder / f'{engine}.npz'


def seconds_of_a_pass(run: Callable[[], object], seconds: float) -> float:
    """Return the median time of a call, in seconds; one call before the first counts does not.

    Args:
        run: What to call.
        seconds: How long to go on; there are at least `LEAST_PASSES` calls.
    """
    run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < LEAST_PASSES or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def read_outputs(folder: Path, engine: str) -> tuple[list[np.ndarray], float]:
    """Read what a trial left.

    Args:
        folder: Of the trial.
        engine: That was tried.

    Returns:
        The outputs of the network, and the seconds of a pass; 0 if they were not measured.
    """
    with np.load(outputs_file(folder, engine), allow_pickle=False) as arrays:
        return [arrays[f'output{place}'] for place in range(len(arrays.files) - 1)], float(arrays['seconds'])


def main() -> None:
    """Run the network on the input, measure, and leave what came out."""
    folder, engine, threads, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    session = SESSIONS[engine](folder / NETWORK_FILE, threads)
    inputs = np.load(folder / INPUT_FILE, allow_pickle=False)
    outputs = {f'output{place}': output for place, output in enumerate(session(inputs))}
    measured = seconds_of_a_pass(lambda: session(inputs), seconds) if seconds else 0.0
    np.savez(outputs_file(folder, engine), seconds=measured, **outputs)


if __name__ == '__main__':
    end_with_parent()
    main()
