"""A small detector that trains within half a minute on one core, through the library's own model and loss."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.mining.scenes import CLASS_NAMES, PRETRAINING, Scenes, make_scenes
from mmyolo.evaluation import FastCocoMetric
from mmyolo.registry import MODELS
from mmyolo.testing import get_detector_cfg
from mmyolo.utils import register_all_modules
from tmi.families.dense_predictor import DensePredictor, Normalize

CONFIG = 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'
WIDTH = 0.125  # half of that of the smallest public model
DEEPEST = 512  # channels of the deepest stage before `WIDTH`
BATCH = 16
START_STEPS = 600  # on the first labelled images
STEPS = 200  # of a round
PRETRAINING_STEPS = 1000
LEARNING_RATE = 6e-3
PRETRAINING_RATE = 4e-3
WARM_UP = 20
BATCH_TO_PREDICT = 50
SCORE_THR = 0.01  # of boxes that precision is computed from
IOU_THR = 0.6


def build_detector(num_classes: int = len(CLASS_NAMES)) -> nn.Module:
    """Build the detector with random weights."""
    register_all_modules()
    cfg = get_detector_cfg(CONFIG)
    channels = [256, 512, DEEPEST]
    for part in (cfg.backbone, cfg.neck):
        part.update(widen_factor=WIDTH, norm_cfg={'type': 'BN', 'momentum': 0.03, 'eps': 0.001})
    cfg.backbone.last_stage_out_channels = DEEPEST
    cfg.neck.update(in_channels=channels, out_channels=channels)
    cfg.bbox_head.head_module.update(
        widen_factor=WIDTH, in_channels=channels, num_classes=num_classes, norm_cfg=cfg.backbone.norm_cfg
    )
    cfg.train_cfg.assigner.num_classes = num_classes
    cfg.test_cfg.update(max_per_img=100)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def pretrain(path: Path, steps: int = PRETRAINING_STEPS) -> dict[str, Tensor]:
    """Return weights that know other shapes than those of the study, as public weights do; trained once, then read.

    Args:
        path: Where they are kept.
        steps: Batches of the training.
    """
    if not path.exists():
        state = train(make_scenes(PRETRAINING, 0), len(PRETRAINING.shapes), seed=0, steps=steps).state_dict()
        part = path.with_suffix('.part')
        torch.save(state, part)
        part.replace(path)
    state = torch.load(path, weights_only=True)
    return {name: value for name, value in state.items() if not _is_class_output(name)}


def _is_class_output(name: str) -> bool:
    """Whether a weight belongs to the layers that give the scores of classes, which start anew."""
    parts = name.split('.')
    return 'cls_preds' in parts and parts[parts.index('cls_preds') + 2] == '2'


@dataclass
class Prepared:
    """Images with what the frozen part of the detector makes of them, computed once.

    Args:
        variants: The images as they are, then augmented ones.
        features: Of each variant, the maps of all levels, each (n, c, h, w) float16.
    """

    variants: list[Scenes]
    features: list[list[Tensor]]

    @property
    def scenes(self) -> Scenes:
        return self.variants[0]

    def __len__(self) -> int:
        return len(self.scenes)

    def subset(self, indices: Sequence[int]) -> 'Prepared':
        """Return some of the images."""
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        variants = [scenes.subset(indices) for scenes in self.variants]
        return Prepared(variants, [[level[chosen] for level in levels] for levels in self.features])


def prepare(scenes: Scenes, initial: dict[str, Tensor], augmented: int = 0, seed: int = 0) -> Prepared:
    """Compute what backbone and neck, which are not trained in the study, make of images.

    Args:
        scenes: The images.
        initial: Weights of backbone and neck.
        augmented: Variants besides the images as they are, for training.
        seed: Of the augmentation.
    """
    model = build_detector()
    model.load_state_dict(initial, strict=False)
    model.eval().to(memory_format=torch.channels_last)
    normalize = Normalize(model.data_preprocessor)
    rng = np.random.default_rng((seed, 4))
    variants = [scenes, *(_augmented(scenes, rng) for _ in range(augmented))]
    features = []
    with torch.inference_mode():
        for variant in variants:
            parts = [
                [level.half() for level in model.extract_feat(normalize(torch.from_numpy(variant.images[k : k + 16])))]
                for k in range(0, len(variant), 16)
            ]
            features.append([torch.cat(levels).contiguous() for levels in zip(*parts)])
    return Prepared(variants, features)


def _augmented(scenes: Scenes, rng: np.random.Generator) -> Scenes:
    images, boxes, labels = [], [], []
    for image, old, classes in zip(scenes.images, scenes.boxes, scenes.labels):
        image, new, scale = _augment(image, old, rng)
        keep = _areas(new) > 0.3 * scale**2 * _areas(old)
        images.append(image)
        boxes.append(new[keep].astype(np.float32))
        labels.append(classes[keep])
    return replace(scenes, images=np.stack(images), boxes=boxes, labels=labels)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def train_head(prepared: Prepared, initial: dict[str, Tensor], seed: int, steps: int) -> nn.Module:
    """Train the head of a detector for a fixed number of steps, whatever the number of images.

    Args:
        prepared: Labelled images.
        initial: Weights to start from.
        seed: Of weights and batches.
        steps: Batches of `BATCH` images.

    Returns:
        The detector in eval mode.
    """
    torch.manual_seed(seed)
    model = build_detector()
    model.load_state_dict(initial, strict=False)
    rng = np.random.default_rng((seed, 1))

    def losses() -> dict[str, Tensor]:
        variant = rng.integers(len(prepared.variants))
        chosen = next(batches)
        levels = [level[torch.as_tensor(chosen)].float() for level in prepared.features[variant]]
        return model.bbox_head.loss(levels, _samples(prepared.variants[variant], chosen))

    batches = _batches(len(prepared), rng)
    return _optimize(model, model.bbox_head, losses, steps, LEARNING_RATE)


def train(scenes: Scenes, num_classes: int, seed: int, steps: int) -> nn.Module:
    """Train a whole detector of some classes from random weights; other arguments as of `train_head`."""
    torch.manual_seed(seed)
    model = build_detector(num_classes).to(memory_format=torch.channels_last)
    rng = np.random.default_rng((seed, 1))

    def losses() -> dict[str, Tensor]:
        batch = _augmented(scenes.subset(next(batches)), rng)
        inputs = torch.from_numpy(batch.images).permute(0, 3, 1, 2).flip(1).float().div(255)
        return model.loss(inputs.contiguous(memory_format=torch.channels_last), _samples(batch, range(len(batch))))

    batches = _batches(len(scenes), rng)
    return _optimize(model, model, losses, steps, PRETRAINING_RATE)


def _batches(count: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield batches for ever; each image comes once before one comes again."""
    order: list[int] = []
    while True:
        while len(order) < BATCH:
            order += rng.permutation(count).tolist()
        yield order[:BATCH]
        order = order[BATCH:]


def _samples(scenes: Scenes, chosen: Sequence[int]) -> dict[str, Any]:
    """Return labels as the library's losses take them."""
    targets = []
    for place, index in enumerate(chosen):
        labels = scenes.labels[index].astype(np.float32)[:, None]
        targets.append(np.concatenate([np.full_like(labels, place), labels, scenes.boxes[index]], axis=1))
    metas = [{'batch_input_shape': scenes.images.shape[1:3]}] * len(chosen)
    return {'bboxes_labels': torch.from_numpy(np.concatenate(targets)).float(), 'img_metas': metas}


def _optimize(
    model: nn.Module, part: nn.Module, losses: Callable[[], dict[str, Tensor]], steps: int, rate: float
) -> nn.Module:
    """Train a part of a model; the learning rate rises shortly, then falls as a cosine."""
    part.train()
    optimizer = torch.optim.AdamW(part.parameters(), lr=rate, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP, 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / steps)))
    )
    for _ in range(steps):
        total = sum(value.sum() for value in losses().values())
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(part.parameters(), 10.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def _augment(image: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Flip, scale, shift, change light; boxes are clipped to the image; returns the scale too."""
    size = image.shape[0]
    scale = rng.uniform(0.75, 1.25)
    shift = rng.uniform(-0.1, 0.1, 2) * size + (1 - scale) * size / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    boxes = boxes * scale + np.tile(shift, 2)
    if rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += size
        boxes = np.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], axis=1)
    image = cv2.warpAffine(image, matrix, (size, size), borderValue=(114, 114, 114))
    gain, offset = rng.uniform(0.7, 1.3), rng.uniform(-20, 20)
    return cv2.convertScaleAbs(image, alpha=gain, beta=max(offset, 0)), np.clip(boxes, 0, size), scale


class FrozenPredictor:
    """The predictor of inference and mining for prepared images: what it asks of backbone and neck is looked up.

    Other pixels, such as the views that an algorithm makes of images, go through them.

    Args:
        model: The detector, in eval mode.
        prepared: The images.
        score_thr: Boxes need a score above this.
    """

    def __init__(self, model: nn.Module, prepared: Prepared, score_thr: float) -> None:
        # A copy: the predictor folds batch norms into convolutions, and the model will be trained on.
        self._predictor = DensePredictor(copy.deepcopy(model), torch.device('cpu'), score_thr, IOU_THR)
        self._compute = self._predictor.model.extract_feat
        self._predictor.model.extract_feat = self._look_up
        self._prepared = prepared
        self._part: slice | None = None  # of the images whose features are asked for next
        self._metas = metas_of(prepared.scenes)

    def run(self, method: str, *arguments: Any) -> Iterator[Any]:
        """Yield what a method of the predictor, `predict` or `inspect`, gives for each image."""
        for first in range(0, len(self._prepared), BATCH_TO_PREDICT):
            part = self._part = slice(first, first + BATCH_TO_PREDICT)
            pixels = torch.from_numpy(self._prepared.scenes.images[part])
            yield from getattr(self._predictor, method)(pixels, self._metas[part], *arguments)

    def _look_up(self, inputs: Tensor) -> Sequence[Tensor]:
        part, self._part = self._part, None
        if part is None:  # changed images, as `cald` makes them
            return self._compute(inputs)
        return [level[part].float() for level in self._prepared.features[0]]


def metas_of(scenes: Scenes) -> list[dict]:
    """Return for each image what a predictor needs besides its pixels."""
    size = scenes.images.shape[1]
    return [{'ori_shape': (size, size), 'scale_factor': (1.0, 1.0), 'img_path': str(k)} for k in range(len(scenes))]


def evaluate(model: nn.Module, prepared: Prepared) -> dict[str, float | list[float]]:
    """Measure the precision on labelled images.

    Args:
        model: In eval mode.
        prepared: The images.

    Returns:
        `ap50` and `ap` (mean over IoU thresholds and classes), `class_ap50` and `class_ap` of each class.
    """
    found = FrozenPredictor(model, prepared, SCORE_THR).run('predict')
    results = [_pair(prepared.scenes, index, detections) for index, detections in enumerate(found)]
    values: dict[str, float | list[float]] = {}
    for name, thresholds in (('ap50', [0.5]), ('ap', None)):
        metric = FastCocoMetric(classwise=False, iou_thrs=thresholds)
        metric.dataset_meta = {'classes': CLASS_NAMES}
        values[name] = float(metric.compute_metrics(results)['bbox_mAP'])
        values[f'class_{name}'] = list(metric.class_precisions.values())
    return values


def _pair(scenes: Scenes, index: int, detections) -> tuple[dict, dict]:
    size = scenes.images.shape[1]
    objects = zip(scenes.boxes[index].tolist(), scenes.labels[index].tolist())
    truth = {
        'img_id': index,
        'width': size,
        'height': size,
        'anns': [{'bbox': box, 'bbox_label': label} for box, label in objects],
    }
    found = {
        'img_id': index,
        'bboxes': detections.boxes.numpy(),
        'scores': detections.scores.numpy(),
        'labels': detections.labels.numpy(),
    }
    return truth, found
