"""Loading model packages, and boxes equal to those of one `inference_detector` call per image."""

import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config

from tests.closeness import assert_same_detections
from tmi.errors import TaskError
from tmi.families.dense_predictor import DensePredictor
from tmi.families.image_size import pixel_transforms
from tmi.inference.images import Batch, Image, Letterbox
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.inference.worker import images_per_pass, predict_batch, try_model
from tmi.zoo.weights import InferenceModel
from ymir.errors import code_of

from .sandbox import CLASS_NAMES

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def package(model_files):
    return read_package(InferenceModel(*model_files))


@pytest.fixture(scope='module')
def batch(package, images):
    """Pixels (n, H, W, 3) and metas of some images."""
    letterbox = Letterbox(pixel_transforms(package.pipeline))
    loaded = [letterbox(index, str(path)) for index, path in enumerate(images[:8])]
    return torch.stack([torch.from_numpy(pixels) for _, pixels in loaded]), [image.meta for image, _ in loaded]


def test_same_boxes_as_single_calls(model_files, package, images, batch):
    config = Config.fromfile(model_files[1])
    config.model.test_cfg.nms.iou_threshold = 0.6
    single = init_detector(config, str(model_files[0]), device='cpu', palette='random')
    found = DensePredictor(build_model(package, CLASS_NAMES), CPU, 0.2, 0.6).predict(*batch)
    assert sum(len(item.scores) for item in found) > 40
    for item, path in zip(found, images):
        expected = inference_detector(single, str(path)).pred_instances
        expected = expected[expected.scores > 0.2]
        assert_same_detections(item, expected)


@pytest.mark.parametrize('chosen', [[0], [3], [7, 6, 5, 4, 3, 2, 1, 0], [2, 0, 5]])
def test_boxes_do_not_depend_on_the_company_in_a_batch(package, batch, chosen):
    pixels, metas = batch
    detector = DensePredictor(build_model(package, CLASS_NAMES), CPU, 0.1, 0.65)

    def predict(places):
        candidates = [Image(place, str(place), metas[place]) for place in places]
        return predict_batch(detector, Batch(candidates, [(list(range(len(places))), pixels[places])]), 8)[0]

    together = predict(list(range(8)))
    assert predict(chosen) == [together[place] for place in chosen]


def test_images_per_pass():
    gpu = torch.device('cuda')
    assert [images_per_pass(CPU, 8, side, side) for side in (96, 192, 320, 416, 640, 1280)] == [8, 8, 4, 2, 1, 1]
    assert [images_per_pass(CPU, batch_size, 96, 96) for batch_size in (1, 2, 3, 7)] == [1, 2, 2, 4]
    assert images_per_pass(gpu, 16, 640, 640) == 16


@pytest.mark.parametrize(
    'error',
    [torch.OutOfMemoryError('too small'), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()],
)
def test_memory_too_small_halves_the_batch(package, batch, monkeypatch, error):
    detector = DensePredictor(build_model(package, CLASS_NAMES), CPU, 0.2, 0.65)
    expected = detector.predict(*batch)
    sizes = []
    predict = detector.predict_once

    def limited(pixels, metas):
        sizes.append(len(metas))
        if len(metas) > 3:
            raise error
        return predict(pixels, metas)

    monkeypatch.setattr(detector, 'predict_once', limited)
    found = detector.predict(*batch)
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    for one, other in zip(found, expected, strict=True):
        assert_same_detections(one, other)
    monkeypatch.setattr(detector, 'predict_once', lambda pixels, metas: torch.empty(2**60))  # more than any machine has
    with pytest.raises(RuntimeError, match='allocate memory') as caught:
        detector.predict(*batch)
    assert code_of(caught.value) == 300103


def test_config_from_the_checkpoint(model_files, package):
    assert read_package(InferenceModel(model_files[0], None)).model == package.model


def test_weights_without_any_config(tmp_path, package):
    torch.save(package.state_dict, tmp_path / 'a.pth')
    with pytest.raises(TaskError, match='No config belongs to .*a.pth.*train it with this image') as caught:
        read_package(InferenceModel(tmp_path / 'a.pth', None))
    assert code_of(caught.value) == 300004


def test_other_number_of_classes(package):
    with pytest.raises(TaskError, match='trained for 3 classes, and class_names in config.yaml has 2: a, b.') as caught:
        build_model(package, ['a', 'b'])
    assert code_of(caught.value) == 300004


def test_weights_of_another_model(package):
    state = dict(package.state_dict)
    state.pop('backbone.stem.conv.weight')
    with pytest.raises(TaskError, match='1 tensors are missing, the first is backbone.stem.conv.weight') as caught:
        build_model(type(package)(state, package.model, package.pipeline, package.source), CLASS_NAMES)
    assert code_of(caught.value) == 300004
    state['backbone.stem.conv.weight'] = torch.zeros(2, 3, 3, 3)
    with pytest.raises(TaskError, match='do not fit their config: size mismatch for backbone.stem') as caught:
        build_model(type(package)(state, package.model, package.pipeline, package.source), CLASS_NAMES)
    assert code_of(caught.value) == 300004


@pytest.mark.parametrize(
    'text, message',
    [
        ('model = dict(type="YOLODetector", backbone=dict(type="os.system"))', "names 'os.system' as a type"),
        ('test_pipeline = []', 'describes no model'),
        ('model = dict(type="YOLODetector")', 'has no test pipeline'),
        ('import os', 'holds code'),
    ],
)
def test_configs_that_are_rejected(tmp_path, model_files, text, message):
    (tmp_path / 'a.py').write_text(text)
    with pytest.raises(TaskError, match=message) as caught:
        read_package(InferenceModel(model_files[0], tmp_path / 'a.py'))
    assert code_of(caught.value) == 300004


def test_config_of_an_unknown_model(tmp_path, model_files):
    (tmp_path / 'a.py').write_text(
        'model = dict(type="NoSuchDetector")\ntest_pipeline = [dict(type="LetterResize", scale=(96, 96))]'
    )
    with pytest.raises(TaskError, match='NoSuchDetector') as caught:
        build_model(read_package(InferenceModel(model_files[0], tmp_path / 'a.py')), CLASS_NAMES)
    assert code_of(caught.value) == 300004


@pytest.mark.parametrize(
    'setting, message',
    [
        ({'nms': {'type': 'nms', 'colour': 1}}, 'colour'),
        ({'nms_pre': 1.5}, 'slice indices'),
        ({'max_per_img': 1.5}, 'slice indices'),
        ({'min_bbox_size': 'a'}, 'not supported'),
    ],
)
@pytest.mark.parametrize('score_thr', [0.2, 0.999999])
def test_settings_of_boxes_are_tried_also_where_the_test_picture_shows_none(package, setting, message, score_thr):
    model = build_model(package, CLASS_NAMES)
    detector = DensePredictor(model, CPU, score_thr, 0.65)
    letterbox = Letterbox(pixel_transforms(package.pipeline))
    try_model(detector, letterbox, package.source)
    assert detector.test_cfg.score_thr == score_thr
    detector.test_cfg.update(setting)
    with pytest.raises(TaskError, match=f'cannot predict a test picture: .*{message}') as caught:
        try_model(detector, letterbox, package.source)
    assert code_of(caught.value) == 300004
