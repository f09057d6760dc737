"""The numbers that modify_mmengine_config sets, for every model of the zoo and at the named places."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.registry import DATASETS, MODELS
from mmyolo.utils import register_all_modules
from mmyolo.utils.literal_config import read_literal_config
from tmi.errors import TaskError
from tmi.families.dense import use_image_cache
from tmi.families.dense_schedule import switch_pipelines
from tmi.families.image_size import resolve_size, scale_train_size
from tmi.training import precision
from tmi.training.config import TrainingTask, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.zoo.models import find_model, models
from ymir.errors import code_of
from ymir.params import TrainingParams, load_params
from ymir.ymir_training import HOOKS

NAMES = ['cat', 'dog', 'gnu']
DATA = TrainingData(Path('/out/train.json'), Path('/out/val.json'), ((640, 480),) * 400)


def make(model_name='yolov8_n', num_processes=1, data=DATA, structure=None, **edits):
    params = load_params(TrainingParams, {'class_names': NAMES, 'model_name': model_name, 'precision': 'fp32', **edits})
    task = TrainingTask(
        params,
        find_model(params.model_name),
        data,
        num_processes,
        'cpu',
        Path('/out/models'),
        Path('/out/tensorboard'),
        structure=structure or {},
        hooks=HOOKS,
    )
    return modify_mmengine_config(Config.fromfile(task.model.config), task)


def find_all(node, key):
    """Every value of a key, anywhere in a config."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for name, value in items:
        if name == key:
            yield value
        yield from find_all(value, key)


def hook(config, kind):
    return next((item for item in config.custom_hooks if item['type'] == kind), None)


def transforms(pipeline, kind):
    return [item for item in pipeline if item['type'] == kind]


@pytest.mark.parametrize('name', [model.name for model in models()])
def test_every_model_of_the_zoo(name):
    config = make(name, img_size=640)
    run = config.run
    assert set(find_all(run.model.to_dict(), 'num_classes')) == {3}
    assert run.train_dataloader.dataset.metainfo.classes == tuple(NAMES)
    assert set(find_all(run.train_dataloader.to_dict(), 'img_scale')) <= {(640, 640)}
    val = run.val_dataloader.to_dict()
    sizes = {*find_all(val, 'scale'), *zip(find_all(val, 'width'), find_all(val, 'height'))}
    sizes |= {*zip(find_all(val, 'max_size'), find_all(val, 'sizes'))}
    assert sizes in ({(640, 640)}, {(416, 416)})
    assert not transforms(run.train_dataloader.dataset.pipeline, 'LoadImageFromFile')
    text = str(config.package.to_dict()).lower()
    assert 'ymir' not in text and '/out' not in text and '/in' not in text and 'fastcoco' not in text


def test_optimizer_is_fused_unless_an_option_says_otherwise():
    assert make().run.optim_wrapper.optimizer.fused is True
    assert make(cfg_options='optim_wrapper.optimizer.fused=False').run.optim_wrapper.optimizer.fused is False


def test_classes_and_data_of_yolov8():
    run = make(samples_per_gpu=4, workers_per_gpu=1).run
    assert run.model.bbox_head.head_module.num_classes == 3
    assert run.model.train_cfg.assigner.num_classes == 3
    loader = run.train_dataloader
    assert (loader.batch_size, loader.num_workers, loader.persistent_workers) == (4, 1, True)
    assert loader.dataset.ann_file == '/out/train.json'
    assert loader.dataset.filter_cfg == {'filter_empty_gt': False, 'min_size': 1}
    assert run.val_evaluator.ann_file == run.val_dataloader.dataset.ann_file == '/out/val.json'
    assert run.optim_wrapper.optimizer.batch_size_per_gpu == 4
    assert run.env_cfg.dist_cfg.backend == 'gloo'


def test_a_backbone_starts_from_weights_that_are_there(tmp_path, monkeypatch):
    assert 'init_cfg' not in make('rtmdet_tiny').run.model.backbone
    assert 'init_cfg' not in make('ppyoloe_s').run.model.backbone
    config = Config.fromfile(find_model('rtmdet_tiny').config)
    (tmp_path / 'weights.pth').touch()
    config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'weights.pth')
    monkeypatch.setattr(Config, 'fromfile', lambda path: config)
    assert make('rtmdet_tiny').run.model.backbone.init_cfg.checkpoint == str(tmp_path / 'weights.pth')


@pytest.mark.parametrize(
    'name, epochs, initial',
    [
        ('yolov6_n', 40, 1),
        ('yolov6_n', 400, 4),
        ('ppyoloe_plus_s', 40, 4),
        ('ppyoloe_plus_s', 1000, 375),
        ('yolov8_n', 40, None),
    ],
)
def test_the_first_assigner_gets_its_share_of_the_run(name, epochs, initial):
    assert make(name, max_epochs=epochs).run.model.train_cfg.get('initial_epoch') == initial


@pytest.mark.parametrize('name, limit', [('ppyoloe_s', 10), ('ppyoloe_plus_s', 10), ('yolov6_n', None)])
def test_gradients_of_ppyoloe_are_limited(name, limit):
    assert make(name).run.optim_wrapper.get('clip_grad', {}).get('max_norm') == limit


def test_a_limit_of_the_user_stays():
    run = make('ppyoloe_s', cfg_options='optim_wrapper.clip_grad.max_norm=3').run
    assert run.optim_wrapper.clip_grad == {'max_norm': 3}


def test_input_sizes_of_pipelines_that_crop_later():
    rtmdet = make('rtmdet_tiny', img_size=320, max_epochs=40, pipeline='public').run
    pipeline = rtmdet.train_dataloader.dataset.pipeline
    assert transforms(pipeline, 'mmdet.RandomResize')[0].scale == (640, 640)
    assert transforms(pipeline, 'mmdet.RandomCrop')[0].crop_size == (320, 320)
    assert transforms(pipeline, 'mmdet.Pad')[0].size == (320, 320)
    last = hook(rtmdet, 'mmdet.PipelineSwitchHook').switch_pipeline
    assert transforms(last, 'mmdet.RandomResize')[0].scale == (320, 320)


def test_input_sizes_of_batches():
    yolox = make('yolox_s', img_size=320).run
    assert yolox.model.data_preprocessor.batch_augments[0].random_size_range == (256, 384)
    fast = transforms(yolox.train_dataloader.dataset.pipeline, 'FastMosaic')[0]
    assert transforms(fast.pre_transform, 'LoadCachedImage')[0].max_size == 320
    ppyoloe = make('ppyoloe_plus_s', img_size=320).run
    assert ppyoloe.model.data_preprocessor.batch_augments[0].random_size_range == (160, 384)
    (resize,) = transforms(ppyoloe.val_dataloader.dataset.pipeline, 'mmdet.FixShapeResize')
    assert (resize.width, resize.height) == (320, 320)


def test_without_loader_workers_nothing_persists():
    run = make(workers_per_gpu=0).run
    for loader in (run.train_dataloader, run.val_dataloader, run.test_dataloader):
        assert (loader.num_workers, loader.persistent_workers) == (0, False)


def test_schedule_of_yolov8_follows_the_run():
    config = make(max_epochs=40, samples_per_gpu=16, val_interval=2, num_processes=2)
    run, recipe = config.run, config.recipe
    assert recipe.iters_per_epoch == 13
    assert run.train_cfg.max_epochs == run.default_hooks.param_scheduler.max_epochs == 40
    assert run.default_hooks.param_scheduler.warmup_mim_iter == recipe.warmup_iters < 0.2 * 40 * 13
    assert run.default_hooks.param_scheduler.warmup_epochs * 13 == pytest.approx(recipe.warmup_iters)
    assert hook(run, 'mmdet.PipelineSwitchHook').switch_epoch == 40 - recipe.close_mosaic_epochs
    assert run.train_cfg.dynamic_intervals == [(40 - recipe.close_mosaic_epochs, 1)]
    assert hook(run, 'EMAHook').momentum == recipe.ema_momentum and hook(run, 'EMAHook').gamma == recipe.ema_gamma
    assert run.default_hooks.logger.interval == 13


def test_very_short_runs_keep_one_pipeline():
    run = make(max_epochs=2).run
    assert hook(run, 'mmdet.PipelineSwitchHook') is None
    assert 'dynamic_intervals' not in run.train_cfg


def test_losses_of_yolov5_are_balanced_for_classes_and_size():
    head = make('yolov5_s', img_size='320,640').run.model.bbox_head
    assert head.loss_cls.loss_weight == pytest.approx(0.5 * 3 / 80)
    assert head.loss_obj.loss_weight == pytest.approx(0.5)
    head = make('yolov5_m').run.model.bbox_head
    assert (head.loss_cls.loss_weight, head.loss_obj.loss_weight) == (pytest.approx(0.3 * 3 / 80), pytest.approx(0.7))
    head = make('yolov5_s_p6').run.model.bbox_head
    assert (head.loss_cls.loss_weight, head.loss_obj.loss_weight) == (pytest.approx(0.375 * 3 / 80), pytest.approx(3.0))
    # As many classes and pixels as COCO: as the config has it.
    original = Config.fromfile(find_model('yolov5_s').config).model.bbox_head
    names = [str(index) for index in range(80)]
    assert make('yolov5_s', class_names=names).run.model.bbox_head.loss_cls == original.loss_cls


def test_input_size_of_both_pipelines():
    run = make('yolov8_m', img_size='320,192', max_epochs=40, pipeline='public').run
    first = run.train_dataloader.dataset.pipeline
    assert transforms(first, 'Mosaic')[0].img_scale == (320, 192)
    assert transforms(first, 'YOLOv5RandomAffine')[0].border == (-160, -96)
    assert transforms(first, 'YOLOv5MixUp')[0].pre_transform[-2].img_scale == (320, 192)
    second = hook(run, 'mmdet.PipelineSwitchHook').switch_pipeline
    assert transforms(second, 'LetterResize')[0].scale == (320, 192)
    assert transforms(second, 'YOLOv5RandomAffine')[0].border == (0, 0)
    assert transforms(second, 'LoadCachedImage')[0].max_size == 320


def test_batch_shapes_follow_the_size_and_know_squares_only():
    policy = make('yolov5_n', img_size=320, samples_per_gpu=4).run.val_dataloader.dataset.batch_shapes_cfg
    assert (policy.img_size, policy.batch_size) == (320, 4)
    assert make('yolov5_n', img_size='320,192').run.val_dataloader.dataset.batch_shapes_cfg is None


@pytest.mark.parametrize(
    'name, size, nearest',
    [('yolov8_n', 200, '192 or 224'), ('yolov5_n_p6', 96, '64 or 128'), ('yolov8_n', '320,100', '320,96 or 320,128')],
)
def test_sizes_that_do_not_fit_the_strides_are_named(name, size, nearest):
    with pytest.raises(TaskError, match=nearest) as caught:
        make(name, img_size=size)
    assert code_of(caught.value) == 300001


def test_the_models_own_size():
    assert make('yolov8_n').img_size == (640, 640)
    assert make('yolov5_n_p6').img_size == (1280, 1280)
    assert resolve_size(64, (640, 640), 32) == (64, 64)


def test_options_of_albu_are_no_transforms():
    pipeline = [
        {'type': 'mmdet.Albu', 'transforms': [{'type': 'LetterResize', 'scale': 1}]},
        {'type': 'RandomChoice', 'transforms': [[{'type': 'Mosaic', 'img_scale': (1, 1)}], [{'type': 'Other'}]]},
    ]
    scale_train_size(pipeline, (2, 1), (64, 32))
    assert pipeline[1]['transforms'][0][0]['img_scale'] == (32, 32)


def test_the_cache_replaces_loading_everywhere_and_annotations_come_first():
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadAnnotations'},
        {'type': 'Mosaic', 'pre_transform': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]},
    ]
    original = copy.deepcopy(pipeline)
    cached = use_image_cache(pipeline, {'type': 'C'})
    assert [item['type'] for item in cached] == ['LoadAnnotations', 'C', 'Mosaic']
    assert [item['type'] for item in cached[2]['pre_transform']] == ['LoadAnnotations', 'C']
    assert pipeline == original


def test_the_cache_is_as_large_as_the_data():
    pipeline = make(img_size=320, pipeline='public').run.train_dataloader.dataset.pipeline
    pixels = 400 * 320 * 240 * 3
    assert pixels < transforms(pipeline, 'LoadCachedImage')[0].cache_bytes < 1.05 * pixels


@pytest.mark.parametrize(
    'name, flip, fast',
    [
        ('yolov8_n', True, [True, True]),
        ('yolov6_s', True, [True, True]),
        ('yolox_s', True, [True, True]),
        ('ppyoloe_s', False, [True]),
        ('rtmdet_tiny', False, [False, False]),  # pads and mixes behind the colours
    ],
)
def test_colour_and_flip_are_left_to_the_device_where_nothing_behind_them_looks(name, flip, fast, caplog):
    def left(pipeline, kind):
        return [step.get('on_device', False) for step in transforms(pipeline, kind)]

    for where, expected in (('cpu', False), ('auto', False), ('device', True)):  # on a CPU auto is cpu
        run = make(name, max_epochs=40, pipeline='public', augment_on=where).run
        for pipeline in (run.train_dataloader.dataset.pipeline, *switched(run)):
            assert left(pipeline, 'RandomFlip') == [expected and flip] * len(left(pipeline, 'RandomFlip'))
            assert all(one == expected for one in left(pipeline, 'YOLOv5HSVRandomAug'))
    caplog.clear()
    with caplog.at_level('INFO', logger='tmi'):
        make(name, augment_on='cpu')
        assert 'augment_on' not in caplog.text
        make(name, augment_on='device')
        assert ('augment_on: cpu, not device: ' in caplog.text) == (name == 'rtmdet_tiny')
    run = make(name, max_epochs=40, augment_on='device').run
    steps = [pipeline[0] for pipeline in (run.train_dataloader.dataset.pipeline, *switched(run))]
    assert [step.get('hsv', step).get('on_device', False) for step in steps] == fast


def switched(run):
    return [item['hook'][item['argument']] for item in switch_pipelines(run)]


def test_hooks_of_the_platform():
    run = make(patience=5, max_keep_checkpoints=3, seed=7, log_level='debug', find_unused_parameters='true').run
    checkpoint = run.default_hooks.checkpoint
    assert (checkpoint.type, checkpoint.max_keep_ckpts) == ('YmirCheckpointHook', 3)
    assert checkpoint.evaluate_config == {'conf_thr': 0.001, 'iou_thr': 0.7}
    assert hook(run, 'PatienceHook').patience == 5
    assert hook(make().run, 'PatienceHook') is None
    assert run.visualizer.vis_backends[1] == {'type': 'TensorboardVisBackend', 'save_dir': '/out/tensorboard'}
    assert (run.randomness.seed, run.log_level, run.find_unused_parameters) == (7, 'DEBUG', True)


def test_the_users_options_come_last():
    run = make(
        learning_rate=0.5,
        cfg_options='optim_wrapper.optimizer.lr=0.25 train_cfg.max_epochs=7 model.test_cfg.nms.type=soft_nms '
        'custom_hooks.0.momentum=0.5 load_from=/in/a.pth',
    ).run
    assert run.optim_wrapper.optimizer.lr == 0.25
    assert run.train_cfg.max_epochs == 7
    assert run.model.test_cfg.nms.type == 'soft_nms'
    assert run.custom_hooks[0].momentum == 0.5
    assert run.load_from == '/in/a.pth'
    assert make(learning_rate=0.5).run.optim_wrapper.optimizer.lr == 0.5


@pytest.mark.parametrize(
    'asked, fast, wrapper',
    [
        ('auto', True, 'AmpOptimWrapper'),
        ('auto', False, 'OptimWrapper'),
        ('bf16', False, 'AmpOptimWrapper'),
        ('fp32', True, 'OptimWrapper'),
    ],
)
def test_precision_on_a_cpu(asked, fast, wrapper, monkeypatch):
    monkeypatch.setattr(precision, 'cpu_has_fast_bf16', lambda: fast)
    run = make(precision=asked).run
    assert run.optim_wrapper.type == wrapper
    assert run.val_cfg.fp16 is (wrapper == 'AmpOptimWrapper')


def test_fp16_on_a_cpu_is_rejected():
    with pytest.raises(TaskError, match='fp16 needs a GPU'):
        make(precision='fp16')


@pytest.mark.parametrize('flags, fast', [('fpu avx512_bf16 x', True), ('fpu amx_bf16', True), ('fpu avx2', False)])
def test_bf16_is_found_by_the_flags_of_the_cpu(flags, fast, tmp_path, monkeypatch):
    info = tmp_path / 'cpuinfo'
    info.write_text(f'processor\t: 0\nflags\t\t: {flags}\n')
    monkeypatch.setattr(precision, 'CPU_INFO', info)
    assert precision.cpu_has_fast_bf16() is fast
    monkeypatch.setattr(precision, 'CPU_INFO', tmp_path / 'absent')
    assert precision.cpu_has_fast_bf16() is False


@pytest.mark.parametrize('name', ['yolov5_n', 'yolov8_n'])
def test_the_package_config_is_data_and_builds_the_model(name, tmp_path):
    config = make(name, img_size=320, cfg_options='model.test_cfg.score_thr=0.02')
    path = tmp_path / 'package.py'
    path.write_text(config.package.pretty_text, encoding='utf-8')
    package = read_literal_config(path)
    assert package == Config.fromfile(path).to_dict()
    assert package['class_names'] == tuple(NAMES) and package['img_scale'] == (320, 320)
    assert package['model']['test_cfg']['score_thr'] == 0.02
    assert package['test_dataloader']['dataset']['pipeline'] == package['test_pipeline']
    register_all_modules()
    state = MODELS.build(package['model']).state_dict()
    assert state.keys() == MODELS.build(config.run.model).state_dict().keys()


def test_the_run_config_survives_its_file(tmp_path):
    config = make()
    path = tmp_path / 'run.py'
    path.write_text(config.run.pretty_text, encoding='utf-8')
    assert read_literal_config(path) == config.run.to_dict()
    assert DATASETS.get(config.run.train_dataloader.dataset.type) is not None
