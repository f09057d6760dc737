"""What `mmyolo.deploy` offers without mmdeploy, and the numbers and attributes of its parts."""

import copy
import subprocess
import sys

import pytest
import torch

from mmyolo.deploy import MMYOLO, MMCodebase, YOLOObjectDetection
from mmyolo.deploy.models.dense_heads.yolov5_head import yolov5_bbox_decoder
from mmyolo.deploy.models.layers import efficient_nms
from mmyolo.deploy.models.layers.bbox_nms import TRTEfficientNMSop
from mmyolo.models.task_modules.coders import YOLOv5BBoxCoder


@pytest.mark.parametrize('name', [MMCodebase, MMYOLO, YOLOObjectDetection])
def test_names_say_what_they_need(name):
    with pytest.raises(ImportError, match='(?s)mmdeploy.*tools/export.py'):
        name()
    with pytest.raises(ImportError, match='(?s)mmdeploy.*tools/export.py'):
        name.register_deploy_modules()
    assert copy.deepcopy(name) is name and name.__name__ in repr(name)


@pytest.mark.slow  # what mmyolo's files may import is held in test_house.py
def test_mmyolo_does_not_import_it():
    code = (
        "import sys, mmyolo, mmyolo.models; print([n for n in sys.modules if n.startswith(('mmyolo.deploy', 'onnx'))])"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == '[]'


def test_decoder_gives_centre_and_size():
    priors = torch.tensor([[0.0, 0.0, 10.0, 20.0], [8.0, 8.0, 24.0, 40.0]])
    strides = torch.tensor([8.0, 16.0])
    assert yolov5_bbox_decoder(priors, torch.zeros(1, 2, 4), strides).tolist() == [[[5, 10, 10, 20], [16, 24, 16, 32]]]
    preds = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0))
    x, y, w, h = yolov5_bbox_decoder(priors, preds, strides).unbind(-1)
    corners = YOLOv5BBoxCoder().decode(priors, preds, strides)
    torch.testing.assert_close(torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1), corners)


def test_shapes_without_tensorrt():
    dets, labels = efficient_nms(torch.rand(2, 30, 4), torch.rand(2, 30, 7), keep_top_k=9)
    assert dets.shape == (2, 9, 5) and labels.shape == (2, 9)
    outputs = TRTEfficientNMSop.apply(torch.rand(1, 30, 4), torch.rand(1, 30, 7), -1, 0, 0.45, 5, '1', 0, 0.25)
    assert [tuple(one.shape) for one in outputs] == [(1, 1), (1, 5, 4), (1, 5), (1, 5)]


@pytest.mark.filterwarnings('ignore::DeprecationWarning')  # of the exporter that the drop-ins need
@pytest.mark.parametrize('coding', [0, 1])
def test_node_in_a_graph(coding, tmp_path):
    onnx = pytest.importorskip('onnx')
    from mmyolo.utils.onnx_trace import trace_options

    class Network(torch.nn.Module):
        def forward(self, boxes, scores):
            return efficient_nms(boxes, scores, iou_threshold=0.6, score_threshold=0.1, keep_top_k=8, box_coding=coding)

    torch.onnx.export(
        Network(),
        (torch.rand(1, 30, 4), torch.rand(1, 30, 7)),
        str(tmp_path / 'x.onnx'),
        opset_version=13,
        custom_opsets={'TRT': 1},
        **trace_options(),
    )
    (node,) = [node for node in onnx.load(str(tmp_path / 'x.onnx')).graph.node if node.op_type == 'EfficientNMS_TRT']
    assert node.domain == 'TRT' and len(node.output) == 4
    values = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert values['box_coding'] == coding and values['max_output_boxes'] == 8 and values['background_class'] == -1
    assert values['iou_threshold'] == pytest.approx(0.6) and values['score_threshold'] == pytest.approx(0.1)
    assert values['plugin_version'] == b'1' and values['score_activation'] == 0
