"""The three forms of a schedule: what is read from them, and what stands in them for a run of another length."""

import pytest
from mmengine.config import ConfigDict

from tmi.families.dense_schedule import read_schedule, switch_pipelines, write_schedule
from tmi.recipe import BaseRecipe, Recipe, make_recipe


def recipe(**edits):
    numbers = {
        'num_images': 400,
        'total_batch': 8,
        'epochs': 40,
        'iters_per_epoch': 50,
        'lr': 0.002,
        'lr_factor': 0.05,
        'warmup_iters': 200,
        'close_mosaic_epochs': 6,
        'ema_momentum': 0.01,
        'ema_gamma': 200,
    }
    return Recipe(**dict(numbers, **edits))


def config(
    optimizer, hooks=(), rate_hook=None, schedulers=None, epochs=300, batch=32, load_from=None, first_assigner=0
):
    return ConfigDict(
        model={'train_cfg': {'initial_epoch': first_assigner} if first_assigner else None},
        optim_wrapper={'optimizer': optimizer},
        train_dataloader={'batch_size': batch},
        train_cfg={'max_epochs': epochs},
        default_hooks={'param_scheduler': rate_hook},
        param_scheduler=schedulers,
        custom_hooks=[{'type': 'EMAHook', 'momentum': 0.0002}, *hooks],
        load_from=load_from,
    )


def rtmdet():
    return config(
        {'type': 'AdamW', 'lr': 0.004},
        [{'type': 'mmdet.PipelineSwitchHook', 'switch_epoch': 280, 'switch_pipeline': [{'type': 'A'}]}],
        {'type': 'ParamSchedulerHook'},
        [
            {'type': 'LinearLR', 'start_factor': 1e-5, 'by_epoch': False, 'begin': 0, 'end': 1000},
            {
                'type': 'CosineAnnealingLR',
                'eta_min': 0.0002,
                'begin': 150,
                'end': 300,
                'T_max': 150,
                'by_epoch': True,
                'convert_to_iter_based': True,
            },
        ],
    )


def yolox():
    return config(
        {'type': 'SGD', 'lr': 0.01},
        [{'type': 'YOLOXModeSwitchHook', 'num_last_epochs': 15, 'new_train_pipeline': [{'type': 'B'}]}],
        {'type': 'ParamSchedulerHook'},
        [
            {'type': 'mmdet.QuadraticWarmupLR', 'by_epoch': True, 'begin': 0, 'end': 5, 'convert_to_iter_based': True},
            {
                'type': 'CosineAnnealingLR',
                'eta_min': 0.0005,
                'begin': 5,
                'T_max': 285,
                'end': 285,
                'by_epoch': True,
                'convert_to_iter_based': True,
            },
            {'type': 'ConstantLR', 'by_epoch': True, 'factor': 1, 'begin': 285, 'end': 300},
        ],
        batch=8,
    )


def ppyoloe(load_from='plus_obj365.pth'):
    hook = {
        'type': 'PPYOLOEParamSchedulerHook',
        'warmup_min_iter': 1000,
        'warmup_epochs': 5,
        'min_lr_ratio': 0.0,
        'total_epochs': 96,
    }
    return config({'type': 'SGD', 'lr': 0.001}, (), hook, epochs=80, batch=8, load_from=load_from, first_assigner=30)


def yolov5():
    hook = {'type': 'YOLOv5ParamSchedulerHook', 'lr_factor': 0.1, 'max_epochs': 300}
    return config({'type': 'SGD', 'lr': 0.01, 'batch_size_per_gpu': 16}, (), hook)


@pytest.mark.parametrize(
    'cfg, pretrained, wanted',
    [
        (
            rtmdet(),
            False,
            {
                'optimizer': 'AdamW',
                'batch_size': 32,
                'lr': 0.004,
                'lr_factor': 0.05,
                'warmup_epochs': 0,
                'warmup_min_iters': 1000,
                'close_mosaic_epochs': 20,
                'ema_momentum': 0.0002,
            },
        ),
        (
            yolox(),
            False,
            {
                'batch_size': 8,
                'lr': 0.01,
                'lr_factor': 0.05,
                'warmup_epochs': 5,
                'warmup_min_iters': 1,
                'close_mosaic_epochs': 15,
                'ema_momentum': 0.0002,
            },
        ),
        (
            ppyoloe(),
            True,
            {
                'lr': 0.001,
                'lr_factor': 0.066987,
                'max_gradient': 10,
                'batch_size': 8,
                'warmup_epochs': 5,
                'warmup_min_iters': 1000,
                'close_mosaic_epochs': 0,
                'ema_momentum': 0.0002,
                'first_assigner_share': 0.375,
            },
        ),
        (
            ppyoloe(),
            False,
            {
                'lr': 0.01,
                'lr_factor': 0.066987,
                'max_gradient': 10,
                'batch_size': 8,
                'warmup_epochs': 5,
                'warmup_min_iters': 1000,
                'close_mosaic_epochs': 0,
                'ema_momentum': 0.0002,
                'first_assigner_share': 0.375,
            },
        ),
        (
            ppyoloe(load_from=None),
            False,
            {
                'lr': 0.001,
                'lr_factor': 0.066987,
                'max_gradient': 10,
                'batch_size': 8,
                'warmup_epochs': 5,
                'warmup_min_iters': 1000,
                'close_mosaic_epochs': 0,
                'ema_momentum': 0.0002,
                'first_assigner_share': 0.375,
            },
        ),
        (
            yolov5(),
            False,
            {
                'batch_size': 32,
                'lr': 0.01,
                'lr_factor': 0.1,
                'warmup_epochs': 3,
                'warmup_min_iters': 1000,
                'close_mosaic_epochs': 0,
                'ema_momentum': 0.0002,
            },
        ),
    ],
)
def test_what_is_read(cfg, pretrained, wanted):
    texts = {'optimizer': wanted.get('optimizer', 'SGD'), 'pretrained': pretrained}
    numbers = {key: pytest.approx(value, rel=1e-4) for key, value in wanted.items() if key not in texts}
    assert read_schedule(cfg, pretrained) == BaseRecipe(**numbers, **texts)


def test_schedulers_of_rtmdet():
    cfg = rtmdet()
    write_schedule(cfg, recipe())
    warmup, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end, warmup.by_epoch, warmup.start_factor) == (0, 200, False, 1e-5)
    assert (cosine.begin, cosine.end, cosine.T_max, cosine.by_epoch) == (1000, 2000, 1000, False)
    assert cosine.eta_min == pytest.approx(0.002 * 0.05)
    assert 'convert_to_iter_based' not in cosine
    assert cfg.optim_wrapper.optimizer.lr == 0.002
    ema, switch = cfg.custom_hooks
    assert (ema.momentum, ema.gamma, switch.switch_epoch) == (0.01, 200, 34)


def test_schedulers_of_yolox():
    cfg = yolox()
    write_schedule(cfg, recipe())
    assert [(item.begin, item.end, item.by_epoch) for item in cfg.param_scheduler] == [
        (0, 200, False),
        (200, 34 * 50, False),
        (34 * 50, 2000, False),
    ]
    assert cfg.param_scheduler[1].T_max == 1500
    assert cfg.custom_hooks[1].num_last_epochs == 6


def test_runs_too_short_for_a_part_leave_it_out():
    cfg = yolox()
    write_schedule(cfg, recipe(epochs=2, warmup_iters=10, close_mosaic_epochs=0))
    assert [(item.begin, item.end) for item in cfg.param_scheduler] == [(0, 10), (10, 100)]
    assert [item.type for item in cfg.custom_hooks] == ['EMAHook']
    assert switch_pipelines(cfg) == []


def test_hook_of_ppyoloe():
    cfg = ppyoloe()
    write_schedule(cfg, recipe(first_assigner_epochs=4, max_gradient=10))
    hook = cfg.default_hooks.param_scheduler
    assert cfg.model.train_cfg.initial_epoch == 4
    assert cfg.optim_wrapper.clip_grad == {'max_norm': 10}
    assert (hook.total_epochs, hook.warmup_min_iter, hook.warmup_epochs) == (48, 200, 4)


def test_hook_of_yolov5():
    cfg = yolov5()
    write_schedule(cfg, recipe())
    hook = cfg.default_hooks.param_scheduler
    assert (hook.max_epochs, hook.lr_factor, hook.warmup_mim_iter, hook.warmup_epochs) == (40, 0.05, 200, 4)


@pytest.mark.parametrize('cfg', [yolov5(), yolox(), ppyoloe()])
def test_the_optimizer_of_few_steps(cfg):
    batch_size = cfg.optim_wrapper.optimizer.get('batch_size_per_gpu')
    write_schedule(cfg, recipe(optimizer='AdamW', lr=0.002, max_gradient=10))
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.get('batch_size_per_gpu')) == ('AdamW', 0.002, batch_size)
    assert 'momentum' not in optimizer and 'nesterov' not in optimizer
    assert cfg.optim_wrapper.clip_grad == {'max_norm': 10}
    hook = cfg.default_hooks.param_scheduler
    assert (
        hook.type != 'YOLOv5ParamSchedulerHook' or hook.warmup_bias_lr == 0
    )  # biases would begin at 50 times the rate


def test_a_limit_in_the_config_stays():
    cfg = yolov5()
    cfg.optim_wrapper.clip_grad = {'max_norm': 3}
    write_schedule(cfg, recipe(optimizer='AdamW', max_gradient=10))
    assert cfg.optim_wrapper.clip_grad == {'max_norm': 3}


def test_the_configs_optimizer_stays_as_it_is():
    cfg = yolov5()
    before = dict(cfg.optim_wrapper.optimizer)
    write_schedule(cfg, recipe(lr=0.01))
    assert dict(cfg.optim_wrapper.optimizer) == before and 'clip_grad' not in cfg.optim_wrapper
    assert 'warmup_bias_lr' not in cfg.default_hooks.param_scheduler


def test_a_run_of_the_recipes_length_keeps_its_numbers():
    for cfg in (rtmdet(), yolox()):
        before = ConfigDict(cfg.to_dict())
        base = read_schedule(cfg, False)
        run = make_recipe(118287, 64, 300, base)
        write_schedule(cfg, run)
        assert cfg.custom_hooks[1:] == before.custom_hooks[1:]
        for ours, theirs in zip(cfg.param_scheduler, before.param_scheduler):
            unit = run.iters_per_epoch if theirs.by_epoch else 1
            assert (ours.begin, ours.end) == (theirs.begin * unit, theirs.end * unit)
            assert ours.get('eta_min') == pytest.approx(theirs.get('eta_min'))
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(before.optim_wrapper.optimizer.lr)


def test_pipelines_of_the_last_epochs():
    ((item,),) = [switch_pipelines(yolox())]
    assert item['hook'][item['argument']] == [{'type': 'B'}]
