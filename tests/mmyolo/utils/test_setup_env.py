"""Registration, and the scope in which names are looked up."""
import warnings

import pytest
from mmengine.registry import DefaultScope

from mmyolo.registry import HOOKS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS
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
    models = ['BaseBackbone', 'BaseYOLONeck', 'CBAM', 'ExpMomentumEMA', 'RepVGGBlock', 'SiLU', 'YOLODetector',
              'YOLOXBatchSyncRandomResize', 'YOLOv5CSPDarknet', 'YOLOv5DetDataPreprocessor', 'YOLOv5PAFPN',
              'YOLOv8CSPDarknet', 'YOLOv8PAFPN']  # yapf: disable
    assert [name for name in models if name not in MODELS.module_dict] == []
    assert {'YOLOv5ParamSchedulerHook', 'SwitchToDeployHook'} <= set(HOOKS.module_dict)
    assert 'YOLOv5OptimizerConstructor' in OPTIM_WRAPPER_CONSTRUCTORS.module_dict


def test_collect_env():
    env = collect_env()
    assert {'sys.platform', 'Python', 'CUDA available', 'PyTorch', 'OpenCV', 'MMEngine', 'MMCV'} <= set(env)
    assert 'MMDetection' in env
    assert env['MMYOLO'].startswith('0.6.0+')
