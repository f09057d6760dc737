"""Every key of the three templates does something: from the default to another value, what can be seen changes."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from mmengine.config import Config

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from tests.ymir_exc.conftest import Task
from tmi.inference import worker
from tmi.inference.plan import PLAN_FILE, make_plan
from tmi.inference.shards import Prediction
from tmi.mining import ALGORITHMS
from tmi.mining.rank import rank
from tmi.training.config import TrainingTask, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.training.image_cache import shared_image_cache
from tmi.training.options import read_options
from tmi.zoo.models import find_model
from tmi.zoo.weights import choose_training_weights
from ymir.evaluation_files import exports
from ymir.examination import writers
from ymir.params import InferParams, MiningParams, TrainingParams, load_params
from ymir.ymir_training import HOOKS
from ymir_exc import settings
from ymir_exc.annotations import annotation_format
from ymir_exc.executor import Executor
from ymir_exc.saved_files import filter_saved_files
from ymir_exc.util import get_merged_config

IMG_MAN = Path(__file__).resolve().parents[2] / 'ymir/img-man'
PARAMS = {'training': TrainingParams, 'mining': MiningParams, 'infer': InferParams}
NAMES = ['cat', 'dog']


class Run:
    """What a task makes of its parameters, before anything is trained or predicted.

    Args:
        name: 'training', 'mining' or 'infer'.
        changes: Keys of config.yaml that are not as in the template.
        folder: Where the task's /in and /out are made.
    """

    def __init__(self, name, changes, folder):
        template = yaml.safe_load((IMG_MAN / f'{name}-template.yaml').read_text(encoding='utf-8'))
        self.raw = {**template, 'class_names': NAMES, **changes}
        self.task = Task(folder)
        self.task.write_env(name)
        self.task.write_config(**self.raw)
        self.name, self.folder = name, folder

    @property
    def params(self):
        return load_params(PARAMS[self.name], self.raw)

    @property
    def training_task(self):
        data = TrainingData(Path('/out/train.json'), Path('/out/val.json'), ((64, 48),) * 400)
        model = find_model(self.params.model_name)
        places = (Path('/out/models'), Path('/out/tensorboard'))
        return TrainingTask(self.params, model, data, 1, 'cpu', *places, hooks=HOOKS)

    @property
    def training(self):
        """The complete training, with the config that it runs."""
        task = self.training_task
        return modify_mmengine_config(Config.fromfile(task.model.config), task)

    @property
    def cache(self):
        with shared_image_cache(self.config, self.training_task, []) as choice:
            return choice

    @property
    def config(self):
        return self.training.run

    @property
    def plan(self):
        """What the predicting processes read; of a task with a GPU, where no setting follows from the machine."""
        weights = self.folder / 'in/models/a.pth'
        weights.touch()
        params = load_params(PARAMS[self.name], {**self.raw, 'gpu_id': '0', 'model_params_path': [str(weights)]})
        return make_plan(params, 'candidates', 100, str(weights.parent), params.conf_threshold)

    @property
    def engine(self):
        """What runs the network on a CPU."""
        weights = self.folder / 'in/models/a.pth'
        weights.touch()
        params = load_params(PARAMS[self.name], {**self.raw, 'model_params_path': [str(weights)]})
        return make_plan(params, 'candidates', 100, str(weights.parent), params.conf_threshold).engine

    @property
    def block_size(self):
        """How many images a machine of a cluster predicts together; Ray need not be installed for it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('tmi.inference.plan.check_ray', lambda address: None)
            return self.plan.block_size

    @property
    def worker_levels(self):
        """The levels from which on the first and second predicting process log."""
        (self.folder / PLAN_FILE).write_text('')
        self.plan.save(self.folder / PLAN_FILE)
        levels = []
        for number in '01':
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, 'argv', ['worker', str(self.folder), number])
                patch.setattr(worker, 'predict_shard', lambda *_: None)
                worker.main()
            levels.append(logging.getLogger('tmi').level)
        return levels

    @property
    def ending(self):
        """How a task ends all of whose programs end well."""
        try:
            return Executor({self.name: ['true']}).start()
        except Exception as error:
            return str(error)

    @property
    def initial_weights(self):
        return choose_training_weights([], 'yolov8_n', self.params.pretrained == 'auto').reason

    @property
    def saved_files(self):
        return filter_saved_files(get_merged_config(), ['a.pth', 'a.py'])

    @property
    def order(self):
        """The order of forty images by the algorithm of the task, and the uncertainty of each."""
        algorithm = ALGORITHMS[self.params.mining_algorithm](self.params)
        generator = np.random.default_rng(0)
        rows = generator.standard_normal((40, 8))
        pool = []
        for index in range(40):
            rows[index] = rows[index // 4] + 0.3 * rows[index]  # groups of similar images
            scores = sorted(generator.uniform(0.02, 1, generator.integers(0, 6)), reverse=True)
            labels = generator.choice(2, len(scores), p=[0.8, 0.2]).tolist()
            found = Prediction(index, str(index), [9, 9], [[0, 0, 9, 9]] * len(scores), scores, labels)
            pool.append(found._replace(support=[1] * len(scores), spread=[0.1] * len(scores)))
        embeddings = SimpleNamespace(rows=lambda places: rows[places].astype(np.float32))
        ranking = rank(pool, 40, algorithm, embeddings)
        return ranking.positions.tolist(), ranking.uncertainty.tolist()


TRAINING = {
    'model_name': ('yolov5_s', lambda run: run.config.model.backbone.type),
    'img_size': (320, lambda run: run.training.img_size),
    'samples_per_gpu': (4, lambda run: run.config.train_dataloader.batch_size),
    'workers_per_gpu': (0, lambda run: run.config.train_dataloader.num_workers),
    'pipeline': ('public', lambda run: run.config.train_dataloader.dataset.pipeline[0].type),
    'max_epochs': (30, lambda run: run.config.train_cfg.max_epochs),
    'max_minutes': (3.0, lambda run: [item.get('seconds') for item in run.config.custom_hooks]),
    'learning_rate': (0.002, lambda run: run.config.optim_wrapper.optimizer.lr),
    'schedule': ('public', lambda run: run.config.default_hooks.param_scheduler.warmup_mim_iter),
    'val_interval': (5, lambda run: run.config.train_cfg.val_interval),
    'patience': (3, lambda run: run.config.custom_hooks),
    'max_keep_checkpoints': (2, lambda run: run.config.default_hooks.checkpoint.max_keep_ckpts),
    'precision': ('bf16', lambda run: run.training.precision),
    'augment_on': ('device', lambda run: run.config.train_dataloader.dataset.pipeline),
    'cache': ('off', lambda run: run.cache.kind),
    'compile': (True, lambda run: run.config.custom_hooks),
    'pretrained': ('none', lambda run: run.initial_weights),
    'seed': (7, lambda run: run.config.randomness.seed),
    'export_format': ('coco:raw', lambda run: annotation_format(run.params.export_format)),
    'args_options': ('--amp', lambda run: read_options(run.params).arguments),
    'cfg_options': ('model.test_cfg.score_thr=0.3', lambda run: run.config.model.test_cfg.score_thr),
    'ymir_saved_file_patterns': ('[.]pth$', lambda run: run.saved_files),
    'find_unused_parameters': (True, lambda run: run.config.find_unused_parameters),
    'check_labels': (False, lambda run: list(writers(run.params))),
    'export_onnx': (True, lambda run: list(exports(run.params))),
    'log_level': ('debug', lambda run: run.config.log_level),
    'ymir_debug': (True, lambda run: run.ending),
}
PREDICTION = {
    'conf_threshold': (0.5, lambda run: run.plan.score_thr),
    'iou_threshold': (0.5, lambda run: run.plan.iou_thr),
    'img_size': (320, lambda run: run.plan.image_size),
    'samples_per_gpu': (4, lambda run: run.plan.batch_size),
    'workers_per_gpu': (0, lambda run: run.plan.workers),
    'precision': ('fp16', lambda run: run.plan.precision),
    'engine': ('onnxruntime', lambda run: run.engine),
    'ray_address': ('10.0.0.5:6379', lambda run: run.block_size),
    'log_level': ('debug', lambda run: run.worker_levels),
    'ymir_debug': (True, lambda run: run.ending),
}
# Task and key -> a value beside the default, and what it changes.
KEYS = {
    'training': TRAINING,
    'mining': {
        **PREDICTION,
        'conf_threshold': (0.5, lambda run: run.order),
        'mining_algorithm': ('random', lambda run: run.order),
        'mining_seed': (7, lambda run: run.order),
        'mining_score_thr': (0.4, lambda run: run.order),
        'mining_aggregate': ('max', lambda run: run.order),
        'mining_top_boxes': (2, lambda run: run.order),
        'mining_box_cost': (0.5, lambda run: run.order),
        'mining_diversity': (0.0, lambda run: run.order),
        'mining_class_balance': (5.0, lambda run: run.order),
        'mining_explore': (0.5, lambda run: run.order),
        'mining_order_size': (5, lambda run: run.order),
        'mining_pool_ratio': (1, lambda run: run.order),
        'mining_topk_hint': (10, lambda run: run.order),
        'class_distribution_scores': ('1,5', lambda run: run.order),
        'mining_min_box': (1, lambda run: run.order),
    },
    'infer': PREDICTION,
}
# Where not the template: keys of one algorithm, a pool small enough to leave images out, what the CPU computes fast.
BESIDE = {
    ('mining', 'conf_threshold'): {'mining_algorithm': 'entropy_legacy'},
    ('mining', 'mining_seed'): {'mining_algorithm': 'random'},
    ('mining', 'mining_min_box'): {'mining_algorithm': 'dcus'},
    ('mining', 'mining_top_boxes'): {'mining_aggregate': 'topm'},
    ('mining', 'mining_pool_ratio'): {'mining_order_size': 8, 'mining_class_balance': 2},
    ('training', 'precision'): {'precision': 'fp32'},
}


@pytest.mark.parametrize('name', PARAMS)
def test_every_key_has_a_row(name):
    template = yaml.safe_load((IMG_MAN / f'{name}-template.yaml').read_text(encoding='utf-8'))
    assert set(template) == set(KEYS[name])


@pytest.mark.parametrize('name, key', [(name, key) for name, rows in KEYS.items() for key in rows])
def test_every_key_changes_something(name, key, tmp_path, monkeypatch):
    other, observe = KEYS[name][key]
    seen = []
    for number, change in enumerate(({}, {key: other})):
        folder = tmp_path / str(number)
        run = Run(name, {**BESIDE.get((name, key), {}), **change}, folder)
        monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(folder / 'in/env.yaml'))
        seen.append(observe(run))
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    'level, first, others',
    [
        ('debug', logging.DEBUG, logging.DEBUG),
        ('info', logging.INFO, logging.WARNING),
        ('warning', logging.WARNING, logging.WARNING),
        ('error', logging.ERROR, logging.ERROR),
    ],
)
def test_of_several_processes_one_says_what_all_do(level, first, others, tmp_path):
    assert Run('infer', {'log_level': level}, tmp_path).worker_levels == [first, others]
