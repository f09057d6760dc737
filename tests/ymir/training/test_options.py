"""cfg_options and args_options: what may be set, and what is rejected before anything runs or is written."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmyolo.utils.literal_config import dump_literal_config, read_literal_config
from tmi.errors import TaskError
from tmi.training.option_types import KINDS, may_be_named
from tmi.training.options import UserOptions, apply_options, check_options, parse_cfg_options, read_options
from ymir.errors import code_of
from ymir.params import TrainingParams, load_params

OUT = Path('/out')


def read(cfg_options='', args_options='', out=OUT):
    params = load_params(
        TrainingParams, {'class_names': ['a'], 'cfg_options': cfg_options, 'args_options': args_options}
    )
    options = read_options(params)
    check_options(options, out, out / 'models')
    return options


def config():
    return Config(
        {
            'model': {
                'type': 'YOLODetector',
                'test_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'multi_label': True},
            },
            'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.1}],
            'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1, 'betas': (0.9, 0.99)}},
        }
    )


@pytest.mark.parametrize(
    'text, options',
    [
        ('', {}),
        ('--cfg-options a.b=1 c=x', {'a.b': 1, 'c': 'x'}),
        ('a=[1,2] b=1,2 c=(1,2)', {'a': [1, 2], 'b': [1, 2], 'c': (1, 2)}),
        ('a="two words" b=None c=True d=k=v', {'a': 'two words', 'b': None, 'c': True, 'd': 'k=v'}),
    ],
)
def test_words_of_cfg_options(text, options):
    assert parse_cfg_options(text) == options


@pytest.mark.parametrize(
    'text',
    [
        'a',
        'a=1 b',
        '=1',
        'a="1',
        'a=[1,2',
        'a=' + '[' * 5000,
        'a=(1',
        'a=' + '[' * 5000 + ']' * 5000,
        'a=[1)',
        'a=((1,2)',
    ],
)
def test_bad_words_of_cfg_options_are_named(text):
    with pytest.raises(TaskError, match='cfg_options') as caught:
        parse_cfg_options(text)
    assert code_of(caught.value) == 300001


@pytest.mark.parametrize(
    'text, arguments, options',
    [
        ('', [], {}),
        ('--amp  --resume', ['--amp', '--resume'], {}),
        ('--resume auto', ['--resume'], {}),
        ('--work-dir /out/models --amp', ['--amp'], {}),
        (
            '--cfg-options train_cfg.max_epochs=7 optim_wrapper.optimizer.lr=0.1 --amp',
            ['--amp'],
            {'train_cfg.max_epochs': 7, 'optim_wrapper.optimizer.lr': 0.1},
        ),
    ],
)
def test_arguments(text, arguments, options):
    found = read('train_cfg.max_epochs=3' if options else '', text)
    assert (found.arguments, found.config) == (arguments, options)


@pytest.mark.parametrize(
    'text, words',
    [
        ('--resume "a', 'close every quote'),
        ('--nothing', "'--nothing'"),
        ('--amp=3', 'ignored explicit argument'),
        ('--res x', "'--res'"),
        ('--help', "'--help'"),
        ('-h', "'-h'"),
        ('--resume-from a.pth', "'--resume-from'"),
        ('--launcher pytorch', "'--launcher'"),
        ('--local_rank 1', "'--local_rank'"),
        ('some.py', "'some.py'"),
        ('--work-dir /tmp/x', 'works in /out/models'),
        ('--work-dir=/out/models/../../tmp', 'works in /out/models'),
        ('--work-dir', 'expected one argument'),
        ('--cfg-options', 'expected at least one argument'),
        ('--cfg-options x', 'no key=value'),
        ('--cfg-options custom_imports.imports=[os]', 'custom_imports'),
        ('--amp --cfg-options default_hooks.x.type=os.system default_hooks.x.command=id', 'no class of this image'),
    ],
)
def test_arguments_that_are_rejected(text, words):
    with pytest.raises(TaskError) as caught:
        read('', text)
    assert code_of(caught.value) == 300001
    assert words in caught.value.sentence and 'config.yaml' in caught.value.sentence


ALLOWED = [
    'model.test_cfg.nms.type=soft_nms model.test_cfg.score_thr=0.01',
    'model.backbone.norm_cfg.type=GN model.bbox_head.loss_cls.type=mmdet.FocalLoss',
    'model.train_cfg.assigner.type=BatchTaskAlignedAssigner',
    'optim_wrapper.optimizer.type=AdamW optim_wrapper.optimizer.lr=1e-3 '
    'optim_wrapper.constructor=DefaultOptimWrapperConstructor',
    'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1 optim_wrapper.clip_grad.max_norm=3',
    'custom_hooks.0.type=EMAHook default_hooks.visualization.type=mmdet.DetVisualizationHook',
    'custom_hooks.0.ema_type=ExpMomentumEMA model.backbone.padding_mode=reflect '
    'model.backbone.init_cfg.prefix=backbone.',
    'train_dataloader.dataset.ann_file=train.json train_dataloader.dataset.data_prefix.img=images.train',
    'default_hooks.logger.interval=5 default_hooks.timer=None default_hooks.checkpoint.filename_tmpl=e{:03d}.pth',
    'optim_wrapper.loss_scale=dynamic train_dataloader.num_workers=0 val_evaluator.classwise=True '
    'train_cfg.max_epochs=30',
    'val_evaluator.proposal_nums=(100,1,10) param_scheduler.0.T_max=10 model.backbone.frozen_stages=2 '
    'custom_hooks.0.momentum=2e-4',
    'visualizer.vis_backends.0.save_dir=/out/curves visualizer.vis_backends.0.type=TensorboardVisBackend',
    'train_dataloader.sampler.type=mmdet.ClassAwareSampler train_dataloader.dataset.pipeline.2.type=mmdet.RandomFlip',
    'val_evaluator.type=mmdet.CocoMetric val_evaluator.outfile_prefix=/out/boxes val_evaluator.prefix=coco',
    'train_dataloader.dataset.ann_file=/in/other.json train_dataloader.dataset.data_prefix.img=/in/assets/',
    'env_cfg.cudnn_benchmark=True env_cfg.dist_cfg.timeout=60 env_cfg.dist_cfg.backend=gloo',
    'param_scheduler.0.type=CosineAnnealingLR randomness.deterministic=True resume=True find_unused_parameters=True',
    'val_evaluator.metric=bbox log_level=DEBUG model.data_preprocessor.mean=[1.,2.,3.]',
]


@pytest.mark.parametrize('text', ALLOWED)
def test_what_may_be_set(text):
    assert len(read(text).config) == len(text.split())


REJECTED = [
    *[
        (f'{place}.type={name}', 'no class of this image')
        for place in (
            'default_hooks.x',
            'custom_hooks.0',
            'model',
            'model.backbone',
            'val_evaluator',
            'train_cfg',
            'visualizer',
            'train_dataloader.dataset',
            'train_dataloader.sampler',
            'train_dataloader.collate_fn',
            'log_processor',
            'optim_wrapper',
            'optim_wrapper.optimizer',
            'param_scheduler.0',
            'model_wrapper_cfg',
            'model.init_cfg',
        )
        for name in ('os.system', 'mmengine.load', 'mmengine.rmtree', 'builtins.exec', 'subprocess', 'NoSuchClass')
    ],
    ('model.backbone.norm_cfg.type=torch.load', 'no class'),
    *[
        (f'{key}=os.system', 'no class')
        for key in (
            'custom_hooks.0.ema_type',
            'train_dataloader.dataset.pipeline.1.resize_type',
            'model.backbone.padding_mode',
            'model.neck.any_other',
            'default_hooks.x.y',
        )
    ],
    ('train_dataloader.dataset.pipeline.1.y=[1,os.system]', 'no class'),
    ('custom_hooks.0.ema_type=system', 'no class'),
    ('model.type=5', 'no class'),
    ('optim_wrapper.constructor=os.system', 'no class'),
    ('default_hooks.x.type=YOLODetectorX', 'no class'),
    ('val_evaluator.type=DumpResults', 'no class'),
    ('model.type=mmdet.KnowledgeDistillationSingleStageDetector', 'no class'),
    ('custom_hooks.0.type=ProfilerHook', 'no class'),
    *[
        (
            f'train_dataloader.dataset.type=mmdet.{name}',
            'no class',
        )  # read pickles whatever the suffix, or write beside the file
        for name in ('RefCocoDataset', 'OpenImagesDataset', 'OpenImagesChallengeDataset', 'CrowdHumanDataset')
    ],
    *[
        (f'val_evaluator.type=mmdet.{name}', 'no class') for name in ('MOTChallengeMetric', 'CityScapesMetric')
    ],  # remove folders
    ('visualizer.vis_backends.0.type=WandbVisBackend', 'no class'),
    ('model.test_cfg.nms.type=__import__("os").system("id")', 'nms or soft_nms'),
    ('model.teacher_config=x.py', 'teacher_config'),
    ('model.teacher=/in/x.py', 'files of code'),
    ('custom_imports.imports=[antigravity]', 'custom_imports'),
    ('_base_=/in/x.py', '_base_'),
    ('model._scope_=os', '_scope_'),
    ('default_scope=os', 'default_scope is not a setting'),
    ('launcher=slurm', 'launcher is not a setting'),
    ('work_dir=/tmp/x', 'work_dir is not a setting'),
    ('runner_type=FlexibleRunner', 'runner_type is not a setting'),
    ('optim_wraper.optimizer.lr=1', 'did you mean optim_wrapper?'),
    ('train_dataloader.worker_init_fn.type=os.system', 'worker_init_fn'),
    ('train_dataloader.dataset.backend_args.backend=petrel', 'backend_args'),
    ('env_cfg.dist_cfg.init_method=tcp://1.2.3.4:5', 'init_method'),
    ('env_cfg.dist_cfg.backend=mpi', 'nccl or gloo'),
    ('env_cfg.mp_cfg.mp_start_method=spawn', 'mp_start_method'),
    *[
        (f'{key}={value}', 'must lie below /out')
        for key in (
            'default_hooks.checkpoint.out_dir',
            'visualizer.save_dir',
            'visualizer.vis_backends.1.save_dir',
            'val_evaluator.outfile_prefix',
            'default_hooks.visualization.test_out_dir',
            'custom_hooks.0.result_path',
            'custom_hooks.0.json_trace_path',
            'default_hooks.logger.out_dir',
            'visualizer.vis_backends.0.config_save_file',
        )
        for value in ('/tmp/x', 'x', '../x', '/out/../tmp/x', '/output/x')
    ],
    ('visualizer.name=../../x', 'must lie below /out'),
    ('default_hooks.checkpoint.filename_tmpl=/tmp/epoch_{}', 'must lie below /out'),
    ('train_dataloader.dataset.proposal_file=/in/x.json', 'must lie below /out'),
    *[
        (f'train_dataloader.dataset.ann_file=/in/x.{suffix}', 'pickles')
        for suffix in ('pkl', 'pickle', 'yaml', 'YML', 'npy', 'py')
    ],
    ('train_dataloader.dataset.ann_file=http://nowhere/x.json', 'addresses'),
    ('load_from=https://nowhere/x.pth', 'addresses'),
    ('model.name={{_base_.x}}', '{{...}}'),
    ('"model.x\'+str(1)+\'=1"', 'names and dots'),
    ('"model.a b=1"', 'names and dots'),
    ('model..x=1', 'names and dots'),
    *[
        (f'optim_wrapper.optimizer.lr={value}', 'allowed is a number from 0 to 10')
        for value in ('nan', 'inf', '-inf', '-1', '11', 'fast', 'True', '1e999')
    ],
    ('optim_wrapper.optimizer.weight_decay=nan', 'allowed is a number'),
    ('optim_wrapper.optimizer.momentum=2', 'from 0 to 1'),
    ('train_cfg.max_epochs=0', 'from 1 to'),
    ('train_dataloader.batch_size=-2', 'from 1 to'),
    ('model.test_cfg.score_thr=nan', 'from 0 to 1'),
    ('model.bbox_head.loss_cls.loss_weight=nan', 'a finite number'),
    ('model.data_preprocessor.mean=[1.,inf,3.]', 'a finite number'),
]


@pytest.mark.parametrize('text, words', REJECTED)
def test_what_is_rejected(text, words):
    for source in ({'cfg_options': text}, {'args_options': f'--cfg-options {text}'}):
        with pytest.raises(TaskError) as caught:
            read(**source)
        assert code_of(caught.value) == 300001
        assert words in caught.value.sentence and text[:3].strip('"') in caught.value.sentence
        assert f'config.yaml, {next(iter(source))}: ' in caught.value.sentence


# Registered by the packages of today, and they run code of files or texts, load from the network, or write and remove.
UNSAFE = """KnowledgeDistillationSingleStageDetector LAD CameraMotionCompensation AppearanceFreeLink RFSearchHook
    ProfilerHook NPUProfilerHook DumpResults DumpDetResults DumpProposals DumpODVGResults BertModel ATSSVLFusionHead
    RandomSamplingNegPos DSDLDetDataset WandbVisBackend MLflowVisBackend ClearMLVisBackend NeptuneVisBackend
    DVCLiveVisBackend AimVisBackend RefCocoDataset OpenImagesDataset OpenImagesChallengeDataset CrowdHumanDataset
    MOTChallengeMetric CityScapesMetric COCOCaptionMetric CocoOccludedSeparatedMetric Detectron2Wrapper""".split()


@pytest.mark.parametrize('name', UNSAFE)
def test_what_is_registered_and_unsafe_cannot_be_named(name):
    assert not [key for key in KINDS for scope in ('', 'mmdet.', 'mmengine.') if may_be_named(scope + name, key)]


def test_paths_through_links_are_rejected(tmp_path):
    for name in ('curves', 'elsewhere', 'out'):
        (tmp_path / name).mkdir()
    (tmp_path / 'out' / 'link').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'out' / 'tensorboard').symlink_to(tmp_path / 'curves')  # as the platform makes it
    read(f'visualizer.save_dir={tmp_path}/out/tensorboard/x', out=tmp_path / 'out')
    with pytest.raises(TaskError, match='must lie below'):
        read(f'visualizer.save_dir={tmp_path}/out/link/x', out=tmp_path / 'out')


@pytest.mark.parametrize(
    'option, words',
    [
        ('model=None', 'a group of settings'),
        ('model.test_cfg=5', 'a group of settings'),
        ('custom_hooks=[1,2]', 'a list of 1 groups'),
        ('custom_hooks.1.momentum=1', 'a list of 1; allowed'),
        ('custom_hooks.x=1', 'a list of 1; allowed'),
        ('optim_wrapper.optimizer.lr.x=1', 'has no settings of its own'),
        ('optim_wrapper.optimizer.lr=much', 'a number is needed'),
        ('model.test_cfg.multi_label=maybe', 'true or false is needed'),
        ('optim_wrapper.optimizer.betas=x', 'a list is needed'),
    ],
)
def test_places_that_hold_something_else(option, words):
    with pytest.raises(TaskError) as caught:
        apply_options(config(), UserOptions(parse_cfg_options(option), [], '', ''))
    assert code_of(caught.value) == 300001 and words in caught.value.sentence


def test_options_are_applied():
    changed = config()
    text = 'custom_hooks.0.momentum=0.5 model.test_cfg.nms.iou_threshold=0.6 model.new.x=1'
    apply_options(changed, UserOptions(parse_cfg_options(text), [], '', ''))
    assert changed.custom_hooks[0].momentum == 0.5
    assert changed.model.test_cfg.nms.iou_threshold == 0.6 and changed.model.new.x == 1


@pytest.mark.parametrize(
    'name', ['{{_base_.x}}', '{{ fileDirname }}', "{{$HOME:'+str(1)+'}}", "a'b", 'a"b', 'a\\{{b', 'a\nb']
)
def test_a_config_is_written_as_data(tmp_path, name):
    written = Config({'classes': (name, 'b'), 'x': {'y': [name]}})
    path = tmp_path / 'c.py'
    path.write_text(dump_literal_config(written, path))
    assert read_literal_config(path) == written.to_dict() == Config.fromfile(path).to_dict()


class Evil:
    def __reduce__(self):
        return os.system, ('touch evil',)


@pytest.mark.parametrize(
    'content, resume, words',
    [
        (None, False, 'is not a file in this container'),
        (b'PK\x03\x04junk', False, 'Cannot load the weights'),
        (pickle.dumps({'state_dict': Evil()}), False, 'Cannot load the weights'),
        ({'state_dict': {'a': torch.zeros(1)}, 'meta': {'epoch': 3}}, True, 'holds weights only'),
        ({'a': torch.zeros(1)}, True, 'name the resume.pth'),
    ],
)
def test_checkpoints_of_options(tmp_path, monkeypatch, content, resume, words):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'epoch_3.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        torch.save(content, path)
    texts = [{'args_options': f'--resume {path}'}, {'cfg_options': f'resume=True load_from={path}'}]
    if not resume:
        keys = ('load_from', 'model.backbone.init_cfg.checkpoint', 'model.teacher')
        texts += [{'cfg_options': f'{key}={path}'} for key in keys]
    for text in texts:
        with pytest.raises(TaskError) as caught:
            read(**text)
        assert code_of(caught.value) == 300004 and words in caught.value.sentence
    assert not (tmp_path / 'evil').exists()
    if resume:
        read(cfg_options=f'load_from={path}')
