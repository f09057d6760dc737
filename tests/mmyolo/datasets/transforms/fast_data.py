"""A data set of photograph-like JPEG files, parts of public pipelines, and a comparison of two forms of one."""

import json

import cv2
import numpy as np

from mmyolo.registry import DATASETS

CLASSES = ('cat', 'dog', 'gnu')
SIZES = ((120, 90), (128, 128), (300, 200), (512, 384), (70, 160), (333, 250))  # width, height
SCALE = (128, 96)
PAD = {'pad_val': 114.0}
LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
HSV, FLIP = {'type': 'YOLOv5HSVRandomAug'}, {'type': 'RandomFlip', 'prob': 0.5}
PACK = {
    'type': 'PackDetInputs',
    'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction'),
}
MOSAIC = {'type': 'Mosaic', 'img_scale': SCALE, **PAD}
MOSAIC9 = {'type': 'Mosaic9', 'img_scale': SCALE, **PAD}
AFFINE = {
    'type': 'YOLOv5RandomAffine',
    'max_rotate_degree': 0.0,
    'max_shear_degree': 0.0,
    'scaling_ratio_range': (0.5, 1.5),
    'border': (-SCALE[0] // 2, -SCALE[1] // 2),
    'border_val': (114, 114, 114),
}
TURNED = dict(AFFINE, max_rotate_degree=10.0, max_shear_degree=2.0)
RANDOM_RESIZE = {
    'type': 'mmdet.RandomResize',
    'scale': SCALE,
    'ratio_range': (0.5, 2.0),
    'resize_type': 'mmdet.Resize',
    'keep_ratio': True,
}
RANDOM_CROP = {'type': 'mmdet.RandomCrop', 'crop_size': SCALE}
YOLOX_HSV = {'type': 'YOLOXHSVRandomAug'}
YOLOX_AFFINE = {'type': 'RandomAffine', 'scaling_ratio_range': (0.1, 2.0), 'border': (-SCALE[0] // 2, -SCALE[1] // 2)}


def photograph(width, height, seed):
    """(height, width, 3) uint8 with structure of all sizes, as a photograph has."""
    generator = np.random.RandomState(seed)
    image = np.full((height, width, 3), 120, np.float32)
    for parts, contrast in ((3, 50), (12, 30), (48, 15)):
        noise = generator.normal(0, contrast, (parts, parts, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def write_data(folder, count=12, sizes=SIZES, masks=False):
    """Write images and a COCO file; give the path of that."""
    generator = np.random.RandomState(0)
    images, annotations = [], []
    for number in range(count):
        width, height = sizes[number % len(sizes)]
        cv2.imwrite(str(folder / f'{number}.jpg'), photograph(width, height, number))
        images.append({'id': number, 'file_name': f'{number}.jpg', 'width': width, 'height': height})
        for _ in range(number % 5):
            w, h = generator.uniform(0.1, 0.6, 2) * (width, height)
            x, y = generator.uniform(0, 1, 2) * (width - w, height - h)
            annotations.append(
                {
                    'id': len(annotations),
                    'image_id': number,
                    'category_id': len(annotations) % 3,
                    'bbox': [x, y, w, h],
                    'area': w * h,
                    'iscrowd': 0,
                    **({'segmentation': [[x, y, x + w, y + h / 3, x + w / 2, y + h]]} if masks else {}),
                }
            )
    categories = [{'id': index, 'name': name} for index, name in enumerate(CLASSES)]
    path = folder / 'coco.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    return path


def make_dataset(path, pipeline):
    """Build a training set."""
    return DATASETS.build(
        {
            'type': 'YOLOv5CocoDataset',
            'data_root': '',
            'ann_file': str(path),
            'data_prefix': {'img': f'{path.parent}/'},
            'metainfo': {'classes': CLASSES},
            'filter_cfg': {'filter_empty_gt': False, 'min_size': 1},
            'pipeline': pipeline,
        }
    )


def loading(max_size=max(SCALE), annotations=LOAD[1]):
    """The `pre_transform` of FastMosaic."""
    cached = {'type': 'LoadCachedImage', 'max_size': max_size, 'cache_bytes': 0, 'scale_annotations': False}
    return [annotations, cached]


def sample(dataset, index, seed):
    """A sample whose random numbers start from a seed: pixels (h, w, 3), the data sample, and the number drawn next."""
    np.random.seed(seed)
    data = dataset[index]
    return data['inputs'].numpy().transpose(1, 2, 0), data['data_samples'], np.random.uniform()


def compare(public, fast, seeds=range(16), atol=1e-3):
    """Check that two forms of a pipeline draw the same numbers and give the same annotations.

    Returns:
        How far the pixels of each sample lie apart on average, and how many boxes there were.
    """
    differences, boxes = [], 0
    for seed in seeds:
        image, wanted, following = sample(public, seed % 12, seed)
        fast_image, found, fast_following = sample(fast, seed % 12, seed)
        assert following == fast_following  # as many numbers drawn
        assert image.shape == fast_image.shape and image.dtype == fast_image.dtype
        expected = wanted.gt_instances.bboxes.numpy()
        np.testing.assert_allclose(found.gt_instances.bboxes.numpy(), expected, atol=atol)
        assert found.gt_instances.labels.tolist() == wanted.gt_instances.labels.tolist()
        for one in (found, wanted):
            one.set_metainfo({'img_shape': one.img_shape[:2]})  # some public transforms add the channels
        assert found.metainfo == wanted.metainfo
        differences.append(np.abs(image.astype(float) - fast_image).mean())
        boxes += len(expected)
    return np.array(differences), boxes
