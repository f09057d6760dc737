"""From collated batches to model input."""

import random

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub

from mmyolo.models.data_preprocessors import YOLOv5DetDataPreprocessor, YOLOXBatchSyncRandomResize

NORMALISE = {'mean': [0.0, 0.0, 0.0], 'std': [255.0, 255.0, 255.0], 'bgr_to_rgb': True}


def batch(height: int = 8, width: int = 6) -> dict:
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 1.0, 1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 2.0, 2.0, 6.0, 8.0]])
    return {'inputs': images, 'data_samples': {'bboxes_labels': boxes, 'img_metas': [{}, {}]}}


@pytest.mark.parametrize(
    'mean, std', [([0.0, 0.0, 0.0], [255.0, 255.0, 255.0]), ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])]
)
@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_training_batch(mean, std, bgr_to_rgb):
    data = batch()
    original = data['inputs'].clone()
    output = YOLOv5DetDataPreprocessor(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb)(data, training=True)
    images = (original[:, [2, 1, 0]] if bgr_to_rgb else original).float()
    wanted = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.equal(output['inputs'], wanted)
    assert torch.equal(data['inputs'], original)
    assert torch.equal(output['data_samples']['bboxes_labels'], data['data_samples']['bboxes_labels'])
    assert output['data_samples']['img_metas'] == [{'batch_input_shape': (8, 6)}] * 2


def test_float_images_of_the_caller_stay_as_they_are():
    data = batch()
    data['inputs'] = data['inputs'].float()
    original = data['inputs'].clone()
    YOLOv5DetDataPreprocessor(mean=[0.0] * 3, std=[255.0] * 3)(data, training=True)
    assert torch.equal(data['inputs'], original)


def test_bytes_stay_bytes_without_normalisation():
    output = YOLOv5DetDataPreprocessor(bgr_to_rgb=True)(batch(), training=True)
    assert output['inputs'].dtype == torch.uint8


def test_channels_last_stays():
    data = batch()
    data['inputs'] = data['inputs'].to(memory_format=torch.channels_last)
    output = YOLOv5DetDataPreprocessor(**NORMALISE)(data, training=True)
    assert output['inputs'].is_contiguous(memory_format=torch.channels_last)


def test_what_else_the_collate_function_gives():
    data = batch()
    extra = {'masks': torch.ones(2, 8, 6), 'keypoints': torch.ones(2, 17, 2), 'keypoints_visible': torch.ones(2, 17)}
    data['data_samples'].update(extra)
    samples = YOLOv5DetDataPreprocessor(**NORMALISE)(data, training=True)['data_samples']
    assert {key: samples[key] for key in extra} == extra


def test_training_rejects_batches_of_other_collate_functions():
    with pytest.raises(AssertionError, match='got list.*yolov5_collate'):
        YOLOv5DetDataPreprocessor()(
            {'inputs': torch.rand(1, 3, 4, 4), 'data_samples': [DetDataSample()]}, training=True
        )


@pytest.mark.parametrize('sizes', [[(10, 14), (10, 14)], [(9, 11), (10, 14)]], ids=['one size', 'two sizes'])
def test_inference_is_that_of_mmdet(sizes):
    kwargs = dict(NORMALISE, pad_size_divisor=4, pad_value=114)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]

    def run(preprocessor):
        samples = [DetDataSample(metainfo={'img_shape': size}) for size in sizes]
        output = preprocessor({'inputs': [image.clone() for image in images], 'data_samples': samples})
        return output['inputs'], [sample.metainfo for sample in output['data_samples']]

    inputs, metas = run(YOLOv5DetDataPreprocessor(**kwargs))
    wanted_inputs, wanted_metas = run(DetDataPreprocessor(**kwargs))
    assert torch.equal(inputs, wanted_inputs)
    assert metas == wanted_metas
    assert inputs.shape == (2, 3, 12, 16)


def test_inference_without_samples():
    output = YOLOv5DetDataPreprocessor()({'inputs': [torch.rand(3, 10, 14)], 'data_samples': None})
    assert output['inputs'].shape == (1, 3, 10, 14) and output['data_samples'] is None


@pytest.fixture
def hub():
    hub = MessageHub.get_instance('test_multi_scale')
    MessageHub._instance_dict.move_to_end('test_multi_scale')
    yield hub
    del MessageHub._instance_dict['test_multi_scale']


def test_multi_scale(hub):
    random.seed(1)
    resize = YOLOXBatchSyncRandomResize(random_size_range=(32, 96), interval=2, size_divisor=32)
    images, boxes = torch.rand(2, 3, 64, 128), batch()['data_samples']['bboxes_labels']
    draws = random.Random(1)
    size = (64, 128)
    sizes = set()
    for step in range(8):
        hub.update_info('iter', step)
        samples = {'bboxes_labels': boxes.clone(), 'keypoints': torch.ones(2, 17, 2)}
        inputs, samples = resize(images, samples)
        assert inputs.shape == (2, 3, *size)
        scale = torch.tensor([size[1] / 128, size[0] / 64])
        assert torch.allclose(samples['bboxes_labels'], boxes * torch.cat([torch.ones(2), scale, scale]))
        assert torch.allclose(samples['keypoints'], scale.expand(2, 17, 2))
        sizes.add(size)
        if (step + 1) % 2 == 0:
            blocks = draws.randint(1, 3)
            size = (32 * blocks, 64 * blocks)
    assert len(sizes) > 1


def test_multi_scale_within_the_preprocessor(hub):
    hub.update_info('iter', 0)
    augment = {'type': 'YOLOXBatchSyncRandomResize', 'random_size_range': (32, 32), 'interval': 1}
    preprocessor = YOLOv5DetDataPreprocessor(**NORMALISE, batch_augments=[augment])
    preprocessor(batch(64, 64), training=True)
    output = preprocessor(batch(64, 64), training=True)
    assert output['inputs'].shape == (2, 3, 32, 32)
    assert output['data_samples']['img_metas'][0]['batch_input_shape'] == (32, 32)
    assert output['data_samples']['bboxes_labels'][1].tolist() == [1, 0, 1, 1, 3, 4]
