"""Whole detectors against the numbers that the published implementation gives for the same weights, image and boxes.

Per config: names and shapes of the state; every feature and output map; predictions; losses and gradients of a step.
"""

import gzip
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from tests.mmyolo.goldens.seeded import sample, seeded_boxes, seeded_image, seeded_state

NUMBERS = sorted((Path(__file__).parent / 'numbers').glob('*.json.gz'))
CONFIGS = Path(__file__).parents[3] / 'configs'


def flatten(maps):
    """The tensors of nested sequences, in order."""
    return [maps] if isinstance(maps, torch.Tensor) else [tensor for part in maps for tensor in flatten(part)]


def build(golden):
    register_all_modules()
    hub = MessageHub.get_instance('goldens')
    MessageHub._instance_dict.move_to_end('goldens')
    hub.update_info('epoch', golden['epoch'])
    (config,) = CONFIGS.rglob(golden['config'])
    cfg = Config.fromfile(config)
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model)
    model.load_state_dict(seeded_state(model.state_dict(), golden['gain']))
    return cfg, model


def check_maps(maps, expected):
    for index, (level, numbers) in enumerate(zip(maps, expected, strict=True)):
        assert list(level.shape) == numbers['shape'], index
        atol = 2e-4 * max(numbers['absmax'], 1)
        torch.testing.assert_close(sample(level), torch.tensor(numbers['values']).double(), rtol=2e-3, atol=atol)
        assert level.double().std().item() == pytest.approx(numbers['std'], rel=2e-3, abs=2e-4), index


@pytest.mark.parametrize('path', NUMBERS, ids=lambda path: path.name[: -len('.json.gz')])
def test_detector_gives_published_numbers(path):
    golden = json.loads(gzip.decompress(path.read_bytes()))
    cfg, model = build(golden)
    size, head = golden['size'], model.bbox_head
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == golden['state']
    assert sum(parameter.numel() for parameter in model.parameters()) == golden['parameters']

    image = seeded_image(2, size, size)
    shapes = {'ori_shape': (size // 2, size // 2), 'batch_input_shape': (size, size)}
    meta = dict(shapes, scale_factor=(2.0, 2.0), pad_param=[0, 0, 0, 0])
    test_cfg = cfg.model.test_cfg
    test_cfg.update(score_thr=0.01, max_per_img=min(test_cfg.get('max_per_img', 300), 300))
    model.eval()
    with torch.no_grad():
        features = model.extract_feat(image)
        maps = head(features)
        check_maps(flatten(features), golden['features'])
        check_maps(flatten(maps), golden['outputs'])
        results = head.predict_by_feat(*maps, batch_img_metas=[meta, meta], cfg=test_cfg)
    for result, numbers in zip(results, golden['predictions'], strict=True):
        assert len(result) == pytest.approx(numbers['count'], abs=0.02 * max(numbers['count'], 50))
        assert result.scores[:20].tolist() == pytest.approx(numbers['scores'], rel=2e-3, abs=1e-4)

    model.train()
    boxes = seeded_boxes(2, size, size, head.num_classes)
    losses = head.loss(model.extract_feat(image), {'bboxes_labels': boxes, 'img_metas': [meta, meta]})
    sum(loss.sum() for loss in losses.values()).backward()
    assert losses.keys() == golden['losses'].keys()
    for name, numbers in golden['losses'].items():
        assert losses[name].sum().item() == pytest.approx(sum(numbers), rel=5e-3, abs=1e-4), name
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    norm = torch.stack([gradient.double().norm() for gradient in gradients.values()]).norm().item()
    assert norm == pytest.approx(golden['grad_norm'], rel=1e-2)
    for name, number in golden['grads'].items():
        assert gradients[name].double().norm().item() == pytest.approx(number, rel=2e-2, abs=1e-4 * norm), name
