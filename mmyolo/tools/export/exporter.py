"""Writes a detector as an ONNX file: the network is traced; what has branches on data, suppression, is appended."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.onnx import register_custom_op_symbolic, symbolic_opset13

from mmyolo.utils.onnx_trace import INPUT, OPSET, trace_to_onnx

from .dependencies import need
from .metadata import make_metadata, write_metadata
from .model import ExportModel, detection_settings
from .suppression import (
    BOXES,
    OUTPUTS,
    SCORES,
    TENSORRT_DOMAIN,
    GraphBuilder,
    add_onnx_nms,
    add_tensorrt7_nms,
    add_tensorrt_nms,
)

FORMS = ('raw', 'onnx', 'tensorrt8', 'tensorrt7')
OPSETS = (11, 20)


@dataclass(frozen=True)
class ExportOptions:
    """How a detector is exported.

    Attributes:
        form: 'raw' maps; 'onnx', suppression by standard operators; 'tensorrt8' and 'tensorrt7', by a plugin.
        image_size: height and width of the input.
        batch_size: images per run.
        dynamic: leave the batch size open.
        opset: version of the standard operators.
        simplify: simplify the graph with onnxslim or onnxsim, whichever is installed.
        preprocess: take uint8 or float pixels, blue first as OpenCV reads them, instead of normalised input.
        input_type: 'uint8' or 'float' pixels, with `preprocess`.
        pre_topk, keep_topk, iou_threshold, score_threshold: see `suppression.add_onnx_nms`.
    """

    form: str = 'onnx'
    image_size: tuple[int, int] = (640, 640)
    batch_size: int = 1
    dynamic: bool = False
    opset: int = OPSET
    simplify: bool = False
    preprocess: bool = False
    input_type: str = 'uint8'
    pre_topk: int = 1000
    keep_topk: int = 100
    iou_threshold: float = 0.65
    score_threshold: float = 0.25

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f'form is {self.form!r}, allowed are {", ".join(FORMS)}')
        if self.input_type not in ('uint8', 'float'):
            raise ValueError(f"input_type is {self.input_type!r}, allowed are 'uint8' and 'float'")
        if not OPSETS[0] <= self.opset <= OPSETS[1]:
            raise ValueError(f'opset is {self.opset}, allowed are {OPSETS[0]} to {OPSETS[1]}')
        for name in ('batch_size', 'pre_topk', 'keep_topk'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}, it must be at least 1')
        for name in ('iou_threshold', 'score_threshold'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}, allowed are 0 to 1')

    @property
    def nms(self) -> dict:
        """The settings of the suppression."""
        names = ('pre_topk', 'keep_topk', 'iou_threshold', 'score_threshold')
        return {name: value for name, value in asdict(self).items() if name in names}


def export_onnx(model: nn.Module, path: Path, options: ExportOptions) -> ExportModel:
    """Write a detector as an ONNX file.

    Args:
        model: a detector, for metadata with `cfg` and `dataset_meta`; stays as it is.
        path: the file to write.
        options: see `ExportOptions`.

    Returns:
        What was traced.

    Raises:
        ImportError: without the package onnx.
        ValueError: for a model that cannot be exported in this form, see `ExportModel`.
    """
    onnx = need('onnx')
    settings = detection_settings(model)
    multi_label = settings.get('multi_label', False)
    class_agnostic = bool((settings.get('nms') or {}).get('class_agnostic', False))
    network = ExportModel(model, options.image_size, options.form == 'raw', options.preprocess, multi_label)
    graph_model = _trace(network, options)
    if options.simplify:
        graph_model = _simplify(graph_model)
    nms = None
    if options.form != 'raw':
        nms = dict(options.nms, multi_label=multi_label, class_agnostic=class_agnostic)
        if options.form == 'tensorrt7' and class_agnostic:
            raise ValueError(
                'Suppression across classes (class_agnostic of the config) is not in the plugin of '
                'TensorRT 7: export for tensorrt8 or onnxruntime'
            )
        _append_suppression(graph_model, network, options, class_agnostic)
    metadata = make_metadata(model, options.image_size, options.form, options.preprocess, nms)
    write_metadata(graph_model, metadata)
    graph_model.producer_name = 'mmyolo'
    onnx.checker.check_model(graph_model, full_check=not options.form.startswith('tensorrt'))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(graph_model, str(path))
    return network


def example_input(network: ExportModel, options: ExportOptions) -> torch.Tensor:
    """Return an input of the right type and shape."""
    pixels = options.preprocess and options.input_type == 'uint8'
    shape = (options.batch_size, 3, *options.image_size)
    return torch.zeros(shape, dtype=torch.uint8 if pixels else torch.float, device=network.priors.device)


def output_names(network: ExportModel, options: ExportOptions) -> list[str]:
    """Return names of what the traced network gives."""
    if options.form != 'raw':
        return [BOXES, SCORES]
    with torch.no_grad():
        count = len(network(example_input(network, options)))
    levels = [f'stride{int(stride)}' for stride in network.head.featmap_strides]
    return levels + [f'extra{index}' for index in range(count - len(levels))]


def _trace(network: ExportModel, options: ExportOptions):
    """Trace the network to an ONNX ModelProto."""
    onnx = need('onnx')
    names = output_names(network, options)
    if options.opset < 13:  # heads use it; PyTorch has written it for later operators only, but the same will do
        register_custom_op_symbolic('aten::unflatten', symbolic_opset13.unflatten, options.opset)
    axes = {name: {0: 'batch'} for name in (INPUT, *names)} if options.dynamic else None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'model.onnx'
        trace_to_onnx(network, example_input(network, options), file, names, options.opset, axes)
        return onnx.load(str(file))


def _simplify(graph_model):
    for name in ('onnxslim', 'onnxsim'):
        try:
            simplifier = need(name)
        except ImportError:
            continue
        simplified = simplifier.slim(graph_model) if name == 'onnxslim' else simplifier.simplify(graph_model)[0]
        return simplified
    raise ImportError('--simplify needs the package onnxslim or onnxsim: pip install onnxslim')


def _append_suppression(graph_model, network: ExportModel, options: ExportOptions, class_agnostic: bool) -> None:
    """Replace boxes and scores, the outputs of the traced network, by those of suppression."""
    onnx = need('onnx')
    graph, num_priors, num_classes = graph_model.graph, len(network.priors), network.head.num_classes
    builder = GraphBuilder(graph, options.opset)
    thresholds = options.iou_threshold, options.score_threshold
    del graph.output[:]
    if options.form == 'onnx':
        rows = add_onnx_nms(
            builder, num_priors, num_classes, options.pre_topk, options.keep_topk, *thresholds, class_agnostic
        )
    else:
        graph_model.opset_import.append(onnx.helper.make_opsetid(TENSORRT_DOMAIN, 1))
        if options.form == 'tensorrt8':
            rows = add_tensorrt_nms(builder, options.keep_topk, *thresholds, class_agnostic)
        else:
            rows = add_tensorrt7_nms(builder, num_priors, num_classes, options.pre_topk, options.keep_topk, *thresholds)
    batch = 'batch' if options.dynamic else options.batch_size
    shapes = ((batch, 1), (batch, rows, 4), (batch, rows), (batch, rows))
    kinds = (onnx.TensorProto.INT32, onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT, onnx.TensorProto.INT32)
    for name, kind, shape in zip(OUTPUTS, kinds, shapes):
        graph.output.append(onnx.helper.make_tensor_value_info(name, kind, shape))
