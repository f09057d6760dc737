"""Suppression as a part of an ONNX graph: by standard operators, or by the plugins of TensorRT.

The nodes are appended to the traced graph one by one instead of being traced, so that they are the same with every
version of PyTorch and ONNX operators. Unlike in public mmyolo (its project easydeploy), `pre_topk` and `keep_topk` hold
per image whatever the number of classes, outputs have fixed shapes, and no row belongs to another image.
"""

from collections.abc import Sequence

import numpy as np

from .dependencies import need

OUTPUTS = ('num_dets', 'boxes', 'scores', 'labels')
BOXES, SCORES = 'decoded_boxes', 'decoded_scores'
"""What the traced network gives: (B, N, 4) xyxy in input pixels, and (B, N, num_classes)."""
TENSORRT_DOMAIN = 'TRT'
TENSORRT7_TOPK = 4096  # more candidates than this the plugin does not take


class GraphBuilder:
    """Appends nodes to a graph; every method returns the names of what the node gives.

    Args:
        graph: a GraphProto.
        opset: version of the standard operators.
    """

    def __init__(self, graph, opset: int) -> None:
        self.helper, self.numpy_helper = need('onnx.helper'), need('onnx.numpy_helper')
        self.graph = graph
        self.opset = opset
        self._count = 0

    def constant(self, values, dtype=np.int64) -> str:
        """Add a constant."""
        self._count += 1
        name = f'nms_constant_{self._count}'
        self.graph.initializer.append(self.numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, op_type: str, *inputs: str, outputs: Sequence[str] = (), **attributes):
        """Add a node; return its output, or a list if there are several."""
        self._count += 1
        outputs = list(outputs) or [f'nms_{op_type}_{self._count}']
        self.graph.node.append(
            self.helper.make_node(op_type, list(inputs), outputs, name=f'nms_node_{self._count}', **attributes)
        )
        return outputs[0] if len(outputs) == 1 else outputs

    def top(self, values: str, count: int) -> list[str]:
        """Return the `count` largest of each row (B, M), in order, and their places."""
        outputs = [f'nms_top_{self._count}_values', f'nms_top_{self._count}_places']
        return self.add('TopK', values, self.constant([count]), outputs=outputs, axis=1)

    def count_rows(self, mask: str, output: str) -> str:
        """(B, M) bool -> (B, 1) int32 numbers of True."""
        numbers = self.add('Cast', mask, to=need('onnx').TensorProto.INT32)
        if self.opset < 13:
            return self.add('ReduceSum', numbers, outputs=[output], axes=[1], keepdims=1)
        return self.add('ReduceSum', numbers, self.constant([1]), outputs=[output], keepdims=1)


def add_onnx_nms(
    builder: GraphBuilder,
    num_priors: int,
    num_classes: int,
    pre_topk: int,
    keep_topk: int,
    iou_threshold: float,
    score_threshold: float,
    class_agnostic: bool = False,
) -> int:
    """Append suppression by standard operators.

    Args:
        builder: of a graph that gives `BOXES` and `SCORES`.
        num_priors: N.
        num_classes: C.
        pre_topk: how many pairs of prior and class of an image, from the highest score on, take part.
        keep_topk: how many boxes an image keeps at most.
        iou_threshold: a box whose IoU with a kept one is larger goes.
        score_threshold: only boxes with a higher score count.
        class_agnostic: whether boxes of different classes suppress each other.

    Returns:
        K, the second dimension of the outputs: num_dets (B, 1), boxes (B, K, 4), scores (B, K), labels (B, K), best
        first; rows from num_dets on are zero and their labels -1.
    """
    add, constant = builder.add, builder.constant
    int32 = need('onnx').TensorProto.INT32
    pre_topk = min(pre_topk, num_priors * num_classes)
    keep_topk = min(keep_topk, pre_topk)

    pairs = add('Reshape', SCORES, constant([0, num_priors * num_classes]))
    scores, pair = builder.top(pairs, pre_topk)  # (B, pre_topk)
    prior = add('Div', pair, constant(num_classes))
    label = add('Sub', pair, add('Mul', prior, constant(num_classes)))
    boxes = _rows_of(builder, BOXES, prior, pre_topk)  # (B, pre_topk, 4)

    by_class = add('Reshape', scores, constant([0, 1, pre_topk]))
    if num_classes > 1 and not class_agnostic:
        classes = constant(np.arange(num_classes).reshape(1, -1, 1))
        is_class = add('Equal', add('Reshape', label, constant([0, 1, pre_topk])), classes)
        by_class = add('Where', is_class, by_class, constant(-1, np.float32))  # (B, C, pre_topk)
    kept = add(
        'NonMaxSuppression',
        boxes,
        by_class,
        constant([keep_topk]),
        constant([iou_threshold], np.float32),
        constant([score_threshold], np.float32),
    )  # (M, 3) image, class, candidate
    kept = add('Gather', kept, constant([0, 2]), axis=1)
    nothing = add('Sub', add('Mul', scores, constant(0, np.float32)), constant(1, np.float32))
    kept_scores = add('ScatterND', nothing, kept, add('GatherND', scores, kept))  # -1 where suppressed

    scores, place = builder.top(kept_scores, keep_topk)
    is_box = add('Greater', scores, constant(-0.5, np.float32))
    builder.count_rows(is_box, OUTPUTS[0])
    boxes = _rows_of(builder, boxes, place, keep_topk)
    zero = constant(0, np.float32)
    add('Where', add('Reshape', is_box, constant([0, keep_topk, 1])), boxes, zero, outputs=[OUTPUTS[1]])
    add('Where', is_box, scores, zero, outputs=[OUTPUTS[2]])
    labels = add('Where', is_box, add('GatherElements', label, place, axis=1), constant(-1))
    add('Cast', labels, outputs=[OUTPUTS[3]], to=int32)
    return keep_topk


def _rows_of(builder: GraphBuilder, boxes: str, rows: str, count: int) -> str:
    """(B, N, 4) boxes at (B, count) rows -> (B, count, 4)."""
    rows = builder.add('Reshape', rows, builder.constant([0, count, 1]))
    rows = builder.add('Expand', rows, builder.constant([1, 1, 4]))
    return builder.add('GatherElements', boxes, rows, axis=1)


def add_tensorrt_nms(
    builder: GraphBuilder, keep_topk: int, iou_threshold: float, score_threshold: float, class_agnostic: bool = False
) -> int:
    """Append the plugin EfficientNMS_TRT of TensorRT 8 and later.

    Args:
        builder: of a graph that gives `BOXES` and `SCORES`.
        keep_topk: see `add_onnx_nms`.
        iou_threshold: see `add_onnx_nms`.
        score_threshold: see `add_onnx_nms`.
        class_agnostic: see `add_onnx_nms`.

    Returns:
        As `add_onnx_nms`.
    """
    attributes = {'class_agnostic': 1} if class_agnostic else {}
    builder.add(
        'EfficientNMS_TRT',
        BOXES,
        SCORES,
        outputs=OUTPUTS,
        domain=TENSORRT_DOMAIN,
        background_class=-1,
        box_coding=0,  # corners, which is what `decode_bboxes` gives; 1 would be centre and size
        iou_threshold=iou_threshold,
        max_output_boxes=keep_topk,
        plugin_version='1',
        score_activation=0,  # the scores are probabilities already
        score_threshold=score_threshold,
        **attributes,
    )
    return keep_topk


def add_tensorrt7_nms(
    builder: GraphBuilder,
    num_priors: int,
    num_classes: int,
    pre_topk: int,
    keep_topk: int,
    iou_threshold: float,
    score_threshold: float,
) -> int:
    """Append the plugin BatchedNMSDynamic_TRT of TensorRT 7; arguments and result as of `add_onnx_nms`."""
    boxes = builder.add('Reshape', BOXES, builder.constant([0, num_priors, 1, 4]))
    builder.add(
        'BatchedNMSDynamic_TRT',
        boxes,
        SCORES,
        outputs=[*OUTPUTS[:3], 'float_labels'],
        domain=TENSORRT_DOMAIN,
        shareLocation=1,
        backgroundLabelId=-1,
        numClasses=num_classes,
        topK=min(pre_topk, TENSORRT7_TOPK),
        keepTopK=keep_topk,
        scoreThreshold=score_threshold,
        iouThreshold=iou_threshold,
        isNormalized=0,
        clipBoxes=0,
        scoreBits=16,
        caffeSemantics=1,
        plugin_version='1',
    )
    builder.add('Cast', 'float_labels', outputs=[OUTPUTS[3]], to=need('onnx').TensorProto.INT32)
    return keep_topk
