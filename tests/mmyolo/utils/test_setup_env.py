"""Registration, and the scope in which names are looked up."""

import sys
import warnings
from pathlib import Path

import mmcv
import mmdet
import numpy as np
import pytest
from mmengine.registry import DefaultScope

import mmyolo
from mmyolo.registry import DATASETS, HOOKS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from mmyolo.testing import get_detector_cfg
from mmyolo.testing._utils import _get_config_directory, _get_config_module, _rand_bboxes
from mmyolo.utils import collect_env, register_all_modules


@pytest.fixture
def no_scope():
    before = DefaultScope._instance_dict.copy()
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def test_scope_is_set(no_scope):
    register_all_modules(init_default_scope=False)
    assert DefaultScope.get_current_instance() is None
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmyolo'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        register_all_modules()


def test_another_scope_gives_way_with_a_warning(no_scope):
    register_all_modules()
    DefaultScope.get_instance('test', scope_name='mmdet')
    with pytest.warns(UserWarning, match='The current default scope "mmdet" is not "mmyolo"'):
        register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmyolo'


def test_names_are_registered():
    register_all_modules()
    models = [
        'BaseBackbone',
        'BaseYOLONeck',
        'CBAM',
        'ExpMomentumEMA',
        'RepVGGBlock',
        'SiLU',
        'YOLODetector',
        'YOLOXBatchSyncRandomResize',
        'YOLOv5CSPDarknet',
        'YOLOv5DetDataPreprocessor',
        'YOLOv5PAFPN',
        'YOLOv8CSPDarknet',
        'YOLOv8PAFPN',
    ]
    assert [name for name in models if name not in MODELS.module_dict] == []
    assert {'YOLOv5ParamSchedulerHook', 'SwitchToDeployHook'} <= set(HOOKS.module_dict)
    assert 'YOLOv5OptimizerConstructor' in OPTIM_WRAPPER_CONSTRUCTORS.module_dict


def test_modules_that_were_forgotten_register_again():
    register_all_modules()
    kept = {name: sys.modules.pop(name) for name in ('mmyolo.datasets', 'mmyolo.datasets.yolov5_coco')}
    before = DATASETS._module_dict.pop('YOLOv5CocoDataset')
    try:
        assert 'YOLOv5CocoDataset' not in DATASETS.module_dict
        register_all_modules(init_default_scope=False)
        assert 'YOLOv5CocoDataset' in DATASETS.module_dict
    finally:  # classes derived from the first one stay in use
        sys.modules.update(kept)
        mmyolo.datasets = kept['mmyolo.datasets']
        mmyolo.datasets.yolov5_coco = kept['mmyolo.datasets.yolov5_coco']
        DATASETS._module_dict['YOLOv5CocoDataset'] = before


def test_collect_env():
    env = collect_env()
    keys = {
        'sys.platform',
        'Python',
        'CUDA available',
        'PyTorch',
        'PyTorch compiling details',
        'OpenCV',
        'MMEngine',
        'GCC',
    }
    assert keys <= set(env)
    assert env['MMCV'] == mmcv.__version__ and env['MMDetection'] == mmdet.__version__
    assert env['MMYOLO'].startswith('0.6.0+')


def test_helpers_for_tests(tmp_path):
    name = 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'
    first, second = get_detector_cfg(name), get_detector_cfg(name)
    first.backbone.widen_factor = 9
    assert second.type == 'YOLODetector' and second.backbone.widen_factor == 0.25
    assert (Path(_get_config_directory()) / name).is_file()
    assert _get_config_module(name).model == second
    with pytest.raises(FileNotFoundError):
        get_detector_cfg('yolov8/no_such.py')
    boxes = _rand_bboxes(np.random.RandomState(0), 50, 40, 30)
    assert boxes.shape == (50, 4)
    assert (boxes[:, 0] <= boxes[:, 2]).all() and (boxes[:, 1] <= boxes[:, 3]).all()
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 40 and boxes[:, 3].max() <= 30
