"""Exported files: their graphs, what is written in them, and that ONNX Runtime finds the boxes that PyTorch finds."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.cnn import ConvModule
from mmcv.transforms import Compose
from torch import nn

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from mmyolo.models.layers import ImplicitA, ImplicitM  # noqa: E402
from mmyolo.standins.mmcv.nms import batched_nms  # noqa: E402
from mmyolo.tools.export import ExportOptions, OnnxDetector, check_export, export_onnx  # noqa: E402
from mmyolo.tools.export.check import match  # noqa: E402
from mmyolo.tools.export.families import FAMILIES, make_detector  # noqa: E402
from mmyolo.tools.export.metadata import resize_of  # noqa: E402
from mmyolo.tools.export.runtime import fit  # noqa: E402
from mmyolo.tools.export.suppression import BOXES, OUTPUTS, SCORES, GraphBuilder, add_onnx_nms  # noqa: E402
from mmyolo.utils.folding import fold_batch_norms, fold_implicit_knowledge, folded  # noqa: E402
from tests.closeness import LAYER, NETWORK, assert_maps_close, assert_same_detections, magnitude, score_error  # noqa: E402
from tests.tools.running import load_tool  # noqa: E402

ROOT = Path(__file__).resolve().parents[4]
SIZE = (96, 128)
PHOTO = cv2.imread(str(ROOT / 'demo/demo.jpg'))
QUICK = ('yolov5', 'yolov8')


@pytest.fixture(scope='module')
def detectors():
    made = {}

    def get(family):
        if family not in made:
            size = (128, 192) if 'p6' in family else SIZE
            made[family] = (*make_detector(FAMILIES[family], size, [PHOTO]), size)
        return made[family]

    return get


def write(detectors, family, folder, **options):
    model, threshold, size = detectors(family)
    options = ExportOptions(image_size=size, **{'score_threshold': threshold, **options})
    path = folder / f'{family}.onnx'
    export_onnx(model, path, options)
    return model, path, options


def attributes(node):
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


@pytest.mark.parametrize('form', ['raw', 'onnx'])
@pytest.mark.parametrize(
    'family', [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_finds_the_boxes_of_pytorch(detectors, family, form, tmp_path):
    model, path, options = write(detectors, family, tmp_path, form=form, batch_size=2)
    report = check_export(model, path, options, [PHOTO])
    assert report.images == 2 and report.boxes >= 60
    assert report.boxes == report.found == report.matched
    assert report.score_difference < 1e-3 and report.box_difference < 0.1
    assert report.passed


def test_pixels_and_an_open_batch(detectors, tmp_path):
    model, path, options = write(detectors, 'yolov8', tmp_path, dynamic=True, preprocess=True, opset=11)
    assert check_export(model, path, options, [PHOTO]).passed
    runtime = OnnxDetector(path)
    assert runtime.batch_size is None and runtime.input.type == 'tensor(uint8)'
    images = [PHOTO, PHOTO[:, ::-1], PHOTO[::-1]]
    together, alone = runtime.detect(images), [runtime.detect([image])[0] for image in images]
    assert len(together[0].scores)
    for one, other in zip(together, alone):
        assert_same_detections(one, other)


def test_outputs_keep_their_limits(detectors, tmp_path):
    _, path, _ = write(detectors, 'yolov5', tmp_path, keep_topk=7, score_threshold=0.0)
    runtime = OnnxDetector(path)
    assert [one.name for one in runtime.session.get_outputs()] == list(OUTPUTS)
    num, boxes, scores, labels = runtime.run(runtime.make_input([PHOTO])[0])
    assert (num.shape, boxes.shape, scores.shape, labels.shape) == ((1, 1), (1, 7, 4), (1, 7), (1, 7))
    assert num.tolist() == [[7]] and num.dtype == labels.dtype == np.int32
    assert (np.diff(scores[0]) <= 0).all()


def graph_of_nms(num_priors, num_classes, opset=17, **settings):
    """Suppression alone; its inputs are boxes and scores of any number of images."""
    float32 = onnx.TensorProto.FLOAT
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [],
        'nms',
        [info(BOXES, float32, ['batch', num_priors, 4]), info(SCORES, float32, ['batch', num_priors, num_classes])],
        [],
    )
    add_onnx_nms(GraphBuilder(graph, opset), num_priors, num_classes, **settings)
    for name, kind in zip(OUTPUTS, (onnx.TensorProto.INT32, float32, float32, onnx.TensorProto.INT32)):
        graph.output.append(info(name, kind, None))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', opset)], ir_version=8)
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    return lambda boxes, scores: session.run(None, {BOXES: boxes, SCORES: scores})


@pytest.mark.parametrize('opset', [11, 17])
@pytest.mark.parametrize('agnostic', [False, True])
def test_suppression_agrees_with_ours(opset, agnostic):
    """pre_topk and keep_topk cut where the operator of this package cuts, per image and over all classes."""
    random = np.random.default_rng(0)
    corner, side = random.uniform(0, 60, (3, 50, 2)), random.uniform(15, 50, (3, 50, 2))
    boxes = np.concatenate([corner, corner + side], 2).astype(np.float32)
    scores = random.permutation(3 * 50 * 4).reshape(3, 50, 4).astype(np.float32) / 601
    scores[1] *= 0.1  # nothing in this image reaches the threshold
    run = graph_of_nms(
        50, 4, opset, pre_topk=60, keep_topk=12, iou_threshold=0.4, score_threshold=0.3, class_agnostic=agnostic
    )
    num, got_boxes, got_scores, got_labels = run(boxes, scores)
    assert num[1] == 0 and not got_scores[1].any() and not got_boxes[1].any() and (got_labels[1] == -1).all()
    for image in (0, 2):
        prior, label = (scores[image] > 0.3).nonzero()
        value = torch.from_numpy(scores[image][prior, label])
        (keep,) = batched_nms(
            torch.from_numpy(boxes[image][prior]),
            value,
            torch.from_numpy(label),
            torch.zeros(len(prior)).long(),
            1,
            0.4,
            max_per_img=12,
            nms_pre=60,
            class_agnostic=agnostic,
        )
        assert num[image] == len(keep) > 3
        np.testing.assert_allclose(got_scores[image][: len(keep)], value[keep])
        assert got_labels[image][: len(keep)].tolist() == label[keep].tolist()
        np.testing.assert_allclose(got_boxes[image][: len(keep)], boxes[image][prior][keep])
        assert (got_labels[image][len(keep) :] == -1).all()


def test_pre_topk_of_one():
    boxes = np.float32([[[0, 0, 10, 10], [50, 50, 60, 60]]])
    run = graph_of_nms(2, 1, pre_topk=1, keep_topk=5, iou_threshold=0.5, score_threshold=0.1)
    num, boxes, scores, labels = run(boxes, np.float32([[[0.6], [0.7]]]))
    assert num.tolist() == [[1]] and boxes.tolist() == [[[50, 50, 60, 60]]] and labels.tolist() == [[0]]


def test_graph_for_tensorrt(detectors, tmp_path):
    model, path, options = write(detectors, 'yolov5', tmp_path, form='tensorrt8', keep_topk=50, iou_threshold=0.6)
    found = onnx.load(str(path))
    onnx.checker.check_model(found)
    node = found.graph.node[-1]
    assert (node.op_type, node.domain, list(node.output)) == ('EfficientNMS_TRT', 'TRT', list(OUTPUTS))
    assert {one.domain for one in found.opset_import} == {'', 'TRT'}
    values = attributes(node)
    assert values == {
        'background_class': -1,
        'box_coding': 0,
        'iou_threshold': pytest.approx(0.6),
        'max_output_boxes': 50,
        'plugin_version': b'1',
        'score_activation': 0,
        'score_threshold': pytest.approx(options.score_threshold),
    }
    shapes = [[dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in found.graph.output]
    assert shapes == [[1, 1], [1, 50, 4], [1, 50], [1, 50]]
    with pytest.raises(ValueError, match='cannot run'):
        check_export(model, path, options, [PHOTO])


def test_box_coding_of_the_graph_is_corners(detectors, tmp_path):
    """What enters the plugin are corners, so that coding 0 is right, for anchors too."""
    model, path, _ = write(detectors, 'yolov5', tmp_path, form='tensorrt8')
    found = onnx.load(str(path))
    del found.graph.node[-1], found.graph.output[:]
    for name in (BOXES, SCORES):
        found.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    import onnxruntime

    session = onnxruntime.InferenceSession(found.SerializeToString(), providers=['CPUExecutionProvider'])
    inputs = np.random.default_rng(0).random((1, 3, *SIZE), np.float32)
    boxes, scores = session.run(None, {'images': inputs})
    assert (boxes[..., 2:] >= boxes[..., :2]).all() and 0 <= scores.min() and scores.max() <= 1
    with torch.no_grad():
        maps = model.bbox_head.forward_raw(model.extract_feat(torch.from_numpy(inputs)))
        meta = {'ori_shape': (9999, 9999), 'scale_factor': (1.0, 1.0)}
        every = model.bbox_head.predict_batch(maps, [meta], cfg={'score_thr': -1, 'nms': None}, rescale=False)
    order = every.priors.argsort()
    logits, sides, objectness = (torch.cat([level.flatten() for level in part]) for part in maps)
    slope = (
        0.6 * 373 + 16
    )  # pixels by which a corner moves at most: with the side of the largest anchor, and its centre
    np.testing.assert_allclose(boxes[0].clip(0), every.bboxes[order], rtol=0, atol=slope * NETWORK * magnitude(sides))
    np.testing.assert_allclose(scores[0].max(1), every.scores[order], rtol=0, atol=score_error(logits, objectness))


def test_graph_for_tensorrt7(detectors, tmp_path):
    _, path, options = write(detectors, 'yolov8', tmp_path, form='tensorrt7', pre_topk=9000)
    node = [node for node in onnx.load(str(path)).graph.node if node.op_type == 'BatchedNMSDynamic_TRT'][0]
    values = attributes(node)
    assert (values['topK'], values['keepTopK'], values['numClasses'], values['shareLocation']) == (4096, 100, 80, 1)
    assert (values['isNormalized'], values['clipBoxes'], values['backgroundLabelId']) == (0, 0, -1)


def test_raw_maps_are_those_of_the_last_convolution(detectors, tmp_path):
    model, path, _ = write(detectors, 'yolov5', tmp_path, form='raw')
    runtime = OnnxDetector(path)
    assert [one.name for one in runtime.session.get_outputs()] == ['stride8', 'stride16', 'stride32']
    batch = runtime.make_input([PHOTO])[0]
    with torch.no_grad():
        feats = model.extract_feat(torch.from_numpy(batch))
        expected = [conv(feat) for conv, feat in zip(model.bbox_head.head_module.convs_pred, feats)]
    for ours, theirs in zip(runtime.run(batch), expected, strict=True):
        assert_maps_close(ours, theirs)
    assert runtime.metadata['maps']['anchors'][0][0] == [10, 13]
    with pytest.raises(ValueError, match='raw maps'):
        runtime.detect([PHOTO])


def test_metadata_is_enough_to_run_the_file(detectors, tmp_path):
    _, path, options = write(detectors, 'yolov8', tmp_path)
    metadata = OnnxDetector(path).metadata
    assert metadata['config'] == 'yolov8_n_syncbn_fast_8xb16-500e_coco.py'
    assert metadata['input_size'] == list(SIZE) and metadata['strides'] == [8, 16, 32]
    assert (metadata['channel_order'], metadata['mean'], metadata['std']) == ('rgb', [0] * 3, [255] * 3)
    assert metadata['resize'] == {
        'mode': 'letterbox',
        'pad_value': [114] * 3,
        'interpolation': 'area or bilinear',
        'scale_up': True,
    }
    assert metadata['nms'] == dict(options.nms, multi_label=True, class_agnostic=False)
    entries = {entry.key: json.loads(entry.value) for entry in onnx.load(str(path)).metadata_props}
    assert entries == metadata


@pytest.mark.parametrize('family', ['yolov8', 'yolox', 'ppyoloe', 'rtmdet'])
@pytest.mark.parametrize('shape', [(427, 640), (100, 60), (300, 300)])
def test_images_are_fitted_as_the_test_pipeline_does(family, shape):
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    import mmyolo.datasets  # noqa: F401

    cfg = Config.fromfile(ROOT / 'configs' / f'{FAMILIES[family]}.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    steps = [step for step in pipeline if 'Load' not in step.type and 'Pack' not in step.type]
    image = cv2.resize(PHOTO, shape[::-1])
    with DefaultScope.overwrite_default_scope('mmyolo'):
        results = Compose(steps)({'img': image, 'img_shape': shape, 'ori_shape': shape})
    size = results['img'].shape[:2]
    one = fit(image, size, resize_of(cfg))
    np.testing.assert_array_equal(one.pixels, results['img'])
    assert one.scale == pytest.approx(results['scale_factor'])
    top, _, left, _ = results.get('pad_param', (0, 0, 0, 0))
    assert one.shift == (left, top)


def test_norms_are_folded_once_where_convolutions_are_shared(detectors):
    torch.manual_seed(0)
    first, second = (ConvModule(4, 4, 3, norm_cfg={'type': 'BN'}) for _ in range(2))
    second.conv = first.conv
    pair = nn.ModuleList([first, second]).eval()
    for module in pair:
        module.norm.running_mean.uniform_(-1, 1)
        module.norm.running_var.uniform_(0.5, 2)
    images = torch.rand(1, 4, 8, 8)
    before = [module(images) for module in pair]
    fold_batch_norms(pair)
    assert isinstance(first.norm, nn.Identity) and first.conv is not second.conv
    for module, expected in zip(pair, before):
        assert_maps_close(module(images), expected, LAYER)


def test_implicit_knowledge_is_folded():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.ReLU(), ImplicitA(3, std=1.0), nn.Conv2d(3, 5, 1), ImplicitM(5, std=1.0))
    images = torch.rand(2, 3, 4, 4)
    expected = layers(images)
    fold_implicit_knowledge(layers)
    assert [type(layer) for layer in layers] == [nn.ReLU, nn.Conv2d]
    assert_maps_close(layers(images), expected, LAYER)


def test_the_detector_itself_stays_as_it_is(detectors):
    model, _, _ = detectors('yolov8')
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert len(folded(model).state_dict()) < len(before)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_match_pairs_by_class_and_place():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1])
    other = boxes + torch.tensor([[0.5], [0.25], [0.0]])
    assert match(boxes, scores, labels, other[[1, 0, 2]], scores[[1, 0, 2]], labels) == (3, 0.5, 0.0)
    assert match(boxes, scores, labels, boxes, scores, torch.tensor([0, 1, 1]))[0] == 2
    assert match(boxes[:0], scores[:0], labels[:0], boxes, scores, labels) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    'options, words',
    [
        ({'form': 'tensorrt9'}, 'raw, onnx, tensorrt8, tensorrt7'),
        ({'opset': 9}, '11 to 20'),
        ({'keep_topk': 0}, 'at least 1'),
        ({'iou_threshold': 1.5}, '0 to 1'),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ValueError, match=words):
        ExportOptions(**options)


def test_wrong_size_names_the_stride(detectors):
    with pytest.raises(ValueError, match='not a multiple of 32'):
        export_onnx(detectors('yolov8')[0], 'x.onnx', ExportOptions(image_size=(100, 128)))


def test_the_tool_writes_and_checks(detectors, tmp_path, capsys):
    model, threshold, size = detectors('yolov8')
    meta = {'dataset_meta': {'classes': tuple(f'c{index}' for index in range(80))}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, tmp_path / 'weights.pth')
    config = str(ROOT / 'configs' / f'{FAMILIES["yolov8"]}.py')
    arguments = [
        config,
        str(tmp_path / 'weights.pth'),
        '--work-dir',
        str(tmp_path / 'out'),
        '--img-size',
        *map(str, size),
    ]
    tool = load_tool('export')
    assert tool.main([*arguments, '--score-threshold', str(threshold), '--keep-topk', '40']) == 0
    printed = capsys.readouterr().out
    assert 'weights.onnx' in printed and '1 x 40 x 4' in printed and 'yes' in printed
    assert OnnxDetector(tmp_path / 'out/weights.onnx').classes[3] == 'c3'
    assert tool.main([*arguments, '--backend', 'tensorrt8']) == 0
    assert 'not compared' in capsys.readouterr().out
    assert tool.main([*arguments[:4], '--img-size', '100', '128']) == 2
    assert '--img-size' in capsys.readouterr().err


def test_the_tool_fails_where_numbers_differ(detectors, tmp_path, monkeypatch):
    model, threshold, size = detectors('yolov8')
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, tmp_path / 'weights.pth')
    tool = load_tool('export')
    monkeypatch.setattr('mmyolo.tools.export.check.MAX_SCORE_DIFFERENCE', -1.0)
    config = str(ROOT / 'configs' / f'{FAMILIES["yolov8"]}.py')
    arguments = [
        config,
        str(tmp_path / 'weights.pth'),
        '--out',
        str(tmp_path / 'x.onnx'),
        '--img-size',
        *map(str, size),
    ]
    assert tool.main([*arguments, '--score-threshold', str(threshold)]) == 1
    assert tool.main([*arguments, '--score-threshold', str(threshold), '--no-check']) == 0
