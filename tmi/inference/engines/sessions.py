"""Sessions of the engines: a file with a network becomes a function of arrays; imports no torch.

All compute in fp32. Each process has its own session with its own threads: an engine must neither take all
cores, which belong to the other processes too, nor bind its threads to cores, which would be the same ones in each.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Session = Callable[[np.ndarray], list[np.ndarray]]
"""From (n, 3, H, W) float32 to the outputs of the network."""


def onnxruntime_session(file: Path, threads: int) -> Session:
    """Load a network into ONNX Runtime.

    Args:
        file: An ONNX file with one input.
        threads: That compute.

    Returns:
        What runs it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads would keep cores busy that load images and suppress boxes.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})


def openvino_session(file: Path, threads: int) -> Session:
    """Load a network into OpenVINO; see `onnxruntime_session`."""
    core = _openvino_core()
    settings = {
        'INFERENCE_NUM_THREADS': threads,
        'NUM_STREAMS': 1,
        'PERFORMANCE_HINT': 'LATENCY',
        'ENABLE_CPU_PINNING': False,
        'INFERENCE_PRECISION_HINT': 'f32',  # by default bf16 where the CPU computes it
    }
    request = core.compile_model(core.read_model(str(file)), 'CPU', settings).create_infer_request()

    def run(inputs: np.ndarray) -> list[np.ndarray]:
        results = request.infer({0: inputs}, share_inputs=True, share_outputs=False)
        return [results[place] for place in range(len(results))]

    return run


@functools.cache
def _openvino_core() -> Any:
    """Return the one core of this process.

    Each core takes the place of the stack that signal handlers run on, and puts back what it found when it goes. With
    two of them that may be what the other has freed, and the next signal, such as the end of a loader process, ends
    this one.
    """
    # Importing openvino would report the import over the network if its package for that could be imported.
    sys.modules.setdefault('openvino_telemetry', None)
    import openvino

    return openvino.Core()


SESSIONS = {'onnxruntime': onnxruntime_session, 'openvino': openvino_session}
