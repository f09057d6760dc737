"""The fast form of the training pipelines of the zoo."""

import logging

import numpy as np
import pytest
from mmengine.config import Config

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.datasets.transforms import FastMosaic
from mmyolo.registry import DATASETS, TRANSFORMS
from mmyolo.utils import register_all_modules
from tests.mmyolo.datasets.transforms.fast_data import AFFINE, FLIP, HSV, MOSAIC, PACK, write_data
from tests.ymir.training.test_training_config import hook, make
from tmi.families import fast_pipeline as module
from tmi.families.dense import use_image_cache
from tmi.families.fast_pipeline import NotFast, fast_pipeline
from tmi.training.data import TrainingData
from tmi.zoo.models import find_model

LOAD = [{'type': 'LoadAnnotations', 'with_bbox': True}, {'type': 'LoadCachedImage', 'max_size': 128}]
WITH_LOAD = dict(MOSAIC, pre_transform=LOAD)


def kinds(pipeline):
    return [step['type'] for step in pipeline]


@pytest.mark.parametrize(
    'name, expected',
    [
        ('yolov5_n', ['FastMosaic', 'PackDetInputs']),
        ('yolov6_s', ['FastMosaic', 'PackDetInputs']),
        ('yolov7_tiny', ['FastMosaic', 'PackDetInputs']),
        ('yolov8_n', ['FastMosaic', 'PackDetInputs']),
        ('yolov8_m', ['FastMosaic', 'PackDetInputs']),
        (
            'yolox_s',
            ['FastMosaic', 'YOLOXMixUp', 'mmdet.YOLOXHSVRandomAug', 'RandomFlip', 'FilterAnnotations', 'PackDetInputs'],
        ),
    ],
)
def test_models_with_a_fast_form(name, expected):
    pipeline = make(name, img_size=320).run.train_dataloader.dataset.pipeline
    assert kinds(pipeline) == expected
    public = Config.fromfile(find_model(name).config).train_dataloader.dataset.pipeline
    fast = TRANSFORMS.build(pipeline[0].to_dict())
    assert isinstance(fast, FastMosaic)
    assert fast.kinds[0].mosaic.img_scale == (320, 320) and fast.kinds[0].affine.border in ((-160, -160), [-160, -160])
    assert len(fast.kinds) == (2 if name == 'yolov7_tiny' else 1)
    assert (fast.mixup is None) == ('YOLOv5MixUp' not in kinds(public))


@pytest.mark.parametrize(
    'name, reason', [('ppyoloe_s', 'it has no mosaic'), ('rtmdet_tiny', 'Mosaic is followed by RandomResize')]
)
def test_models_without_one_keep_the_public_transforms_and_say_why(name, reason, caplog):
    with caplog.at_level(logging.INFO, logger='tmi'):
        fast = make(name).run.train_dataloader.dataset.pipeline
    assert [record.message for record in caplog.records if record.message.startswith('pipeline')] == [
        f'pipeline: public, not fast: the augmentation of this model has no fast form, since {reason}'
    ]
    assert fast == make(name, pipeline='public').run.train_dataloader.dataset.pipeline


@pytest.mark.parametrize('name', ['yolov5_n', 'yolov6_n', 'yolov7_tiny', 'yolov8_m', 'yolox_nano', 'yolox_s'])
def test_a_data_set_gives_samples_of_the_input_size(name, tmp_path):
    data = TrainingData(write_data(tmp_path), tmp_path / 'val.json', ((128, 96),) * 12)
    config = make(name, img_size='128,96', class_names=['cat', 'dog', 'gnu'], data=data).run.train_dataloader
    config.dataset.data_prefix = {'img': f'{tmp_path}/'}
    register_all_modules()
    dataset = DATASETS.build(config.dataset)
    samples = [dataset[index] for index in range(12)]
    assert {tuple(sample['inputs'].shape) for sample in samples} == {(3, 96, 128)}
    boxes = np.concatenate([sample['data_samples'].gt_instances.bboxes.numpy() for sample in samples])
    assert len(boxes) > 12 and boxes.min() >= 0 and (boxes.max(axis=0) <= (128, 96, 128, 96)).all()
    assert len({sample['data_samples'].img_path for sample in samples}) == 12


def test_all_numbers_of_the_public_transforms_stay():
    albu = {'type': 'mmdet.Albu', 'transforms': []}
    mixup = {'type': 'YOLOv5MixUp', 'prob': 0.1, 'pre_transform': [*LOAD, WITH_LOAD, AFFINE]}
    steps = [*LOAD, WITH_LOAD, AFFINE, {'type': 'RemoveDataElement', 'keys': ['a']}, mixup, albu, HSV, FLIP, PACK]
    fast, *rest = fast_pipeline(steps)
    assert fast == {
        'type': 'FastMosaic',
        'pre_transform': [LOAD[0], dict(LOAD[1], scale_annotations=False)],
        'mosaics': [[MOSAIC, AFFINE]],
        'mixup': {'type': 'YOLOv5MixUp', 'prob': 0.1},
        'hsv': HSV,
        'flip': FLIP,
    }
    assert kinds(rest) == ['RemoveDataElement', 'PackDetInputs']
    assert mixup['pre_transform'] and WITH_LOAD['pre_transform']  # what was given is unchanged


def test_effects_of_albumentations_stay_in_their_place(monkeypatch):
    monkeypatch.setattr(module, 'albumentations', object())
    albu = {'type': 'mmdet.Albu', 'transforms': []}
    assert fast_pipeline([*LOAD, WITH_LOAD, AFFINE, albu, HSV, FLIP, PACK])[1:] == [albu, HSV, FLIP, PACK]


@pytest.mark.parametrize(
    'steps, reason',
    [
        ([*LOAD, PACK], 'no mosaic'),
        ([PACK], 'begin with LoadAnnotations'),
        ([*LOAD, WITH_LOAD, HSV], 'followed by YOLOv5HSVRandomAug'),
        ([*LOAD, WITH_LOAD], 'followed by nothing'),
        ([*LOAD, dict(WITH_LOAD, use_cached=True), AFFINE], 'use_cached'),
        ([*LOAD, dict(WITH_LOAD, prob=0.5), AFFINE], 'prob'),
        ([*LOAD, dict(MOSAIC, pre_transform=LOAD[:1]), AFFINE], 'in another way'),
        ([*LOAD, dict(WITH_LOAD, pad_val=0), AFFINE], r'pad_val and border_val .* differ: \[0, 114\]'),
        ([*LOAD, WITH_LOAD, dict(AFFINE, border_val=(114, 114, 7))], r'differ: \[7, 114'),
        ([*LOAD, dict(WITH_LOAD, pad_val=7), {'type': 'RandomAffine'}], r'differ: \[7, 114\]'),  # the default
        ([*LOAD, WITH_LOAD, AFFINE, {'type': 'YOLOv5MixUp', 'pre_transform': LOAD}], 'no mosaic'),
        ([*LOAD, WITH_LOAD, AFFINE, {'type': 'YOLOv5MixUp', 'use_cached': True}], 'in another way than the first'),
        (
            [
                *LOAD,
                WITH_LOAD,
                AFFINE,
                {'type': 'YOLOv5MixUp', 'pre_transform': [*LOAD, WITH_LOAD, dict(AFFINE, border=(1, 1))]},
            ],
            'in another way than the first',
        ),
    ],
)
def test_what_has_no_fast_form(steps, reason):
    with pytest.raises(NotFast, match=reason):
        fast_pipeline(steps)


def test_the_image_cache_reaches_into_choices():
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
    choice = {'type': 'RandomChoice', 'transforms': [[dict(MOSAIC, pre_transform=load), AFFINE]]}
    (step,) = use_image_cache([choice], {'type': 'C'})
    assert kinds(step['transforms'][0][0]['pre_transform']) == ['LoadAnnotations', 'C']


def test_the_last_epochs_have_no_mosaic():
    switched = hook(make('yolov8_n', max_epochs=40).run, 'mmdet.PipelineSwitchHook').switch_pipeline
    assert not {'Mosaic', 'FastMosaic'} & set(kinds(switched))
