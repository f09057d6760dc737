"""The executor predicts what the library's own inference predicts, for a model of every family and their pipelines."""

import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.tools.random_weights import calibrate_batch_norms
from mmyolo.utils import register_all_modules
from tests.closeness import assert_same_detections
from tmi.families.dense import DenseFamily
from tmi.families.dense_predictor import DensePredictor, Normalize
from tmi.families.image_size import pixel_transforms, set_test_size
from tmi.inference.images import Letterbox
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.zoo.models import find_model
from tmi.zoo.weights import InferenceModel

from .sandbox import CLASS_NAMES

SIZE = (128, 96)
MODELS_OF_FAMILIES = [
    'yolov5_n',
    'yolov5u_n',
    'yolov6_n',
    'yolov6_v3_n',
    'yolov7_tiny',
    'yolov8_n',
    'yolox_tiny',
    'ppyoloe_plus_s',
    'ppyoloe_s',
    'rtmdet_tiny',
]


def write_package(folder, name, images, config=None):
    """Weights and config of a model, by its name or its config, whose random scores are spread over the images."""
    register_all_modules()
    config = config or Config.fromfile(find_model(name).config)
    config.model.backbone.pop('init_cfg', None)
    DenseFamily().set_classes(config.model, len(CLASS_NAMES))
    set_test_size(config.test_dataloader.dataset.pipeline, SIZE)
    set_test_size(config.test_pipeline, SIZE)
    config.test_dataloader.dataset.batch_shapes_cfg = None
    config.model.test_cfg.update(multi_label=False, max_per_img=50)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    letterbox = Letterbox(pixel_transforms(config.test_pipeline))
    pixels = [torch.from_numpy(letterbox(0, str(path))[1]) for path in images]
    height, width = SIZE[1], SIZE[0]
    inputs = torch.stack(
        [torch.nn.functional.pad(one, (0, 0, 0, width - one.shape[1], 0, height - one.shape[0])) for one in pixels]
    )
    calibrate_batch_norms(model, Normalize(model.data_preprocessor)(inputs))
    checkpoint, config_file = folder / f'{name}.pth', folder / f'{name}.py'
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, checkpoint)
    config.dump(config_file)
    return checkpoint, config_file


@pytest.fixture(scope='module', params=MODELS_OF_FAMILIES)
def files(request, images, tmp_path_factory):
    """Weights and config of a model of each family."""
    return write_package(tmp_path_factory.mktemp(request.param), request.param, images[:4])


def make_predictor(files, score_thr, iou_thr):
    package = read_package(InferenceModel(*files))
    model = build_model(package, CLASS_NAMES)
    return DensePredictor(model, torch.device('cpu'), score_thr, iou_thr), Letterbox(pixel_transforms(package.pipeline))


def test_same_boxes_as_single_calls(files, images):
    config = Config.fromfile(files[1])
    test_cfg = config.model.test_cfg
    predictor, letterbox = make_predictor(files, test_cfg.score_thr, test_cfg.nms.iou_threshold)
    single = init_detector(config, str(files[0]), device='cpu', palette='random')
    for index, path in enumerate(images[:4]):
        image, pixels = letterbox(index, str(path))
        (found,) = predictor.predict(torch.from_numpy(pixels)[None], [image.meta])
        expected = inference_detector(single, str(path)).pred_instances
        assert len(expected) > 5
        # 50 boxes of random weights are close to each other: some come or go where two overlap by just the threshold
        assert_same_detections(found, expected, doubtful=0.1)


def test_raw_maps_of_a_head_give_the_boxes_of_its_decoded_maps(files, images):
    predictor, letterbox = make_predictor(files, 0.05, 0.65)
    head = predictor.model.bbox_head
    calls = []
    for name in ('forward_raw', 'forward'):
        method = getattr(head, name)
        setattr(head, name, lambda *args, name=name, method=method: calls.append(name) or method(*args))
    for index, path in enumerate(images[:4]):
        image, pixels = letterbox(index, str(path))
        ways = []
        for raw in (True, False):
            predictor.takes_raw_maps = raw and predictor.takes_raw_maps
            calls.clear()
            ways += predictor.predict(torch.from_numpy(pixels)[None], [image.meta])
            assert calls[0] == ('forward_raw' if raw else 'forward')
        predictor.takes_raw_maps = True
        assert len(ways[0].scores) > 5
        # Equal bit for bit where this was written; the scores are everywhere, as both ways share the logits.
        assert_same_detections(*ways, score=1e-6, box=1e-3)
