"""The two augmentations of PPYOLOE against their definitions, step by step and draw by draw."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from mmyolo.datasets.transforms.transforms import PPYOLOERandomCrop, PPYOLOERandomDistort

ALWAYS = {
    'hue_cfg': {'min': -18, 'max': 18, 'prob': 1},
    'saturation_cfg': {'min': 0.5, 'max': 1.5, 'prob': 1},
    'contrast_cfg': {'min': 0.5, 'max': 1.5, 'prob': 1},
    'brightness_cfg': {'min': 0.5, 'max': 1.5, 'prob': 1},
}


def image(seed=0, height=40, width=60):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def distorted(img, num, configs):
    """One step after the other on the whole image."""
    img = img.astype(np.float64)
    for name in np.random.permutation(['brightness', 'contrast', 'saturation', 'hue'])[:num]:
        cfg = configs[f'{name}_cfg']
        if np.random.uniform(0, 1) >= cfg['prob']:
            continue
        delta = np.random.uniform(cfg['min'], cfg['max'])
        if name == 'brightness':
            img = img + delta
        elif name == 'contrast':
            img = img * delta
        elif name == 'saturation':
            grey = (img * [0.114, 0.587, 0.299]).sum(-1, keepdims=True)
            img = img * delta + grey * (1 - delta)
        else:
            u, w = np.cos(delta * np.pi), np.sin(delta * np.pi)
            to_yiq = np.array([[0.114, 0.587, 0.299], [-0.321, -0.274, 0.596], [0.311, -0.523, 0.211]])
            from_yiq = np.array([[1, -1.107, 1.705], [1, -0.272, -0.647], [1, 0.956, 0.621]])
            img = img @ (from_yiq @ np.array([[1, 0, 0], [0, u, -w], [0, w, u]]) @ to_yiq).T
    return img


@pytest.mark.parametrize('num', [1, 3, 4])
@pytest.mark.parametrize('kwargs', [{}, ALWAYS], ids=['sometimes', 'always'])
def test_distort(num, kwargs):
    transform = PPYOLOERandomDistort(num_distort_func=num, **kwargs)
    configs = vars(transform)
    for seed in range(10):
        original = image(seed)
        np.random.seed(seed)
        wanted = distorted(original, num, configs)
        state = np.random.get_state()[2]
        np.random.seed(seed)
        given = original.copy()
        found = transform({'img': given})['img']
        assert np.random.get_state()[2] == state, 'as many draws'
        assert found.dtype == np.float32 and (given == original).all()
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_wrong_arguments_of_distort():
    with pytest.raises(AssertionError, match='from 1 to 4, not 5'):
        PPYOLOERandomDistort(num_distort_func=5)
    with pytest.raises(AssertionError, match='prob of hue_cfg'):
        PPYOLOERandomDistort(hue_cfg={'min': 0, 'max': 1, 'prob': 1.5})
    assert 'num_distort_func=4' in repr(PPYOLOERandomDistort())


def sample(seed=0, boxes=((2, 3, 20, 30), (30, 5, 55, 20), (10, 20, 50, 38))):
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    masks = np.zeros((len(boxes), 40, 60), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int)):
        mask[y1:y2, x1:x2] = 1
    return {
        'img': image(seed),
        'img_shape': (40, 60),
        'gt_bboxes': HorizontalBoxes(boxes),
        'gt_bboxes_labels': np.arange(len(boxes)),
        'gt_ignore_flags': np.arange(len(boxes)) == 1,
        'gt_masks': BitmapMasks(masks, 40, 60),
        'gt_seg_map': image(seed + 1)[..., 0],
    }


def crop_of(
    boxes,
    aspect_ratio=(0.5, 2.0),
    thresholds=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
    scaling=(0.3, 1.0),
    allow=True,
    cover=False,
):
    """The crop and the kept boxes, in plain loops; None without a crop."""
    height, width = 40, 60
    options = list(thresholds) + (['no_crop'] if allow else [])
    np.random.shuffle(options)
    for threshold in options:
        if threshold == 'no_crop':
            return None
        for _ in range(50):
            scale = np.random.uniform(*scaling)
            if aspect_ratio is None:
                h, w = height * np.random.uniform(*scaling), width * np.random.uniform(*scaling)
                if h / w < 0.5 or h / w > 2:
                    continue
            else:
                ratio = np.random.uniform(max(aspect_ratio[0], scale**2), min(aspect_ratio[1], scale**-2))
                h, w = height * scale / np.sqrt(ratio), width * scale * np.sqrt(ratio)
            h, w = int(h), int(w)
            y = np.random.randint(0, height - h + 1)
            x = np.random.randint(0, width - w + 1)
            ious, kept = [], []
            for index, (x1, y1, x2, y2) in enumerate(boxes):
                iw, ih = max(min(x2, x + w) - max(x1, x), 0), max(min(y2, y + h) - max(y1, y), 0)
                ious.append(iw * ih / ((x2 - x1) * (y2 - y1) + w * h - iw * ih))
                if x <= (x1 + x2) / 2 < x + w and y <= (y1 + y2) / 2 < y + h and iw * ih > 0:
                    kept.append(index)
            if max(ious) >= threshold and (not cover or min(ious) >= threshold) and kept:
                return (x, y, x + w, y + h), kept
    return None


@pytest.mark.parametrize(
    'ours, plain',
    [
        ({}, {}),
        ({'aspect_ratio': None}, {'aspect_ratio': None}),
        ({'allow_no_crop': False, 'cover_all_box': True}, {'allow': False, 'cover': True}),
        (
            {'thresholds': [0.2], 'scaling': [0.1, 0.4], 'aspect_ratio': [1, 1.5], 'allow_no_crop': False},
            {'thresholds': [0.2], 'scaling': [0.1, 0.4], 'aspect_ratio': [1, 1.5], 'allow': False},
        ),
    ],
)
def test_crop(ours, plain):
    transform = PPYOLOERandomCrop(**ours)
    crops = 0
    for seed in range(30):
        original, given = sample(seed), sample(seed)
        boxes = original['gt_bboxes'].numpy()
        np.random.seed(seed)
        wanted = crop_of(boxes.tolist(), **plain)
        state = np.random.get_state()[2]
        np.random.seed(seed)
        found = transform(given)
        assert np.random.get_state()[2] == state, 'as many draws'
        if wanted is None:
            assert (found['gt_bboxes'].numpy() == boxes).all() and found['img_shape'] == (40, 60)
            continue
        crops += 1
        (x1, y1, x2, y2), kept = wanted
        assert (found['img'] == original['img'][y1:y2, x1:x2]).all()
        assert found['img_shape'] == (y2 - y1, x2 - x1, 3)
        limit = [x2 - x1, y2 - y1] * 2
        np.testing.assert_allclose(found['gt_bboxes'].numpy(), (boxes[kept] - [x1, y1] * 2).clip(0, limit))
        assert found['gt_bboxes_labels'].tolist() == kept
        assert found['gt_ignore_flags'].tolist() == [index == 1 for index in kept]
        assert (found['gt_masks'].masks == original['gt_masks'].masks[kept, y1:y2, x1:x2]).all()
        assert (found['gt_seg_map'] == original['gt_seg_map'][y1:y2, x1:x2]).all()
    assert crops > 5


def test_nothing_to_crop_around():
    given = sample(boxes=())
    state = np.random.get_state()[2]
    found = PPYOLOERandomCrop()(given)
    assert found['img'].shape == (40, 60, 3) and np.random.get_state()[2] == state
    assert 'cover_all_box=False' in repr(PPYOLOERandomCrop())


def test_arrays_and_few_annotations():
    for seed in range(5):
        np.random.seed(seed)
        given = {'img': image(), 'gt_bboxes': np.array([[2.0, 3, 40, 30]], np.float32)}
        found = PPYOLOERandomCrop(allow_no_crop=False)(given)
        assert len(found['gt_bboxes']) == 1
