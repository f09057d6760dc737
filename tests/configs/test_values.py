"""Every config file comes to the values of its published recipe, and to a network with its published layout."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from expected import CONFIGS, DETAILS, NETWORKS, expected_state
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from mmyolo.registry import MODELS

ROOT = Path(__file__).resolve().parents[2] / 'configs'


@cache
def config(name):
    return Config.fromfile(ROOT / f'{name}.py')


def transforms_in(pipeline):
    """Every transform of a pipeline, those inside others first come first."""
    for item in pipeline:
        if isinstance(item, list):
            yield from transforms_in(item)
            continue
        yield item
        yield from transforms_in(item.get('transforms', []) if item['type'] == 'RandomChoice' else [])
        yield from transforms_in(item.get('pre_transform', []))


def of_type(pipeline, kind):
    return [item for item in transforms_in(pipeline) if item['type'] == kind]


def argument(pipeline, kind, name):
    """The value of an argument, the same in every transform of a type; None without the transform or argument."""
    values = {item.get(name) for item in of_type(pipeline, kind)}
    assert len(values) <= 1, f'{kind}.{name} has several values: {values}'
    return values.pop() if values else None


def stage(pipeline, border):
    """The random affines with a border or without."""
    return [item for item in of_type(pipeline, 'YOLOv5RandomAffine') if (item['border'] != (0, 0)) == border]


def innermost(dataset):
    while 'datasets' in dataset or 'dataset' in dataset:
        dataset = dataset['datasets'][0] if 'datasets' in dataset else dataset['dataset']
    return dataset


def values_of(cfg):
    """The values of a config in the form of the rows of expected.py."""
    pipeline = innermost(cfg.train_dataloader.dataset).pipeline
    affine = stage(pipeline, border=True)
    width, height = affine[0].border
    low, high = affine[0].scaling_ratio_range
    assert all(item == affine[0] for item in affine)
    mosaics = of_type(pipeline, 'Mosaic')
    assert {item.img_scale for item in mosaics} == {(-2 * width, -2 * height)}
    assert low + high == pytest.approx(2)
    loaders = of_type(pipeline, 'LoadAnnotations') + of_type(pipeline, 'mmdet.LoadAnnotations')
    refine = {(item.get('with_mask', False), item.get('mask2bbox', False)) for item in loaders}
    assert refine in ({(True, True)}, {(False, False)})
    assert bool(of_type(pipeline, 'RemoveDataElement')) == (refine == {(True, True)})
    switches = [hook for hook in cfg.custom_hooks if hook.type == 'mmdet.PipelineSwitchHook']
    last = None
    if switches:
        (affine_2,) = stage(switches[0].switch_pipeline, border=False)
        assert affine_2.scaling_ratio_range == affine[0].scaling_ratio_range
        assert not of_type(switches[0].switch_pipeline, 'Mosaic')
        last = (switches[0].switch_epoch, affine_2.get('min_area_ratio'), affine_2.get('max_aspect_ratio'))
    head = cfg.model.bbox_head
    shapes = cfg.val_dataloader.dataset.batch_shapes_cfg
    optimizer = cfg.optim_wrapper.optimizer
    assert cfg.default_hooks.param_scheduler.max_epochs == cfg.train_cfg.max_epochs
    assert cfg.param_scheduler is None
    resizes = of_type(cfg.test_pipeline, 'LetterResize')
    assert [item.scale for item in resizes] == [(-2 * width, -2 * height)]
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator
    return {
        'epochs': cfg.train_cfg.max_epochs,
        'batch': cfg.train_dataloader.batch_size,
        'optimizer_batch': optimizer.batch_size_per_gpu,
        'workers': cfg.train_dataloader.num_workers,
        'lr': optimizer.lr,
        'lr_factor': cfg.default_hooks.param_scheduler.lr_factor,
        'decay': optimizer.weight_decay,
        'clip': cfg.optim_wrapper.get('clip_grad', {}).get('max_norm'),
        'keep': cfg.default_hooks.checkpoint.max_keep_ckpts,
        'every': cfg.train_cfg.val_interval,
        'scale': (-2 * width, -2 * height),
        'affine': (high - low) / 2,
        'translate': affine[0].get('max_translate_ratio'),
        'mixup': argument(pipeline, 'YOLOv5MixUp', 'prob'),
        'paste': argument(pipeline, 'YOLOv5CopyPaste', 'prob'),
        'refine': refine == {(True, True)},
        'area': affine[0].get('min_area_ratio'),
        'aspect': affine[0].get('max_aspect_ratio'),
        'last': last,
        'losses': tuple(
            head[key].loss_weight for key in ('loss_cls', 'loss_bbox', 'loss_obj', 'loss_dfl') if key in head
        ),
        'nms': cfg.model.test_cfg.nms.iou_threshold,
        'classes': head.head_module.num_classes,
        'batch_shapes': shapes and (shapes.img_size, shapes.size_divisor),
        'frozen': cfg.model.backbone.get('frozen_stages'),
        'load': cfg.load_from,
    }


def test_every_file_has_a_row():
    files = {str(path.relative_to(ROOT).with_suffix('')) for path in ROOT.glob('yolov[58]/**/*.py')}
    # segmentation is among the other families, in test_whole_zoo.py
    assert {name for name in files if not name.startswith('yolov5/ins_seg/')} == set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_values(name):
    _, _, family, differences = CONFIGS[name]
    wanted, found = dict(family, **differences), values_of(config(name))
    load, wanted_load = found.pop('load'), wanted.pop('load')
    assert load == wanted_load or load.endswith(wanted_load)
    for key in ('losses', 'affine'):
        assert found.pop(key) == pytest.approx(wanted.pop(key)), key
    assert found == wanted


@pytest.mark.parametrize('name, path, wanted', DETAILS)
def test_details(name, path, wanted):
    node = config(name)
    for key in path.split('.'):
        node = node[int(key)] if isinstance(node, list) else node.get(key)
    assert node == wanted


DEEPEST = 'yolov5/voc/yolov5_x-v61_fast_1xb32-50e_voc'


@pytest.mark.parametrize(
    'name', [name if name == DEEPEST else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]
)
def test_dump_reads_back(name, tmp_path):
    """A training writes its config down; the copy must be complete without its bases."""
    cfg = config(name)
    cfg.dump(tmp_path / 'copy.py')
    assert Config.fromfile(tmp_path / 'copy.py').to_dict() == cfg.to_dict()


@cache
def layout(name):
    """Names and shapes of the state_dict, names and shapes of parameters; values are never allocated."""
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmyolo'):
        model = MODELS.build(ConfigDict(config(name).model))
    return (
        {key: tuple(value.shape) for key, value in model.state_dict().items()},
        {key: tuple(value.shape) for key, value in model.named_parameters()},
    )


def networks():
    """The configs of every network."""
    seen = {}
    for name, (kind, size, _, _) in CONFIGS.items():
        seen.setdefault((kind, size), []).append(name)
    return seen


@pytest.mark.parametrize('network', NETWORKS, ids='-'.join)
def test_layout_is_that_of_published_checkpoints(network):
    names = networks()[network]
    parameters, entries = NETWORKS[network]
    state, named = layout(names[0])
    assert state == expected_state(network)
    assert len(state) == entries
    assert sum(math.prod(shape) for shape in named.values()) == parameters


@pytest.mark.parametrize('network', NETWORKS, ids='-'.join)
def test_configs_of_a_network_differ_in_nothing_that_has_weights(network):
    def skeleton(name):
        model = config(name).model
        head = model.bbox_head
        return {**model.backbone, 'frozen_stages': None}, model.neck, head.type, head.head_module

    first, *others = networks()[network]
    for other in others:
        assert skeleton(other) == skeleton(first)
