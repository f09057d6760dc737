"""Engines in place of torch on a CPU: the same boxes, one engine for all processes, torch where one cannot be used."""

import json
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.tools.random_weights import calibrate_batch_norms, draw_weights, temper_boxes
from mmyolo.utils import register_all_modules
from tests.closeness import assert_same_detections
from tests.tiny_family.family import GridPredictor
from tmi.families.dense_predictor import DensePredictor
from tmi.families.detections import Detections
from tmi.inference import engines
from tmi.inference.engines import ENGINE_FOLDER, PACKAGES, TORCH, agreement, choice, usable_engine
from tmi.inference.engines.agreement import box_difference, describe_disagreement
from tmi.inference.engines.choice import NETWORK_FILE, choose_engine, export_network, use_engine
from tmi.inference.engines.sessions import SESSIONS
from tmi.inference.engines.trial import seconds_of_a_pass
from tmi.inference.image_list import write_image_list
from tmi.inference.images import Batch, Image
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.inference.plan import make_plan
from tmi.inference.run import predict
from tmi.inference.shards import merge_shards
from tmi.inference.worker import first_pass, predict_shard
from tmi.mining import ALGORITHMS
from tmi.paths import PROJECT_ROOT
from tmi.settings import InferenceSettings, MiningSettings
from tmi.zoo.models import find_model
from tmi.zoo.weights import InferenceModel
from ymir.params import InferParams, load_params

from .sandbox import CLASS_NAMES, IMAGE_SIZE
from .test_families import make_predictor

CPU = torch.device('cpu')
SCORE_THR = 0.1
DEFAULT_TIER = ('yolov8_n', 'yolox_tiny')
ALL_MODELS = (
    *('yolov5_n', 'yolov5u_n', 'yolov6_n', 'yolov6_v3_n', 'yolov7_tiny', 'ppyoloe_plus_s', 'ppyoloe_s', 'rtmdet_tiny'),
    'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py',
    'rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco.py',
)


@pytest.fixture(scope='module')
def model_files(model_files, tmp_path_factory):
    """The small model, with logits of box sides as small as trained ones: large ones make rounding visible in boxes."""
    folder = tmp_path_factory.mktemp('calm')
    model = build_model(read_package(InferenceModel(*model_files)), CLASS_NAMES)
    temper_boxes(model, torch.rand(4, 3, IMAGE_SIZE, IMAGE_SIZE))
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / 'a.pth')
    return [folder / 'a.pth', model_files[1]]


@pytest.fixture
def plan(model_files, images):
    """Make the plan of an inference with an engine; keywords change its settings."""

    def make(engine='onnxruntime', num_images=len(images), mining=None, **settings):
        values = {
            'class_names': CLASS_NAMES,
            'model_params_path': list(map(str, model_files)),
            'engine': engine,
            **settings,
        }
        return make_plan(InferenceSettings(**values), 'images', num_images, '', SCORE_THR, mining)

    return make


@pytest.fixture
def predictor(model_files):
    return make_predictor(model_files, SCORE_THR, 0.65)[0]


@pytest.fixture(scope='module')
def loaded(model_files, images):
    """Pixels (8, H, W, 3) and metas of some images."""
    _, letterbox = make_predictor(model_files, SCORE_THR, 0.65)
    found = [letterbox(index, str(path)) for index, path in enumerate(images[:8])]
    return torch.stack([torch.from_numpy(pixels) for _, pixels in found]), [image.meta for image, _ in found]


def engine_of(predictor, plan, folder, pixels):
    """Choose an engine for a predictor that has predicted once."""
    predictor.predict(pixels[:1], plain_metas(pixels[:1]))
    return choose_engine(predictor, plan, folder, pixels)


def plain_metas(pixels):
    return [{'ori_shape': tuple(pixels.shape[1:3]), 'scale_factor': (1.0, 1.0)}] * len(pixels)


def export_other_weights(network, inputs, file):
    """Export a network whose first convolution is not the one that was asked for."""
    export_network(network, inputs, file)
    model = onnx.load(str(file))
    name = next(node.input[1] for node in model.graph.node if node.op_type == 'Conv')
    weight = next(one for one in model.graph.initializer if one.name == name)
    values = onnx.numpy_helper.to_array(weight) * np.float32(1.5)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(file))


@pytest.mark.parametrize('engine', SESSIONS)
def test_an_engine_gives_boxes_and_evidence_of_torch(engine, predictor, plan, loaded, tmp_path):
    pixels, metas = loaded
    settings = MiningSettings(class_names=CLASS_NAMES)
    algorithm = ALGORITHMS['aldd'](settings)
    boxes = predictor.predict(pixels, metas)
    evidence = predictor.inspect(pixels, metas, algorithm.measure, algorithm.with_class_maps)
    use_engine(predictor, plan(engine, mining=settings), tmp_path, 0, pixels)
    assert json.loads((tmp_path / ENGINE_FOLDER / 'choice.json').read_text())['engine'] == engine
    calls, run = [], predictor.engine
    predictor.engine = lambda inputs: calls.append(len(inputs)) or run(inputs)
    assert sum(len(one.scores) for one in boxes) > 40
    for one, expected in zip(predictor.predict(pixels, metas), boxes):
        assert box_difference(one, expected, SCORE_THR) < 1e-2
    for one, expected in zip(predictor.inspect(pixels, metas, algorithm.measure, algorithm.with_class_maps), evidence):
        assert_same_detections(one.detections, expected.detections)
        torch.testing.assert_close(one.embedding, expected.embedding, rtol=0, atol=1e-3)
        assert one.value == pytest.approx(expected.value, abs=1e-3)
        if len(one.detections.scores) == len(expected.detections.scores):
            torch.testing.assert_close(one.class_scores, expected.class_scores, rtol=0, atol=1e-3)
            torch.testing.assert_close(one.spread, expected.spread, rtol=0, atol=1e-2)
    assert calls == [len(pixels)] * 2


@pytest.mark.parametrize('name', [*DEFAULT_TIER, *(pytest.param(name, marks=pytest.mark.slow) for name in ALL_MODELS)])
def test_networks_of_all_families_agree(name, tmp_path, monkeypatch):
    register_all_modules()
    # Random weights make more of rounding than trained ones do.
    monkeypatch.setattr(DensePredictor, 'box_tolerance', 0.1)
    monkeypatch.setattr(agreement, 'MAX_OUTPUT_DIFFERENCE', 0.01)  # other weights differ by more than 0.3
    path = PROJECT_ROOT / 'configs' / name if name.endswith('.py') else find_model(name).config
    config = Config.fromfile(path)
    config.model.backbone.pop('init_cfg', None)
    model = MODELS.build(config.model).eval()
    draw_weights(model)
    torch.manual_seed(0)
    calibrate_batch_norms(model, torch.rand(4, 3, 64, 96))  # without it the outputs hardly depend on the first layers
    predictor = DensePredictor(model, CPU, -1, 0.65)
    predictor.test_cfg.update(max_per_img=50, nms_pre=50, min_bbox_size=-1)
    pixels = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    predictor.predict(pixels, plain_metas(pixels))
    network, inputs = predictor.network(with_features=True), predictor.network_input(pixels)
    export_network(network, inputs, tmp_path / 'good.onnx')
    export_other_weights(network, inputs, tmp_path / 'bad.onnx')
    for start in SESSIONS.values():
        good, bad = (start(tmp_path / f'{kind}.onnx', 1) for kind in ('good', 'bad'))
        for shape in (pixels.shape, (3, 128, 64, 3)):  # not the size that it was exported with, too
            other = torch.randint(0, 256, shape, dtype=torch.uint8)
            array = predictor.network_input(other).contiguous().numpy()
            outputs = [torch.from_numpy(output) for output in good(array)]
            assert describe_disagreement(predictor, network, other, outputs, -1) == ''
        outputs = [torch.from_numpy(output) for output in bad(array)]
        assert 'than torch' in describe_disagreement(predictor, network, other, outputs, -1)


def test_no_engine_reports_its_use(predictor, loaded, tmp_path):
    predictor.predict(*loaded)
    export_network(predictor.network(False), predictor.network_input(loaded[0][:1]), tmp_path / 'a.onnx')
    for start in SESSIONS.values():
        start(tmp_path / 'a.onnx', 1)
    assert sys.modules['openvino_telemetry'] is None and not [name for name in sys.modules if 'telemetry.' in name]


SIGNAL_AFTER_SESSIONS = """
import faulthandler, gc, os, signal, sys
from tmi.inference.engines.sessions import SESSIONS

faulthandler.enable()  # which gives signal handlers a stack of their own, as pytest does
first, second = (SESSIONS[sys.argv[2]](sys.argv[1], 1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print('handled'))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize('engine', SESSIONS)
def test_signals_are_handled_after_sessions_have_ended(engine, predictor, loaded, tmp_path):
    predictor.predict(*loaded)
    export_network(predictor.network(False), predictor.network_input(loaded[0][:1]), tmp_path / 'a.onnx')
    command = [sys.executable, '-c', SIGNAL_AFTER_SESSIONS, tmp_path / 'a.onnx', engine]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'handled\n'), done.stderr


@pytest.mark.parametrize('engine', SESSIONS)
def test_numbers_do_not_depend_on_threads_and_company(engine, predictor, loaded, tmp_path):
    pixels, metas = loaded
    predictor.predict(pixels, metas)
    network, inputs = predictor.network(with_features=True), predictor.network_input(pixels)
    export_network(network, inputs, tmp_path / 'a.onnx')
    one, two = (SESSIONS[engine](tmp_path / 'a.onnx', threads) for threads in (1, 2))
    array = inputs.contiguous().numpy()
    expected = one(array)
    for run, images in ((two, slice(None)), (one, slice(None, None, -1)), (two, slice(3, 4)), (one, slice(2, 7))):
        for output, other in zip(expected, run(array[images].copy())):
            assert np.array_equal(output[images], other)


def test_a_network_with_other_weights_is_not_used(predictor, plan, loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(choice, 'export_network', export_other_weights)
    monkeypatch.setattr(choice, 'WORTH_SECONDS', 0)
    found = engine_of(predictor, plan('auto'), tmp_path, loaded[0])
    assert found.engine == TORCH and all(f'{engine} gives other' in found.reason for engine in SESSIONS)


def test_boxes_that_move_or_go_are_noticed():
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 5, 20, 20], [0, 0, 9, 9]])
    found = Detections(boxes, torch.tensor([0.9, 0.5, 0.20005]), torch.tensor([0, 1, 1]))
    other = Detections(boxes[:2] + 0.0004, found.scores[:2] + 1e-5, found.labels[:2].clone())
    assert box_difference(found, other, 0.2) == pytest.approx(0.0004, rel=1e-2)  # the third is at the threshold
    assert box_difference(found, other, 0.1) == float('inf') == box_difference(other, found, 0.1)
    other.boxes[1, 3] += 0.01
    assert box_difference(found, other, 0.2) == pytest.approx(0.0104, rel=1e-2)
    for field, value in (('scores', 0.6), ('labels', 2)):
        getattr(other, field)[1] = value
        assert box_difference(found, other, 0.2) == float('inf')
        getattr(other, field)[1] = getattr(found, field)[1]
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    assert box_difference(nothing, nothing, 0.2) == 0 and box_difference(nothing, found, 0.2) == float('inf')


@pytest.mark.parametrize(
    'code, reason',
    [
        ('import os, signal; os.kill(os.getpid(), signal.SIGILL)', 'was ended by SIGILL while it was tried'),
        ('raise OSError("libtbb.so.12 is not there")', 'fails: OSError: libtbb.so.12 is not there'),
        ('import time; time.sleep(60)', 'did not end within 0.5 seconds'),
    ],
)
def test_an_engine_that_crashes_ends_its_trial_alone(
    code, reason, predictor, plan, loaded, tmp_path, monkeypatch, caplog
):
    script = tmp_path / 'engine.py'
    script.write_text(f'#!{sys.executable}\n{code}')
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))
    if 'sleep' in code:
        monkeypatch.setattr(choice, 'TRIAL_LIMIT', 0.5)
        monkeypatch.setattr(choice, 'WAIT_SECONDS', 0.1)
    pixels, metas = loaded
    expected = predictor.predict(pixels, metas)
    signs = []
    with caplog.at_level(logging.WARNING, 'tmi'):
        use_engine(predictor, plan('openvino'), tmp_path, 0, pixels, lambda: signs.append(1))
    assert len(signs) >= (4 if 'sleep' in code else 1)  # one that waits long is not taken for one that stands still
    assert caplog.messages == [f'engine is openvino, torch is used: openvino {reason}']
    assert predictor.engine is None and torch.equal(predictor.predict(pixels, metas)[0].boxes, expected[0].boxes)


def test_a_network_that_cannot_be_exported(predictor, plan, loaded, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(choice, 'trace_to_onnx', full)
    found = engine_of(predictor, plan(), tmp_path / 'a', loaded[0])
    assert found == (TORCH, 'the network cannot be exported (OSError: [Errno 28] No space left on device)')
    grid = GridPredictor(torch.nn.Identity(), CPU, 0.5)
    grid.network_input = predictor.network_input
    assert choose_engine(grid, plan(), tmp_path, loaded[0]).reason.endswith('of model cannot be exported')


def test_an_export_that_was_killed_leaves_nothing_that_is_used(predictor, plan, loaded, tmp_path, monkeypatch):
    predictor.predict(*loaded)

    def killed(network, inputs, file):
        file.write_bytes(b'half')
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(choice, 'export_network', killed)
        process = os.fork()
        if not process:
            try:
                torch.set_num_threads(1)  # the threads of its parent are not in a fork, which would wait for them
                use_engine(predictor, plan(), tmp_path, 0, loaded[0])
            finally:
                os._exit(1)  # else it would go on as a second run of the tests
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / ENGINE_FOLDER).iterdir()] == [NETWORK_FILE]

    class Waited(Exception):
        pass

    def wait():
        raise Waited

    with pytest.raises(Waited):  # others wait for a choice, not for a file with a network
        use_engine(predictor, plan(), tmp_path, 1, loaded[0], wait)
    use_engine(predictor, plan(), tmp_path, 0, loaded[0])
    assert predictor.engine is not None


def test_auto_takes_the_fastest_that_agrees(predictor, plan, loaded, tmp_path, monkeypatch):
    assert 'which trying others does not repay' in engine_of(predictor, plan('auto'), tmp_path, loaded[0]).reason
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(choice, 'WORTH_SECONDS', 0)
    monkeypatch.setattr(choice, 'MEASURE_SECONDS', 0.01)
    found = engine_of(predictor, plan('auto'), tmp_path, loaded[0])
    assert found.reason.startswith('speed of the network, torch being 1: onnxruntime ') and 'openvino ' in found.reason
    for seconds, fastest in (((3, 2, 1), 'openvino'), ((3, 1, 2), 'onnxruntime'), ((1, 2, 3), TORCH)):
        assert choice._best('auto', seconds[0], dict(zip(SESSIONS, seconds[1:])), []).engine == fastest
    assert choice._best('auto', 1.0, {'openvino': 0.99}, []).engine == TORCH  # not more than measuring tells apart
    found = choice._best('auto', 1.0, {'openvino': 0.5}, ['onnxruntime fails'])
    assert found == ('openvino', 'speed of the network, torch being 1: openvino 2.00; onnxruntime fails')


def test_the_time_of_a_pass_is_the_median(monkeypatch):
    clock = iter([0, 0, 3, 3, 10, 10, 12, 12, 12, 14, 14])
    monkeypatch.setattr('tmi.inference.engines.trial.time.perf_counter', lambda: next(clock))
    calls = []
    assert seconds_of_a_pass(lambda: calls.append(1), 13) == 2.5 and len(calls) == 5


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino', 'auto'])
@pytest.mark.parametrize(
    'gpus, precision, reason',
    [
        ([0], 'auto', 'engines other than torch run on the CPU, and this task has GPUs'),
        ([], 'bf16', 'engines other than torch compute in fp32 here, and precision is bf16'),
        ([], 'auto', None),
    ],
)
def test_what_a_task_can_use(engine, gpus, precision, reason, caplog):
    with caplog.at_level(logging.INFO, 'tmi'):
        assert usable_engine(engine, gpus, precision) == (TORCH if reason else engine)
    assert caplog.messages == ([f'engine is {engine}, torch is used: {reason}'] if reason else [])
    caplog.clear()
    assert usable_engine(TORCH, gpus, precision) == TORCH and not caplog.messages


def test_a_package_that_is_missing_is_a_sentence(plan, monkeypatch, caplog):
    find_spec = engines.find_spec
    monkeypatch.setattr(engines, 'find_spec', lambda name: None if name == 'openvino' else find_spec(name))
    assert plan('openvino').engine == TORCH and plan('auto').engine == 'auto'
    assert caplog.messages == [
        'engine is openvino, torch is used: the package openvino is not installed (pip install openvino)'
    ]
    assert engines.installed_engines() == ['onnxruntime']
    monkeypatch.setattr(engines, 'find_spec', lambda name: None)
    assert plan('onnxruntime').engine == plan('auto').engine == TORCH
    assert 'onnx and onnxruntime is not installed (pip install onnx onnxruntime)' in caplog.text
    assert set(PACKAGES) == set(SESSIONS)


@pytest.mark.integration
@pytest.mark.parametrize('engine', ['onnxruntime', pytest.param('openvino', marks=pytest.mark.slow)])
def test_any_number_of_processes_gives_the_same(engine, plan, images, tmp_path, monkeypatch):
    """Boxes, and what mining measures and asks of the same pass."""
    written = []
    for processes in (1, 2):
        monkeypatch.setenv('YMIR_CPU_PROCESSES', str(processes))
        folder = tmp_path / str(processes)
        folder.mkdir()
        write_image_list(map(str, images[:16]), folder)
        one = plan(engine, num_images=16, mining=MiningSettings(class_names=CLASS_NAMES, mining_algorithm='aldd'))
        for rank in range(processes):
            predict_shard(one, folder, rank)
        written.append(list(merge_shards(folder, processes, 16)))
    assert written[0] == written[1] and sum(len(one.boxes) for one in written[0]) > 50


@pytest.mark.slow
@pytest.mark.integration
def test_a_task_with_an_engine(predictor, model_files, images, tmp_path, capfd):
    values = {'class_names': CLASS_NAMES, 'model_params_path': list(map(str, model_files)), 'conf_threshold': SCORE_THR}
    one, other = (
        make_plan(load_params(InferParams, {**values, 'engine': engine}), 'images', 12, '', SCORE_THR)
        for engine in SESSIONS
    )
    found = list(predict(one, map(str, images[:12]), tmp_path / 'a', lambda done: None))
    assert 'engine is onnxruntime, onnxruntime is used' in ''.join(capfd.readouterr())
    assert not (tmp_path / 'a' / ENGINE_FOLDER).exists()
    assert one.covers(one) and not one.covers(other)
    letterbox = make_predictor(model_files, SCORE_THR, 0.65)[1]
    for item in found:
        image, pixels = letterbox(item.index, item.path)
        (expected,) = predictor.predict(torch.from_numpy(pixels)[None], [image.meta])
        boxes, scores, labels = (torch.tensor(part) for part in (item.boxes, item.scores, item.labels))
        if scores.numel():
            assert box_difference(Detections(boxes, scores, labels), expected, SCORE_THR) < 0.01
    assert sum(len(item.boxes) for item in found) > 50


def test_where_no_image_can_be_read_the_test_picture_is_tried(model_files, loaded):
    predictor, letterbox = make_predictor(model_files, SCORE_THR, 0.65)
    unreadable = Batch([Image(0, 'a', problem='no image')], [])
    for batch in (None, unreadable):
        pixels = first_pass(batch, CPU, 8, letterbox)
        assert pixels.shape == (1, *loaded[0].shape[1:]) and pixels.float().std() > 20
    pixels, metas = loaded
    batch = Batch([Image(place, str(place), meta) for place, meta in enumerate(metas)], [([0, 1, 2], pixels[:3])])
    first = first_pass(batch, CPU, 8, letterbox)
    assert torch.equal(first[:3], pixels[:3]) and torch.equal(first[3:], pixels[2:3].expand(5, -1, -1, -1))
