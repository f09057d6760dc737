"""A training whose parts contradict each other, or the data, ends before its first step and names the key."""

import copy
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmyolo.engine.config_check import check_num_classes, classes_of, leaves
from mmyolo.engine.pipeline_size import check_borders, pipelines
from mmyolo.errors import ConfigConflictError
from mmyolo.registry import DATASETS, MODELS
from mmyolo.utils import register_all_modules

sys.path.insert(0, str(Path(__file__).parents[2] / 'configs'))
from small_data import HEIGHT, WIDTH, write_coco, write_images  # noqa: E402

ROOT = Path(__file__).resolve().parents[3] / 'configs'
CLASSES = ('bolt', 'nut')
LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
RESIZE = [{'type': 'YOLOv5KeepRatioResize', 'scale': (64, 64)}, {'type': 'LetterResize', 'scale': (64, 64)}]
PACK = [{'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape')}]
TEST_PACK = [dict(PACK[0], meta_keys=(*PACK[0]['meta_keys'], 'scale_factor', 'pad_param'))]
AFFINE = {'type': 'YOLOv5RandomAffine', 'border': (-32, -32)}
MOSAIC = {'type': 'Mosaic', 'img_scale': (64, 64), 'pre_transform': LOAD}


@pytest.fixture(autouse=True)
def scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    names = write_images(root / 'images')
    write_coco(root / 'all.json', names, CLASSES)
    content = json.loads((root / 'all.json').read_text())
    for image in content['images']:
        image['file_name'] = f'another-{image["file_name"]}'
    (root / 'another.json').write_text(json.dumps(content))
    return root


def small_config(data, work_dir, base='yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco'):
    """A training of one epoch on four images that fits together."""
    cfg = Config.fromfile(ROOT / f'{base}.py')
    cfg.model.bbox_head.head_module.num_classes = len(CLASSES)
    for assigner in (cfg.model.get('train_cfg') or {}).values():
        if isinstance(assigner, dict):
            assigner.num_classes = len(CLASSES)
    for part in (cfg.model.backbone, cfg.model.neck, cfg.model.bbox_head.head_module):
        part.widen_factor = 0.125
    dataset = {
        'type': 'YOLOv5CocoDataset',
        'data_root': str(data),
        'ann_file': 'all.json',
        'data_prefix': {'img': 'images/'},
        'metainfo': {'classes': CLASSES},
    }
    loader = {'batch_size': 2, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}}
    cfg.train_dataloader = dict(
        loader, collate_fn={'type': 'yolov5_collate'}, dataset=dict(dataset, pipeline=[*LOAD, *RESIZE, *PACK])
    )
    cfg.val_dataloader = dict(loader, dataset=dict(dataset, test_mode=True, pipeline=[*LOAD, *RESIZE, *TEST_PACK]))
    cfg.test_dataloader, cfg.test_cfg, cfg.test_evaluator = None, None, None
    cfg.val_evaluator = {'type': 'FastCocoMetric', 'ann_file': str(data / 'all.json')}
    cfg.train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 1, 'val_interval': 1}
    cfg.default_hooks = {'checkpoint': None, 'logger': {'type': 'LoggerHook'}}
    cfg.custom_hooks = [{'type': 'mmyolo.ConfigCheckHook'}]
    cfg.work_dir, cfg.default_scope, cfg.visualizer = str(work_dir), 'mmyolo', None
    return cfg


def begin(cfg, monkeypatch):
    """Runs a training up to its first step."""
    steps = []
    monkeypatch.setattr('mmengine.runner.EpochBasedTrainLoop.run_iter', lambda *args: steps.append(args))
    monkeypatch.setattr('mmengine.runner.ValLoop.run', lambda *args: {})
    monkeypatch.setattr(Config, 'pretty_text', '')  # written for the log, which takes longer than all the rest
    monkeypatch.setattr(Runner, '_log_env', lambda *args: None)
    cfg.experiment_name = f'check-{id(cfg)}'
    Runner.from_cfg(cfg).train()
    return len(steps)


def wrapped(kind, **options):
    """Puts the training data into a wrapper."""

    def change(cfg):
        dataset = cfg.train_dataloader.dataset
        if kind == 'ConcatDataset':
            cfg.train_dataloader.dataset = {'type': kind, 'datasets': [dataset, copy.deepcopy(dataset)]}
        elif kind == 'MultiImageMixDataset':
            inner = dict(dataset, pipeline=LOAD)
            cfg.train_dataloader.dataset = {
                'type': 'mmdet.MultiImageMixDataset',
                'dataset': inner,
                'pipeline': [{'type': 'mmdet.Mosaic', 'img_scale': (64, 64)}, *RESIZE, *PACK],
            }
        else:
            cfg.train_dataloader.dataset = dict(type=kind, dataset=dataset, **options)

    return change


def put(path, value):
    """Sets one value."""

    def change(cfg):
        *parents, last = path.split('.')
        node = cfg
        for name in parents:
            node = node[name]
        node[last] = value

    return change


def both(*changes):
    return lambda cfg: [change(cfg) for change in changes]


def use_another_file(cfg):
    cfg.val_evaluator.ann_file = cfg.val_evaluator.ann_file.replace('all.json', 'another.json')


def pipeline(*steps):
    return put('train_dataloader.dataset.pipeline', [*LOAD, *steps, *PACK])


ALL_CLASSES = both(
    *(put(f'{part}_dataloader.dataset.metainfo', {'classes': ('bolt', 'nut', 'pin')}) for part in ('train', 'val'))
)
HEAD = 'model.bbox_head.head_module.num_classes'

# What is changed, words of the error.
CONFLICTS = {
    'head too small': (put(HEAD, 1), [f'{HEAD} is 1', '2 classes', "'bolt', 'nut'"]),
    'head too large': (put(HEAD, 80), [f'{HEAD} is 80', '2 classes']),
    'more classes than the head has': (ALL_CLASSES, [f'{HEAD} is 2', '3 classes']),
    'assigner too small': (
        put('model.train_cfg.assigner.num_classes', 1),
        ['model.train_cfg.assigner.num_classes is 1', '2 classes'],
    ),
    'assigner of COCO': (
        put('model.train_cfg.assigner.num_classes', 80),
        ['model.train_cfg.assigner.num_classes is 80', '2 classes'],
    ),
    'head in a wrapper': (both(put(HEAD, 3), wrapped('RepeatDataset', times=2)), [f'{HEAD} is 3']),
    'head in two wrappers': (
        both(put(HEAD, 3), wrapped('ConcatDataset'), wrapped('RepeatDataset', times=2)),
        [f'{HEAD} is 3'],
    ),
    'weights of classes': (
        put('model.bbox_head.loss_cls.class_weight', [1.0, 1.0, 1.0, 1.0]),
        ['loss_cls.class_weight has 4 numbers', '2 classes'],
    ),
    'other order in validation': (
        put('val_dataloader.dataset.metainfo', {'classes': ('nut', 'bolt')}),
        ['val_dataloader.dataset.metainfo.classes', "'nut', 'bolt'"],
    ),
    'validation of one class': (
        put('val_dataloader.dataset.metainfo', {'classes': ('nut',)}),
        ['val_dataloader.dataset.metainfo.classes', 'are 1'],
    ),
    'classes are a text': (
        put('train_dataloader.dataset.metainfo', {'classes': ('bolt')}),
        ["metainfo.classes is the text 'bolt'", "('bolt', )"],
    ),
    'classes are a number': (put('train_dataloader.dataset.metainfo', {'classes': 2}), ['metainfo.classes is 2']),
    'no classes': (put('train_dataloader.dataset.metainfo', {'classes': ()}), ['metainfo.classes is ()']),
    'a class twice': (
        put('train_dataloader.dataset.metainfo', {'classes': ('bolt', 'bolt')}),
        ["'bolt' more than once"],
    ),
    'a blank class': (put('train_dataloader.dataset.metainfo', {'classes': ('bolt', ' ')}), ["' ' among"]),
    'another file in the evaluator': (use_another_file, ['val_evaluator.ann_file', 'another.json', 'all.json']),
    'all images are too small': (
        put('train_dataloader.dataset.filter_cfg', {'filter_empty_gt': False, 'min_size': 500}),
        ['No image is left of the 4', 'min_size', '500'],
    ),
    'a batch larger than the data': (
        put(
            'train_dataloader',
            {
                'batch_size': 5,
                'drop_last': True,
                'num_workers': 0,
                'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            },
        ),
        ['train_dataloader.batch_size is 5', '4 images', 'drop_last'],
    ),
    'border without a mosaic': (
        pipeline(*RESIZE, AFFINE),
        ['train_dataloader.dataset.pipeline.4.border', '(-32, -32)', '0x0'],
    ),
    'border on files as they are': (
        pipeline(dict(AFFINE, border=(-80, -80))),
        ['border', f'{WIDTH}x{HEIGHT}', '0x-40'],
    ),
    'border where the mosaic is rare': (pipeline(*RESIZE, dict(MOSAIC, prob=0.5), AFFINE), ['border', '0x0']),
    'border of another affine transform': (
        pipeline(*RESIZE, {'type': 'mmdet.RandomAffine', 'border': (0, -32)}),
        ['border', '64x0'],
    ),
    'border within a choice': (
        pipeline(*RESIZE, {'type': 'RandomChoice', 'transforms': [[MOSAIC, AFFINE], [AFFINE]]}),
        ['pipeline.4.transforms.1.0.border', '0x0'],
    ),
    'border in a mixup': (
        pipeline({'type': 'YOLOv5MixUp', 'pre_transform': [*LOAD, *RESIZE, AFFINE]}, *RESIZE),
        ['pre_transform.4.border', '0x0'],
    ),
    'border in the last epochs': (
        put(
            'custom_hooks',
            [
                {'type': 'mmyolo.ConfigCheckHook'},
                {
                    'type': 'mmdet.PipelineSwitchHook',
                    'switch_epoch': 1,
                    'switch_pipeline': [*LOAD, *RESIZE, AFFINE, *PACK],
                },
            ],
        ),
        ['custom_hooks.1.switch_pipeline.4.border', '0x0'],
    ),
}


@pytest.mark.parametrize('case', CONFLICTS)
def test_conflict_ends_a_training_before_its_first_step(data, tmp_path, monkeypatch, case):
    change, words = CONFLICTS[case]
    cfg = small_config(data, tmp_path)
    keep = copy.deepcopy(cfg.train_dataloader.dataset)
    change(cfg)
    if 'dataset' not in cfg.train_dataloader:
        cfg.train_dataloader.dataset = keep
    with pytest.raises(ConfigConflictError) as error:
        begin(cfg, monkeypatch)
    said = str(error.value)
    assert all(word in said for word in words), said
    assert '\n' not in said and isinstance(error.value, ValueError)


LEGIT = {
    'as it is': lambda cfg: None,
    'RepeatDataset': wrapped('RepeatDataset', times=2),
    'ClassBalancedDataset': wrapped('ClassBalancedDataset', oversample_thr=1e-3),
    'ConcatDataset': wrapped('ConcatDataset'),
    'MultiImageMixDataset': wrapped('MultiImageMixDataset'),
    'mosaic and border': pipeline(MOSAIC, AFFINE),
    'border that leaves some': pipeline(*RESIZE, dict(AFFINE, border=(-31, -31))),
    'no validation': both(*(put(key, None) for key in ('val_dataloader', 'val_cfg', 'val_evaluator'))),
    'images without objects are dropped': put(
        'train_dataloader.dataset.filter_cfg', {'filter_empty_gt': True, 'min_size': 1}
    ),
    'one weight for all classes': put('model.bbox_head.loss_cls.class_weight', 0.5),
}


@pytest.mark.parametrize('case', LEGIT)
def test_training_that_fits_together_begins(data, tmp_path, monkeypatch, case):
    cfg = small_config(data, tmp_path)
    LEGIT[case](cfg)
    assert begin(cfg, monkeypatch) >= 2


def test_assigner_that_needs_no_exact_number_is_only_named(caplog):
    """As in public mmyolo: the number is the label of the background, and one above all classes does no harm."""
    cfg = Config.fromfile(ROOT / 'rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py')
    cfg.model.bbox_head.head_module.update(num_classes=2, widen_factor=0.125)
    for number, harmless in (80, True), (1, False):
        cfg.model.train_cfg.assigner.num_classes = number
        head = MODELS.build(dict(cfg.model.bbox_head, train_cfg=cfg.model.train_cfg, test_cfg=cfg.model.test_cfg))
        if harmless:
            with caplog.at_level(logging.WARNING):
                check_num_classes(head, CLASSES)
        else:
            with pytest.raises(ConfigConflictError, match='assigner.num_classes is 1'):
                check_num_classes(head, CLASSES)


def files():
    names = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob('*.py'))
    return [
        name for name in names if not name.startswith(('_base_', 'yolox/yolox_p5_tta', 'rtmdet/cspnext', 'rtmdet/dist'))
    ]


QUICK = (
    'yolov5/voc/yolov5_s',
    'yolov5/ins_seg/yolov5_ins_l',
    'yolov5/crowdhuman/yolov5_s-v61_fast',
    'yolov8/yolov8_n_mask',
    'yolov6/yolov6_s_fast',
    'yolov7/yolov7_w',
    'yolox/yolox_nano_fast_8xb8',
    'yolox/pose/yolox-pose_t',
    'ppyoloe/ppyoloe_plus_s_fast_1',
    'rtmdet/rtmdet_tiny_fast',
    'rtmdet/rotated/rtmdet-r_l_syncbn_fast_2xb4-aug',
)


@pytest.mark.parametrize(
    'name', [name if name.startswith(QUICK) else pytest.param(name, marks=pytest.mark.slow) for name in files()]
)
def test_configs_of_this_repository_fit_together(name):
    cfg = Config.fromfile(ROOT / name)
    found = [pair for key in ('train_dataloader', 'custom_hooks') for pair in pipelines(cfg.get(key), key)]
    assert found
    for place, steps in found:
        check_borders(steps, place, lambda: (640, 480))
    cfg.model.backbone.pop('init_cfg', None)
    with torch.device('meta'):
        head = MODELS.build(cfg.model).bbox_head
    names = []
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = loader.dataset
        dataset = dataset.datasets[0] if 'datasets' in dataset else dataset
        metainfo = DATASETS.get(dataset.type)._load_metainfo(dataset.get('metainfo'))
        names.append(classes_of([SimpleNamespace(metainfo=metainfo)]))
    assert names[0] == names[1]
    check_num_classes(head, names[0])


def test_leaves_of_what_is_no_data_set():
    assert leaves(SimpleNamespace()) == [] and classes_of([]) is None
