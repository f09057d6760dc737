"""What a training with few steps does otherwise, and what of it the user's settings keep as it is."""

import pytest
import torch
from torch import nn

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmyolo.utils import register_all_modules
from tests.ymir.training.test_training_config import make
from tmi.recipe import FEW_STEPS_LR


def optimizer_of(**edits):
    optimizer = make(max_epochs=10, **edits).run.optim_wrapper.optimizer
    return optimizer.type, optimizer.lr


@pytest.mark.parametrize(
    'name', ['yolov5_n', 'yolov5u_n', 'yolov6_n', 'yolov7_tiny', 'yolov8_n', 'yolox_tiny', 'ppyoloe_s']
)
def test_sgd_gives_way_in_every_family(name):
    assert optimizer_of(model_name=name) == ('AdamW', FEW_STEPS_LR)


def test_the_optimizer_can_be_built():
    register_all_modules()
    for name in 'yolov8_n', 'yolox_tiny':
        wrapper = make(name, max_epochs=10).run.optim_wrapper
        constructor = {
            'type': wrapper.get('constructor', 'DefaultOptimWrapperConstructor'),
            'optim_wrapper_cfg': wrapper,
        }
        wrapper.pop('constructor', None)
        constructor['paramwise_cfg'] = wrapper.pop('paramwise_cfg', None)
        built = OPTIM_WRAPPER_CONSTRUCTORS.build(constructor)(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))
        assert isinstance(built.optimizer, torch.optim.AdamW) and built.param_groups[0]['weight_decay'] == 0.0005
        assert built.clip_grad_kwargs == {'max_norm': 10}


@pytest.mark.parametrize(
    'edits, kept',
    [
        ({'learning_rate': 0.003}, ('SGD', 0.003)),
        ({'schedule': 'public'}, ('SGD', 0.01)),
        ({'cfg_options': 'optim_wrapper.optimizer.momentum=0.9'}, ('SGD', 0.01)),
        ({'args_options': '--cfg-options optim_wrapper.optimizer.lr=0.02'}, ('SGD', 0.02)),
        ({'model_name': 'rtmdet_tiny'}, ('AdamW', 0.004)),
    ],
)
def test_what_keeps_the_configs_optimizer(edits, kept):
    assert optimizer_of(**edits) == kept


def test_batches_and_validations_follow_the_run_unless_the_user_sets_them():
    for edits, batch, every in (
        ({'max_epochs': 20}, 4, 2),
        ({'max_epochs': 40}, 8, 4),
        ({'max_epochs': 20, 'samples_per_gpu': 16, 'val_interval': 5}, 16, 5),
        ({'max_epochs': 40, 'schedule': 'public'}, 16, 10),
    ):
        training = make(**edits)
        run = training.run
        assert run.train_dataloader.batch_size == run.val_dataloader.batch_size == batch
        assert run.optim_wrapper.optimizer.batch_size_per_gpu == batch
        assert run.train_cfg.val_interval == every
        assert ('(' in dict(training.recipe.rows())['images a step']) == ('samples_per_gpu' not in edits)


def test_the_public_schedule_is_not_scaled():
    run = make(max_epochs=40, schedule='public').run
    ema = next(hook for hook in run.custom_hooks if hook['type'] == 'EMAHook')
    assert (ema.momentum, ema.gamma) == (0.0001, 2000)
    assert run.default_hooks.param_scheduler.warmup_mim_iter == 1000
    assert run.train_cfg.val_interval == 10 and run.train_cfg.dynamic_intervals == [(30, 1)]
    assert 'warmup_bias_lr' not in run.default_hooks.param_scheduler
