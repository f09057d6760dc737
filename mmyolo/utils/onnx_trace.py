"""Traces a network to an ONNX file, for the export of detectors and for engines that run a network in place of PyTorch.

PyTorch's exporter that traces TorchScript is used: it is in every version from 2.4 on, needs no package besides onnx,
and writes any version of the operators. The newer exporter (`dynamo=True`) needs onnxscript, is young in 2.4 to 2.6,
and writes operators of version 18, converting them to older versions with a warning that it may fail. A network without
branches on data loses nothing by being traced.
"""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

INPUT = 'images'
OPSET = 17  # version of the standard operators; TensorRT knows it from 8.5 on


def trace_options() -> dict:
    """Return the arguments of `torch.onnx.export` that choose the exporter; torch 2.4 knows none."""
    return {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}


def trace_to_onnx(
    network: nn.Module,
    inputs: Tensor,
    file: Path,
    output_names: Sequence[str],
    opset: int = OPSET,
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write a network as an ONNX file.

    Args:
        network: In eval mode, from one tensor to a tuple of tensors.
        inputs: An example of its input, which is called `INPUT` in the file.
        file: Where to write.
        output_names: Of each output.
        opset: Version of the standard operators.
        dynamic_axes: Name of an input or output -> axis -> name of its size, for sizes that are left open.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', category=DeprecationWarning)  # of the exporter, see above
        warnings.filterwarnings('ignore', category=torch.jit.TracerWarning)  # what looks like a branch is a constant
        warnings.filterwarnings('ignore', message='.*legacy TorchScript-based ONNX export.*')
        torch.onnx.export(
            network,
            (inputs,),
            str(file),
            input_names=[INPUT],
            output_names=list(output_names),
            opset_version=opset,
            dynamic_axes=dynamic_axes,
            **trace_options(),
        )
