"""The fast form of the training pipelines of the zoo."""

import logging

import numpy as np
import pytest
from mmengine.config import Config

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.registry import DATASETS, TRANSFORMS
from mmyolo.utils import register_all_modules
from tests.mmyolo.datasets.transforms.fast_data import (
    AFFINE,
    FLIP,
    HSV,
    MOSAIC,
    PACK,
    RANDOM_CROP,
    RANDOM_RESIZE,
    write_data,
)
from tests.ymir.training.platform import check_result, run_start, tiny_task
from tests.ymir.training.test_training_config import make
from tmi.families import fast_pipeline as module
from tmi.families.dense import use_image_cache
from tmi.families.dense_schedule import switch_pipelines
from tmi.families.fast_pipeline import NotFast, fast_pipeline, use_fast_pipelines
from tmi.training.data import TrainingData
from tmi.zoo.models import find_model

LOAD = [{'type': 'LoadAnnotations', 'with_bbox': True}, {'type': 'LoadCachedImage', 'max_size': 128}]
LETTER, RESIZE = {'type': 'LetterResize', 'scale': (9, 9)}, {'type': 'Resize', 'scale': (9, 9), 'keep_ratio': True}
CROPPING = [{'type': 'PPYOLOERandomDistort'}, {'type': 'mmdet.Expand'}, {'type': 'PPYOLOERandomCrop'}]
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
        ('yolox_s', ['FastMosaic', 'FilterAnnotations', 'PackDetInputs']),
        ('yolox_s_fast_8xb32', ['FastMosaic', 'FilterAnnotations', 'PackDetInputs']),
        ('rtmdet_tiny', ['FastMosaic', 'mmdet.Pad', 'YOLOv5MixUp', 'PackDetInputs']),
        ('rtmdet_l', ['FastMosaic', 'mmdet.Pad', 'YOLOv5MixUp', 'PackDetInputs']),
        ('ppyoloe_s', ['FastCrop', 'PackDetInputs']),
        ('ppyoloe_plus_s', ['FastCrop', 'PackDetInputs']),
    ],
)
def test_models_with_a_fast_form(name, expected, caplog):
    with caplog.at_level(logging.INFO, logger='tmi'):
        run = make(name, img_size=320, max_epochs=40).run
    last = ['FastImage', *(kind for kind in expected[1:] if kind != 'YOLOv5MixUp')]
    switched = [kinds(item['hook'][item['argument']]) for item in switch_pipelines(run)]
    closes = name not in ('yolov5_n', 'yolov7_tiny') and not name.startswith('ppyoloe')
    assert switched == ([last] if closes else [])
    assert lines(caplog) == ['pipeline: fast; last epochs fast' if closes else 'pipeline: fast']
    pipeline = run.train_dataloader.dataset.pipeline
    assert kinds(pipeline) == expected
    public = Config.fromfile(find_model(name).config).train_dataloader.dataset.pipeline
    fast = TRANSFORMS.build(pipeline[0].to_dict())
    if expected[0] == 'FastMosaic':
        assert fast.kinds[0].mosaic.img_scale == (320, 320)
        assert len(fast.kinds) == (2 if name == 'yolov7_tiny' else 1)
        mixups = {'YOLOv5MixUp', 'YOLOXMixUp'} & set(kinds(public)) - set(expected)
        assert (fast.mixup is None) == (not mixups)
        assert fast.end.hsv is not None
    assert fast.end.flip is not None


def lines(caplog):
    return [record.message for record in caplog.records if record.message.startswith('pipeline')]


def test_a_model_without_one_keeps_the_public_transforms_and_says_why(caplog):
    load = [{'type': 'LoadAnnotations'}, {'type': 'LoadCachedImage'}]
    pipelines = [('', [*load, {'type': 'YOLOv5CopyPaste'}]), ('last epochs', [*load, FLIP])]
    with caplog.at_level(logging.INFO, logger='tmi'):
        assert use_fast_pipelines(pipelines, 'fast') == [pipeline for _, pipeline in pipelines]
    reason = 'public, not fast: the augmentation of this model has no fast form, since it has no mosaic'
    assert lines(caplog) == [f'pipeline: {reason}; last epochs {reason}']


def test_the_public_form_is_told(caplog):
    with caplog.at_level(logging.INFO, logger='tmi'):
        make('yolov8_n', pipeline='public')
    assert lines(caplog) == ['pipeline: public; last epochs public']


@pytest.mark.parametrize(
    'name', ['yolov5_n', 'yolov6_n', 'yolov7_tiny', 'yolov8_m', 'yolox_nano', 'yolox_s', 'rtmdet_s']
)
@pytest.mark.parametrize('last', [False, True], ids=['first epochs', 'last epochs'])
def test_a_data_set_gives_samples_of_the_input_size(name, last, tmp_path):
    data = TrainingData(write_data(tmp_path), tmp_path / 'val.json', ((128, 96),) * 12)
    run = make(name, img_size='128,96', class_names=['cat', 'dog', 'gnu'], data=data, max_epochs=40).run
    config = run.train_dataloader
    if last:
        for item in switch_pipelines(run):
            config.dataset.pipeline = item['hook'][item['argument']]
    config.dataset.data_prefix = {'img': f'{tmp_path}/'}
    register_all_modules()
    dataset = DATASETS.build(config.dataset)
    samples = [dataset[index] for index in range(12)]
    assert {tuple(sample['inputs'].shape) for sample in samples} == {(3, 96, 128)}
    boxes = np.concatenate([sample['data_samples'].gt_instances.bboxes.numpy() for sample in samples])
    assert len(boxes) > 12 and boxes.min() >= 0 and (boxes.max(axis=0) <= (128, 96, 128, 96)).all()
    crops = name.startswith('rtmdet')  # a crop without boxes is left out in favour of another image
    assert len({sample['data_samples'].img_path for sample in samples}) >= (6 if crops else 12)


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


def test_colours_of_the_padding_may_be_three_numbers_and_differ():
    mosaic, affine = dict(MOSAIC, pad_val=[1, 2, 3]), dict(AFFINE, border_val=[4, 5, 6])
    fast, *_ = fast_pipeline([*LOAD, dict(mosaic, pre_transform=LOAD), affine, PACK])
    assert fast['mosaics'] == [[mosaic, affine]]
    geometry = TRANSFORMS.build(fast).kinds[0]
    assert (geometry.pad, geometry.border) == ((1, 2, 3), (4, 5, 6))


def test_a_mixup_with_a_cache_of_its_own_stays():
    mixup = {'type': 'YOLOv5MixUp', 'use_cached': True}
    cached = dict(MOSAIC, use_cached=True)
    fast, *rest = fast_pipeline([*LOAD, cached, RANDOM_RESIZE, RANDOM_CROP, {'type': 'mmdet.RandomFlip'}, mixup, PACK])
    assert fast['mosaics'] == [[cached, RANDOM_RESIZE, RANDOM_CROP]] and fast['flip'] == {'type': 'RandomFlip'}
    assert fast['buffer_images'] == 0 and 'mixup' not in fast
    assert rest == [mixup, PACK]


def test_effects_of_albumentations_stay_in_their_place(monkeypatch):
    monkeypatch.setattr(module, 'has_albumentations', lambda: True)
    albu = {'type': 'mmdet.Albu', 'transforms': []}
    assert fast_pipeline([*LOAD, WITH_LOAD, AFFINE, albu, HSV, FLIP, PACK])[1:] == [albu, HSV, FLIP, PACK]


@pytest.mark.parametrize(
    'steps, reason',
    [
        ([*LOAD, PACK], 'no mosaic'),
        ([PACK], 'begin with LoadAnnotations'),
        ([*LOAD, WITH_LOAD, HSV], 'followed by YOLOv5HSVRandomAug'),
        ([*LOAD, WITH_LOAD], 'followed by nothing'),
        ([*LOAD, dict(WITH_LOAD, prob=0.5), AFFINE], 'prob'),
        ([*LOAD, dict(MOSAIC, pre_transform=LOAD[:1]), AFFINE], 'in another way'),
        ([*LOAD, WITH_LOAD, AFFINE, {'type': 'YOLOv5MixUp', 'pre_transform': LOAD}], 'no mosaic'),
        ([*LOAD, WITH_LOAD, AFFINE, {'type': 'YOLOXMixUp', 'pre_transform': LOAD[:1]}], 'YOLOXMixUp is loaded in'),
        ([*LOAD, WITH_LOAD, {'type': 'Resize', 'scale': (9, 9)}], 'Mosaic is followed by Resize'),
        ([*LOAD, {'type': 'Resize', 'scale_factor': 0.5}], 'Resize has no scale'),
        ([*LOAD, LETTER, {'type': 'Resize', 'scale': (9, 9)}], 'LetterResize is followed by Resize'),
        ([*LOAD, RESIZE, {'type': 'Pad', 'size': (9, 9), 'padding_mode': 'edge'}], 'padding_mode'),
        ([*LOAD, dict(RANDOM_RESIZE, resize_type='FixScaleResize')], 'RandomResize is one by FixScaleResize'),
        ([*LOAD, RANDOM_RESIZE, dict(RANDOM_CROP, recompute_bbox=True)], 'recompute_bbox'),
        ([dict(LOAD[0], with_mask=True), LOAD[1], LETTER], 'not only boxes to be moved .with_mask'),
        ([dict(LOAD[0], with_mask=True), LOAD[1], *CROPPING], 'not only boxes to be moved .with_mask'),
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


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize('name', ['yolov8_n', 'yolox_nano', 'rtmdet_tiny', 'ppyoloe_plus_s'])
def test_a_training_passes_into_its_last_epochs(name, tmp_path):
    """With colours on the device, and a size that is not square."""
    task = tiny_task(
        tmp_path,
        model_name=name,
        img_size='96,64',
        max_epochs=8,
        val_interval=8,
        workers_per_gpu=1,
        augment_on='device',
        cfg_options=' '.join(
            f'model.{part}.widen_factor=0.125' for part in ('backbone', 'neck', 'bbox_head.head_module')
        ),
    )
    done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    closes = not name.startswith('ppyoloe')
    assert ('pipeline: fast; last epochs fast' if closes else 'pipeline: fast') in done.stdout
    words = ('Switch pipeline now!', 'the training pipeline is switched')
    assert any(one in done.stdout for one in words) == closes
    check_result(task)
