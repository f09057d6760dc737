"""What bad inputs are made of: folders of whole tasks with a small model, and what may take the place of a value."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from tests.ymir.infer.sandbox import CONFIG, write_image
from tmi.inference.embeddings import EMBEDDING_SIZE
from tmi.mining.stats import MINING_STATS_FILE, MiningStats, write_stats
from ymir_local.platform.labels import LabelledBox, LabelledImage
from ymir_local.platform.prepare import ModelStage, Task, hyper_parameters, prepare_candidates, prepare_training

CLASS_NAMES = ['one', 'two']
SIZE = 64, 48
WIDTHS = ('model.backbone.widen_factor', 'model.neck.widen_factor', 'model.bbox_head.head_module.widen_factor')
TINY = {
    'img_size': 32,
    'max_epochs': 1,
    'samples_per_gpu': 2,
    'workers_per_gpu': 0,
    'val_interval': 1,
    'precision': 'fp32',
    'check_labels': False,
    'pretrained': 'none',
    'cfg_options': ' '.join(f'{name}=0.0625' for name in WIDTHS),
}
TASKS = ('training', 'mining', 'infer', 'mining+infer')
SUFFIXES = ('jpg', 'png', 'bmp', 'jpg', 'png', 'jpg')
FORMATS = ('ark', 'voc', 'coco')
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    10**30,
    -(10**400),
    0.5,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    '',
    ' ',
    'x',
    '0',
    '1e-3',
    'nan',
    '²',
    '１２',
    '\0',
    '\ud800',
    '\u202e',
    'ü' * 2000,
    'x' * 100_000,
    '../../x',
    '/dev/null',
    '/proc/self/mem',
    'a,b',
    '[1',
    "'",
    '--x',
    '$(touch canary)',
    '; touch canary',
    '`touch canary`',
    'a=b',
    '{{ x }}',
    '{{fileDirname}}',
    '%s%n',
    '<script>alert(1)</script>',
    "__import__('os').system('touch canary')",
    [],
    {},
    [[]],
    [None],
    ['a'],
    ['one', 'one'],
    {'a': 1},
    [1, 2],
    {1: 2},
    [{'a': []}],
    ['x'] * 3000,
    json.loads('[' * 90 + ']' * 90),
)


def write_small_model(folder: Path) -> list[Path]:
    """Write weights, config and statistics for mining of a model with random numbers; returns their paths."""
    register_all_modules()
    init_default_scope('mmyolo')
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(dict.fromkeys(WIDTHS, 0.0625))
    cfg.model.bbox_head.head_module.num_classes = len(CLASS_NAMES)
    cfg.model.train_cfg = None
    for step in cfg.test_dataloader.dataset.pipeline:
        if 'scale' in step:
            step.scale = (32, 32)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for name, value in model.state_dict().items():
        if 'cls_preds' in name and name.endswith('2.bias'):
            value.fill_(0.0)  # scores about 0.5, so that there are boxes
    folder.mkdir(parents=True)
    (folder / 'model.py').write_text(''.join(f'{key} = {value!r}\n' for key, value in cfg.to_dict().items()))
    torch.save(
        {'state_dict': model.state_dict(), 'meta': {'dataset_meta': {'classes': CLASS_NAMES}, 'epoch': 1}},
        folder / 'epoch_1.pth',
    )
    write_stats(folder / MINING_STATS_FILE, small_stats())
    return [folder / name for name in ('epoch_1.pth', 'model.py', MINING_STATS_FILE)]


def small_stats() -> MiningStats:
    """Return statistics of labelled images, as a training writes them."""
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(4, EMBEDDING_SIZE))
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return MiningStats(
        CLASS_NAMES, np.array([5, 7]), 6, np.array([0.5, 0.7]), np.ones((2, 3)), np.ones(3), centroids.astype('f2')
    )


class Materials:
    """What whole tasks are made of.

    Args:
        folder: Where it is written.
    """

    def __init__(self, folder: Path) -> None:
        self.model = write_small_model(folder / 'model')
        paths = [write_image(folder / f'{number}.{suffix}', *SIZE, number) for number, suffix in enumerate(SUFFIXES)]
        box = LabelledBox(0, 8, 6, 30, 24), LabelledBox(1, 30, 20, 20, 20)
        self.images = [LabelledImage(path, *SIZE, box[: 1 + number % 2]) for number, path in enumerate(paths)]

    def task(self, folder: Path, kind: str, annotations: str = 'ark', pretrained: bool = False) -> Task:
        """Write the folders of a task as the platform does.

        Args:
            folder: A new one.
            kind: One of TASKS.
            annotations: Their format, of a training.
            pretrained: Whether a training starts from the model.
        """
        model = ModelStage('epoch_1', self.model, {'class_names': CLASS_NAMES})
        if kind == 'training':
            parameters = hyper_parameters('training', {**TINY, 'export_format': f'{annotations}:raw'})
            images = self.images[:4], self.images[4:]
            return prepare_training(folder, CLASS_NAMES, *images, parameters, model if pretrained else None)
        flags = {name: name in kind for name in ('mining', 'infer')}
        parameters = hyper_parameters('mining' if flags['mining'] else 'infer', {'conf_threshold': 0.1})
        return prepare_candidates(folder, [image.path for image in self.images], model, parameters, **flags)
