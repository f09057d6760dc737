"""ViDT as an ONNX file: the same boxes as PyTorch, of the tool and as the engine of a task."""

import numpy as np
import pytest
import torch

from tests.ymir.infer.sandbox import write_image
from tests.ymir.vidt_models import random_model, small_config
from tmi.families import family_of
from tmi.inference.engines.choice import as_array, export_network
from tmi.inference.engines.sessions import SESSIONS
from tmi.inference.images import Letterbox

CPU = torch.device('cpu')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['vidt_nano', 'vidt_plus_nano', 'vidt_wo_neck_nano'])
@pytest.mark.parametrize('with_features', [False, True])
@pytest.mark.parametrize('engine', SESSIONS)
def test_an_engine_gives_the_same_at_all_sizes(tmp_path, engine, with_features, name):
    config = small_config(name, layers=2)
    family = family_of(config.model)
    predictor = family.predictor(random_model(config), CPU, 0.0, 0.65)
    letterbox = Letterbox(family.pixel_transforms(config.test_dataloader.dataset.pipeline))
    images = [write_image(tmp_path / f'{n}.png', *shape, seed=n) for n, shape in enumerate([(120, 80), (80, 120)])]
    filled = [letterbox(0, str(path)) for path in images]
    example = predictor.network_input(torch.from_numpy(filled[0][1])[None])
    export_network(predictor.network(with_features), example, tmp_path / 'a.onnx')
    session = SESSIONS[engine](tmp_path / 'a.onnx', 1)
    for image, pixels in filled:
        ways = []
        for way in (None, lambda inputs: [torch.from_numpy(output) for output in session(as_array(inputs))]):
            predictor.engine = way
            call = predictor.inspect if with_features else predictor.predict
            ways += call(torch.from_numpy(pixels)[None], [image.meta])
        found, other = ((way.detections if with_features else way) for way in ways)
        assert len(found.scores) == len(other.scores) > 5
        np.testing.assert_allclose(found.scores, other.scores, atol=1e-4)
        assert (found.boxes[:, None] - other.boxes).abs().amax(2).amin(1).max() < 1e-3  # equal scores in any order
        if with_features:
            torch.testing.assert_close(ways[0].embedding, ways[1].embedding, rtol=0, atol=1e-3)
            np.testing.assert_allclose(ways[0].spread.sort()[0], ways[1].spread.sort()[0], atol=1e-3)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ('vidt_plus_nano', 'vidt_wo_neck_nano')]


@pytest.mark.parametrize('name', ['vidt_nano', *SLOW])
def test_a_file_of_the_tool_gives_the_boxes_of_pytorch(tmp_path, name):
    from mmyolo.tools.export.detections import check_detections, export_detections
    from vidt.export import OUTPUTS, ExportedDetector

    model = random_model(small_config(name))
    network = ExportedDetector(model)
    export_detections(network, tmp_path / 'a.onnx', (64, 96), OUTPUTS)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    report = check_detections(network, model.data_preprocessor, tmp_path / 'a.onnx', (64, 96), image, 0.01)
    assert report.passed and report.boxes > 10 and report.box_difference < 1e-3 and report.score_difference < 1e-3
    with torch.no_grad():
        next(model.bbox_embed.parameters()).mul_(1.5)
        for parameter in model.bbox_embed.parameters():
            parameter.mul_(1.5)
    assert not check_detections(network, model.data_preprocessor, tmp_path / 'a.onnx', (64, 96), image, 0.01).passed
