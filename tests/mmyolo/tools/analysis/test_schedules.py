"""Schedules against their formulas and against PyTorch's own."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmyolo.tools.analysis.schedules import iterations_per_epoch, simulate


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmyolo')


def config(**changes):
    optimizer = {'type': 'SGD', 'lr': 0.01, 'momentum': 0.937, 'weight_decay': 0.0005}
    return Config(
        dict(
            {
                'train_dataloader': {'batch_size': 4},
                'train_cfg': {'type': 'EpochBasedTrainLoop', 'max_epochs': 6},
                'optim_wrapper': {'type': 'AmpOptimWrapper', 'loss_scale': 'dynamic', 'optimizer': optimizer},
            },
            **changes,
        )
    )


def yolov5(**changes):
    cfg = config(
        default_hooks={
            'param_scheduler': {
                'type': 'YOLOv5ParamSchedulerHook',
                'lr_factor': 0.1,
                'max_epochs': 6,
                'warmup_epochs': 1,
                'warmup_mim_iter': 5,
            }
        },
        **changes,
    )
    cfg.optim_wrapper.constructor = 'YOLOv5OptimizerConstructor'
    cfg.optim_wrapper.optimizer.batch_size_per_gpu = 16
    return cfg


def test_yolov5_has_no_param_scheduler_and_warms_up():
    record = simulate(yolov5(), 'lr', num_images=40)
    assert record['epoch_length'] == 10 and len(record['values']) == 60

    def factor(epoch):
        return 1 - epoch / 6 * 0.9

    for iteration in range(10):
        assert record['values'][iteration] == pytest.approx(0.01 * iteration / 10)
    assert record['values'][10] == pytest.approx(0.01 * factor(1))  # the last step of the warm-up is in epoch 1
    for epoch in range(2, 6):
        expected = 0.01 * factor(epoch - 1)
        assert record['values'][10 * epoch : 10 * epoch + 10] == pytest.approx([expected] * 10)


def test_momentum_and_weight_decay():
    momentum = simulate(yolov5(), 'momentum', num_images=40)['values']
    assert momentum[:11] == pytest.approx([0.8 + 0.137 * i / 10 for i in range(11)])
    assert momentum[-1] == pytest.approx(0.937)
    # 16 images in each of 8 processes are twice the 64 that the decay is for
    assert simulate(yolov5(), 'wd', 40, num_gpus=8)['values'][0] == pytest.approx(0.001)
    assert simulate(yolov5(param_scheduler=None), 'wd', 40, num_gpus=4)['values'][0] == pytest.approx(0.0005)


def test_schedulers_of_mmengine_against_pytorch():
    schedulers = [
        {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 6},
        {
            'type': 'CosineAnnealingLR',
            'eta_min': 0.001,
            'begin': 2,
            'end': 6,
            'T_max': 4,
            'by_epoch': True,
            'convert_to_iter_based': True,
        },
    ]
    record = simulate(config(param_scheduler=schedulers), 'lr', num_images=12)['values']
    assert len(record) == 18
    expected = [0.01 * (0.1 + 0.9 * min(i, 5) / 5) for i in range(6)]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12, 0.001)
    for _ in range(12):
        expected.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        cosine.step()
    # mmengine steps a scheduler that begins at 6 as the sixth iteration ends
    assert record[:6] == pytest.approx(expected[:6])
    assert record[6:] == pytest.approx(expected[6:], abs=0.0008)
    assert record[6] > record[12] > record[17] and record[12] == pytest.approx(0.0055, abs=0.0008)


def test_a_training_by_iterations():
    cfg = config(
        train_cfg={'type': 'IterBasedTrainLoop', 'max_iters': 7},
        param_scheduler={'type': 'MultiStepLR', 'milestones': [3, 5], 'gamma': 0.1, 'by_epoch': False},
    )
    record = simulate(cfg, 'lr', num_images=8)
    assert record['epoch_length'] == 0
    assert record['values'] == pytest.approx([0.01] * 3 + [0.001] * 2 + [0.0001] * 2)


def test_momentum_of_adam_and_automatic_rate():
    cfg = config(auto_scale_lr={'enable': True, 'base_batch_size': 16})
    cfg.optim_wrapper.optimizer = {'type': 'AdamW', 'lr': 0.004, 'betas': (0.8, 0.99)}
    assert simulate(cfg, 'momentum', 8)['values'][0] == 0.8
    assert simulate(cfg, 'lr', 8, num_gpus=2)['values'][0] == pytest.approx(0.002)


@pytest.mark.parametrize(
    'drop_last, images, gpus, expected',
    [(False, 10, 1, 3), (True, 10, 1, 2), (False, 10, 2, 2), (False, 1, 8, 1), (True, 3, 1, 1)],
)
def test_iterations_are_those_of_the_loader(drop_last, images, gpus, expected):
    cfg = config(train_dataloader={'batch_size': 4, 'drop_last': drop_last})
    assert iterations_per_epoch(cfg, images, gpus) == expected
    assert expected == max(math.floor(images / gpus / 4), 1) or not drop_last
