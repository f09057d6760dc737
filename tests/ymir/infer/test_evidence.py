"""What mining asks of a model, against a plain computation from the maps of its head, for each kind of head."""

import math

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from tests.ymir.infer.test_families import make_predictor, write_package
from tmi.families.dense_predictor import DensePredictor
from tmi.families.evidence import mean_features
from tmi.inference.embeddings import EMBEDDING_SIZE, Embeddings, EmbeddingWriter
from tmi.inference.images import Batch
from tmi.inference.worker import predict_batch
from tmi.mining import ALGORITHMS
from tmi.paths import PROJECT_ROOT
from tmi.settings import MiningSettings

from .sandbox import CLASS_NAMES

# Objectness and anchors, distributions of box sides, neither, a deep head, distributions next to one-number sides.
HEADS = ('yolov5_n', 'yolov8_n', 'yolox_tiny', 'rtmdet_tiny', 'ppyoloe_plus_s')
INSTANCE_CONFIGS = (
    'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py',
    'rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco.py',
)


@pytest.fixture(scope='module', params=HEADS)
def model(request, images, tmp_path_factory):
    """Predictor of a model, pixels and metas of three images."""
    files = write_package(tmp_path_factory.mktemp(request.param), request.param, images[:3])
    predictor, letterbox = make_predictor(files, 0.02, 0.65)
    loaded = [letterbox(index, str(path)) for index, path in enumerate(images[:3])]
    same = [(image, pixels) for image, pixels in loaded if pixels.shape == loaded[0][1].shape]
    return predictor, torch.stack([torch.from_numpy(pixels) for _, pixels in same]), [image.meta for image, _ in same]


def iou(a, b):
    """IoU of two boxes, by the definition."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union > 0 else 0.0


def test_the_boxes_are_those_of_inference(model):
    predictor, pixels, metas = model
    for one, expected in zip(predictor.inspect(pixels, metas), predictor.predict(pixels, metas)):
        assert len(expected.scores) > 3
        for name in ('boxes', 'scores', 'labels'):
            assert torch.equal(getattr(one.detections, name), getattr(expected, name))


def test_class_scores_hold_the_score_of_each_box(model):
    predictor, pixels, metas = model
    for one in predictor.inspect(pixels, metas):
        own = one.class_scores.gather(1, one.detections.labels[:, None])[:, 0]
        assert one.class_scores.shape == (len(own), len(CLASS_NAMES))
        torch.testing.assert_close(own, one.detections.scores, rtol=1e-5, atol=1e-6)


def test_support_counts_what_overlaps_before_suppression(model):
    predictor, pixels, metas = model
    maps = predictor._run(pixels, metas)
    candidates = predictor.model.bbox_head.predict_batch(maps.maps, maps.metas, cfg=predictor.test_cfg, with_nms=False)
    counted = 0
    for one, found in zip(predictor.inspect(pixels, metas), candidates.split()):
        everything = list(zip(found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist()))[:1000]
        for box, label, support in zip(one.detections.boxes.tolist(), one.detections.labels.tolist(), one.support):
            overlaps = [iou(box, other) for other, score, of in everything if score > 0.05 and of == label]
            if all(abs(value - 0.5) > 1e-4 for value in overlaps):  # else rounding decides
                assert support == max(sum(value >= 0.5 for value in overlaps), 1)
                counted += 1
    assert counted > 3


def test_spread_is_the_entropy_of_the_sides(model):
    predictor, pixels, metas = model
    maps = predictor._run(pixels, metas)
    head = predictor.model.bbox_head
    bins = getattr(head.head_module, 'num_bins', 1)
    boxes = head.predict_batch(maps.maps, maps.metas, cfg=predictor.test_cfg)
    evidence = predictor.inspect(pixels, metas)
    for image, (one, found) in enumerate(zip(evidence, boxes.split())):
        for spread, prior in zip(one.spread.tolist(), found.priors.tolist()):
            if bins == 1:
                assert spread == 0
                continue
            level, place = 0, prior
            while place >= maps.maps[1][level][0, 0].numel():
                place -= maps.maps[1][level][0, 0].numel()
                level += 1
            logits = maps.maps[1][level][image].flatten(1)[:, place].reshape(4, bins).double().tolist()
            entropies = []
            for side in logits:
                total = sum(math.exp(value) for value in side)
                entropies.append(-sum(math.exp(v) / total * math.log(math.exp(v) / total) for v in side))
            assert spread == pytest.approx(sum(entropies) / 4 / math.log(bins), abs=1e-5)


def test_class_maps_hold_every_score(model):
    predictor, pixels, metas = model
    _, class_maps = predictor.inspect_once(pixels, metas, True)
    all_boxes = predictor.predict_any(pixels, metas)
    highest = [max(float(level[image].max()) for level in class_maps) for image in range(len(metas))]
    assert all(level.shape[0] == len(metas) and level.shape[2] == len(CLASS_NAMES) for level in class_maps)
    assert highest == pytest.approx([float(found.scores[0]) for found in all_boxes], rel=1e-5)


def test_an_image_does_not_depend_on_its_company(model):
    predictor, pixels, metas = model
    together = predictor.inspect(pixels, metas)
    order = list(range(len(metas)))[::-1]
    turned = predictor.inspect(pixels[order], [metas[place] for place in order])[::-1]
    for one, other in zip(together, turned):
        for name in ('class_scores', 'support', 'spread', 'embedding'):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_mean_features_leave_out_the_padding():
    level = torch.zeros(2, 3, 4, 6)
    level[1, :, 1:3] = torch.tensor([3.0, 0.0, 4.0])[:, None, None]
    level[1, 1, 0] = 9  # padding
    meta = {'pad_param': np.array([8, 8, 0, 0], np.float32)}
    assert mean_features([level], meta, 1, (32, 48)).tolist() == pytest.approx([0.3] * 4 + [0] * 4 + [0.4] * 4)
    level[1, 0, 2, 3:] = 6  # the quarter at the lower right
    expected = np.array([3, 3, 3, 6] + [0] * 4 + [4] * 4) / 127**0.5
    coarse = torch.rand(2, 5, 2, 3)
    for levels in ([level], [level, coarse]):
        assert mean_features(levels, meta, 1, (32, 48)).tolist() == pytest.approx(expected.tolist())
    assert len(mean_features([level, level, coarse], meta, 1, (32, 48))) == 24


@pytest.mark.parametrize('config', INSTANCE_CONFIGS)
def test_instance_models_give_boxes_and_evidence(config):
    register_all_modules()
    cfg = Config.fromfile(PROJECT_ROOT / 'configs' / config)
    cfg.model.backbone.pop('init_cfg', None)
    torch.manual_seed(0)
    predictor = DensePredictor(MODELS.build(cfg.model).eval(), torch.device('cpu'), -1, 0.65)
    predictor.test_cfg.update(max_per_img=20, nms_pre=20, min_bbox_size=-1)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    metas = [{'ori_shape': (64, 64), 'scale_factor': (1.0, 1.0)}] * 2
    found, evidence = predictor.predict(pixels, metas), predictor.inspect(pixels, metas)
    for one, other in zip(found, evidence):
        assert len(one.scores) == 20 and one.boxes.shape == (20, 4)
        assert torch.equal(one.boxes, other.detections.boxes) and other.class_scores.shape == (20, 80)


def test_embeddings_come_back_in_the_order_of_the_list(tmp_path):
    features = np.random.default_rng(0).standard_normal((7, 300))
    for rank in range(3):
        writer = EmbeddingWriter(tmp_path, rank)
        for index in range(rank, 7, 3):
            writer.write([None if index == 4 else features[index]])
        writer.close()
    rows = Embeddings(tmp_path, 3, 7).rows(range(7))
    assert rows.shape == (7, EMBEDDING_SIZE) and not rows[4].any()
    readable = [0, 1, 2, 3, 5, 6]
    assert np.linalg.norm(rows[readable], axis=1) == pytest.approx(np.ones(6), abs=1e-3)
    # a random projection to 128 keeps cosines within about 1 / sqrt(128)
    lengths = np.linalg.norm(features, axis=1)
    cosines = features @ features.T / lengths / lengths[:, None]
    assert np.abs((rows @ rows.T - cosines)[np.ix_(readable, readable)]).max() < 0.4
    with pytest.raises(ValueError, match='lacks embeddings'):
        Embeddings(tmp_path, 3, 9)


def test_shard_lines_of_mining_hold_the_evidence(model):
    predictor, pixels, metas = model
    settings = MiningSettings(class_names=CLASS_NAMES)
    images = [type('Image', (), {'index': n, 'path': str(n), 'meta': meta})() for n, meta in enumerate(metas)]
    batch = Batch(images, [(list(range(len(metas))), pixels)])
    predictions, features = predict_batch(predictor, batch, 8, ALGORITHMS['entropy'](settings))
    for prediction, embedding in zip(predictions, features):
        assert len(prediction.support) == len(prediction.spread) == len(prediction.scores) > 3
        assert embedding.ndim == 1 and np.isfinite(embedding).all()


@pytest.mark.parametrize('name', ['aldd', 'cald'])
@pytest.mark.parametrize(
    'model', [pytest.param(head, marks=[] if head == 'yolov8_n' else pytest.mark.slow) for head in HEADS], indirect=True
)
def test_what_algorithms_measure_does_not_depend_on_the_company(name, model):
    predictor, pixels, metas = model
    algorithm = ALGORITHMS[name](MiningSettings(class_names=CLASS_NAMES))

    def measure(places):
        found = predictor.inspect(
            pixels[places], [metas[place] for place in places], algorithm.measure, algorithm.with_class_maps
        )
        return [one.value for one in found]

    places = list(range(len(metas)))
    together = measure(places)
    assert len(set(together)) == len(metas) and np.isfinite(together).all()
    assert measure(places[::-1])[::-1] == together
