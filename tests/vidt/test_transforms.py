"""Sizes, pixels and boxes of ViDT's transforms against published numbers."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from tests.mmyolo.goldens.seeded import seeded_boxes, seeded_image
from tests.vidt.recipe import recipe
from vidt.datasets import transforms
from vidt.datasets.transforms import ViDTRandomSizeCrop, ViDTResize, resized_shape

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BOXES = seeded_boxes(1, 61, 93, 5, 6)
STEPS = recipe('transforms')['steps']


def seeded_sample():
    rgb = (255 * seeded_image(1, 61, 93)[0]).floor().byte().permute(1, 2, 0).numpy()
    return {
        'img': rgb[..., ::-1].copy(),
        'gt_bboxes': HorizontalBoxes(BOXES[:, 2:].clone()),
        'gt_bboxes_labels': BOXES[:, 1].numpy().astype(np.int64),
    }


def flip(sample):
    sample['gt_bboxes'].flip_(sample['img'].shape[:2])
    return {**sample, 'img': sample['img'][:, ::-1].copy()}


def crop(*part, size=None):
    """A crop at a given place, top, left, height and width, of the image or of what a resize makes of it."""
    transform = ViDTRandomSizeCrop(1, 1, None if size is None else [size])
    transform._draw_crop = lambda height, width: part
    return transform


@pytest.mark.parametrize(
    ('name', 'steps'),
    [
        ('image', []),
        ('hflip', [flip]),
        ('crop i=9 j=21 h=40 w=50', [crop(9, 21, 40, 50)]),
        ('resize 48, max 80', [ViDTResize(48, 80)]),
        ('resize 160, max 266', [ViDTResize([160], 266)]),
        (
            'hflip, resize 64 (no max), crop i=3 j=10 h=44 w=60, resize 96 max 160',
            [flip, crop(3, 10, 44, 60, size=64), ViDTResize(96, 160)],
        ),
    ],
)
def test_published_pixels_and_boxes(name, steps):
    wanted, sample = STEPS[name], Compose(steps)(seeded_sample()) if steps else seeded_sample()
    assert list(sample['img'].shape[1::-1]) == wanted['size']
    pixels = ((sample['img'][..., ::-1] / 255 - MEAN) / STD).transpose(2, 0, 1)
    assert pixels.sum() == pytest.approx(wanted['pixels']['sum'], rel=1e-6)
    assert pixels.flatten()[wanted['pixels']['at']] == pytest.approx(wanted['pixels']['values'], abs=1e-6)
    assert sample['gt_bboxes_labels'].tolist() == wanted['labels']
    boxes = sample['gt_bboxes']
    torch.testing.assert_close(boxes.tensor, torch.tensor(wanted['boxes_xyxy']), rtol=1e-6, atol=1e-5)
    relative = torch.cat((boxes.centers, boxes.widths[:, None], boxes.heights[:, None]), 1)
    relative /= torch.tensor([*wanted['size'], *wanted['size']])
    torch.testing.assert_close(relative, torch.tensor(wanted['boxes_cxcywh']), rtol=1e-6, atol=1e-6)


def test_published_sizes():
    rows = recipe('resize')['rows']
    assert [[*row[:4], *resized_shape(row[1], row[0], *row[2:4])[::-1]] for row in rows] == rows


@pytest.mark.parametrize(('height', 'width'), [(3, 4000), (4000, 3), (1, 40000)])
def test_no_side_vanishes(height, width):
    assert min(resized_shape(height, width, 608, 800)) == 16


def test_part_has_the_pixels_of_the_whole():
    generator = np.random.default_rng(0)
    for _ in range(20):
        height, width = generator.integers(5, 200, 2)
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        shape = tuple(generator.integers(5, 200, 2))
        h, w = (generator.integers(1, side + 1) for side in shape)
        top, left = generator.integers(shape[0] - h + 1), generator.integers(shape[1] - w + 1)
        whole = transforms._resize_part(image, shape, (0, 0, *shape))
        part = transforms._resize_part(image, shape, (top, left, h, w))
        difference = np.abs(part.astype(int) - whole[top : top + h, left : left + w])
        assert difference.max() <= 1  # PIL keeps the place of a part in single precision


def test_draws_reach_both_ends():
    transform = ViDTRandomSizeCrop(3, 5)
    np.random.seed(0)
    draws = {transform._draw_crop(4, 9) for _ in range(500)}
    assert {h for _, _, h, _ in draws} == {3, 4}  # an image that is shorter than the maximum
    assert {w for *_, w in draws} == {3, 4, 5}
    assert {(top, h) for top, _, h, _ in draws} == {(0, 3), (1, 3), (0, 4)}
    assert max(left for _, left, _, w in draws if w == 5) == 4
    assert {transform._draw_crop(2, 2) for _ in range(9)} == {(0, 0, 2, 2)}
    sizes = ViDTResize(range(416, 609, 16), 800)
    assert {sizes._draw() for _ in range(500)} == set(range(416, 609, 16))


def test_masks_follow():
    mask = np.zeros((1, 61, 93), np.uint8)
    mask[0, 20:40, 30:60] = 1
    sample = {'img': np.zeros((61, 93, 3), np.uint8), 'gt_masks': BitmapMasks(mask, 61, 93)}
    sample = crop(10, 20, 70, 100, size=122)(sample)  # 122 becomes 112 high, 186 wide 176
    rows, columns = np.nonzero(sample['gt_masks'].masks[0])
    assert sample['gt_masks'].masks.shape == (1, 70, 100)
    assert (rows.min(), columns.min()) == pytest.approx((20 * 112 / 61 - 10, 30 * 176 / 93 - 20), abs=1)
    assert (rows.max(), columns.max()) == pytest.approx((40 * 112 / 61 - 10, 60 * 176 / 93 - 20), abs=1.1)


def test_objects_outside_of_a_crop_go():
    sample = {
        'img': np.zeros((100, 100, 3), np.uint8),
        'gt_bboxes': HorizontalBoxes(torch.tensor([[0.0, 0, 10, 10], [5, 5, 60, 60]])),
        'gt_bboxes_labels': np.array([4, 7]),
        'gt_ignore_flags': np.array([True, False]),
        'gt_masks': BitmapMasks(np.ones((2, 100, 100), np.uint8), 100, 100),
    }
    sample = crop(10, 10, 50, 40)(sample)
    assert sample['img_shape'] == (50, 40)
    assert sample['gt_bboxes'].tensor.tolist() == [[0, 0, 40, 50]]
    assert sample['gt_bboxes_labels'].tolist() == [7]
    assert sample['gt_ignore_flags'].tolist() == [False]
    assert sample['gt_masks'].masks.shape == (1, 50, 40)
