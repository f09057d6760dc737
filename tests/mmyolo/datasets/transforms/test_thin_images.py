"""Images of which a side becomes less than a pixel when they are made to fit the input."""

import copy

import mmcv
import numpy as np
import pytest
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config

from mmyolo.datasets import YOLOv5CocoDataset
from mmyolo.datasets.transforms import LetterResize, YOLOv5KeepRatioResize
from mmyolo.datasets.transforms.tiles import fit_size
from mmyolo.registry import TRANSFORMS
from mmyolo.tools.demo.tta import use_tta
from tests.mmyolo.datasets.samples import make_image

# (height, width) of an image, and of what fits into 640.
THIN = [
    ((10, 20000), (1, 640)),
    ((20000, 10), (640, 1)),
    ((1, 1000), (1, 640)),
    ((3, 4000), (1, 640)),
    ((1, 1), (640, 640)),
    ((1, 1300), (1, 640)),
    ((5000, 2), (640, 1)),
]
# One config of each way in which a pipeline resizes.
CONFIGS = (
    'yolov5/yolov5_s-v61_fast_1xb12-40e_cat.py',
    'yolov5/yolov5_s-v61_fast_1xb12-ms-40e_cat.py',
    'yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py',
    'yolov6/yolov6_s_syncbn_fast_8xb32-400e_coco.py',
    'yolov7/yolov7_l_syncbn_fast_8x16b-300e_coco.py',
    'yolov8/yolov8_s_syncbn_fast_8xb16-500e_coco.py',
    'yolox/yolox_s_fast_8xb8-300e_coco.py',
    'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco.py',
    'rtmdet/rtmdet_s_syncbn_fast_8xb32-300e_coco.py',
    'rtmdet/rotated/rtmdet-r_s_fast_1xb8-36e_dota.py',
)


@pytest.mark.parametrize('size, out', THIN)
def test_every_resize_leaves_a_pixel(size, out):
    image = make_image(*size)
    assert YOLOv5KeepRatioResize((640, 640))({'img': image})['img_shape'] == out
    boxed = LetterResize((640, 640))({'img': image})
    assert boxed['img'].shape == (640, 640, 3)
    assert tuple(640 - sum(pair) for pair in np.split(boxed['pad_param'], 2)) == out
    assert fit_size(image.shape[:2], (640, 640))[0] == out
    assert mmcv.imrescale(image, (640, 640)).shape[:2] == out
    for kind in ('Resize', 'mmdet.Resize', 'mmcv.Resize'):
        resized = TRANSFORMS.build({'type': kind, 'scale': (640, 640), 'keep_ratio': True})({'img': image})
        assert resized['img'].shape[:2] == out
        assert resized['scale_factor'] == pytest.approx((out[1] / size[1], out[0] / size[0]))
    by_factor = TRANSFORMS.build({'type': 'mmdet.Resize', 'scale_factor': 0.1, 'keep_ratio': True})({'img': image})
    assert min(by_factor['img'].shape[:2]) >= 1


def test_masks_keep_a_pixel():
    masks = BitmapMasks(np.ones((2, 3, 4000), np.uint8), 3, 4000)
    assert masks.rescale((640, 640)).masks.shape == (2, 1, 640)


@pytest.mark.parametrize('size, ratio', [((480, 640), 0.37), ((77, 154), 0.01), ((1, 3), 2.5), ((333, 500), 1.28)])
def test_sizes_that_are_no_less_than_a_pixel_are_those_of_mmcv(size, ratio):
    size = mmcv.image.geometric._scale_size.__wrapped__(size, ratio)
    assert mmcv.image.geometric._scale_size(size, 1.0) == size


def thin_dataset(config, pipeline):
    """A data set of four thin images and a normal one, whose pixels are there already."""
    box_dim = 8 if 'rotated' in config else 4
    shapes = [size for size, _ in THIN[:4]] + [(90, 120)]
    dataset = YOLOv5CocoDataset(lazy_init=True, pipeline=[], metainfo={'classes': ('a', 'b')})
    infos = []
    for index, (height, width) in enumerate(shapes):
        corners = [0, 0, width, 0, width, height, 0, height]
        box = corners if box_dim == 8 else [0, 0, width, height]
        infos.append(
            {
                'img_path': f'{index}.png',
                'img_id': index,
                'height': height,
                'width': width,
                'sample_idx': index,
                'instances': [{'bbox': box, 'bbox_label': 0, 'ignore_flag': 0, 'mask': [corners]}],
            }
        )
    dataset.get_data_info = lambda index: copy.deepcopy(infos[index])
    dataset._fully_initialized, dataset.serialize_data, dataset.data_list = True, False, infos
    return dataset, shapes


def from_memory(pipeline):
    """Replaces what reads files."""
    steps = []
    for step in pipeline:
        step = dict(step)
        for name in ('pre_transform', 'transforms'):
            inner = step.get(name)
            if inner:
                step[name] = [
                    from_memory(part) if isinstance(part, (list, tuple)) else from_memory([part])[0] for part in inner
                ]
        steps.append({'type': FromMemory} if step['type'] == 'LoadImageFromFile' else step)
    return steps


class FromMemory:
    """Makes the image that the description gives the size of."""

    def __call__(self, results):
        image = make_image(results['height'], results['width'])
        return dict(results, img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])


@pytest.mark.parametrize('config', CONFIGS)
def test_pipelines_of_every_family_take_thin_images(config):
    cfg = Config.fromfile(f'configs/{config}')
    np.random.seed(0)
    switched = [hook.get('switch_pipeline') or hook.get('new_train_pipeline') for hook in cfg.custom_hooks]
    for pipeline in [cfg.train_dataloader.dataset.get('pipeline') or cfg.train_pipeline, *filter(None, switched)]:
        dataset, shapes = thin_dataset(config, pipeline)
        dataset.pipeline = TRANSFORMS.build({'type': 'Compose', 'transforms': from_memory(pipeline)})
        for index in range(len(shapes)):
            for _ in range(2):
                data = dataset.prepare_data(index)
                assert data is None or min(data['inputs'].shape[1:]) >= 1
    test = [cfg.test_dataloader.dataset.pipeline]
    if 'tta_pipeline' in cfg:
        use_tta(cfg)
        test.append(cfg.test_dataloader.dataset.pipeline)
    for pipeline in test:
        dataset, shapes = thin_dataset(config, pipeline)
        run = TRANSFORMS.build({'type': 'Compose', 'transforms': from_memory(pipeline)})
        for index, (height, width) in enumerate(shapes):
            samples = run(dataset.get_data_info(index))['data_samples']
            for sample in samples if isinstance(samples, list) else [samples]:
                scaled = np.multiply(sample.scale_factor, (width, height))
                assert scaled.round(3).min() >= 1
