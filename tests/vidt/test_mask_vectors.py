"""Codes of masks against published numbers and hand-made crops."""

import pytest
import torch

from tests.vidt.recipe import recipe
from vidt.losses.mask_vectors import SIDE, crop_masks, decode_masks, encode_crops, encode_masks, zigzag


def ellipse():
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing='ij')
    return ((x - 60) / 50) ** 2 + ((y - 70) / 40) ** 2 <= 1


def test_published_order():
    wanted = recipe('mask_code')
    places = [row * SIDE + column for row, column in zigzag()]
    assert places[:48] == wanted['zigzag_first_48']
    assert places[-8:] == wanted['zigzag_last_8']
    assert sum(places) == wanted['zigzag_sum']


def test_published_code():
    wanted, mask = recipe('mask_code')['ellipse'], ellipse()
    (code,) = encode_crops(mask[None])
    assert code[:12].tolist() == pytest.approx(wanted['coefficients'], abs=1e-4)
    assert float(code.sum()) == pytest.approx(wanted['coefficients_sum'], abs=1e-3)
    (decoded,) = decode_masks(code[None])
    assert mask.sum() == wanted['true_pixels']
    assert int(decoded.sum()) == pytest.approx(wanted['decoded_pixels'], abs=2)
    assert int((decoded != mask).sum()) == pytest.approx(wanted['differing_pixels'], abs=2)


def test_crop_of_the_whole_is_the_mask():
    torch.testing.assert_close(crop_masks(ellipse()[None], torch.tensor([[0.0, 0, SIDE, SIDE]]))[0], ellipse().float())


def test_crops_average_and_interpolate():
    ramp = torch.arange(512.0).expand(1, 300, 512)
    shrunk = crop_masks(ramp, torch.tensor([[0.0, 0, 512, 256]]))
    torch.testing.assert_close(shrunk[0, 7], torch.arange(128) * 4 + 1.5)  # of four pixels each
    grown = crop_masks(ramp, torch.tensor([[100.0, 10, 164, 74]]))
    torch.testing.assert_close(grown[0, 7], 100 + torch.arange(128) / 2 - 0.25)


def test_crops_beyond_the_image():
    crops = crop_masks(torch.ones(1, 64, 64), torch.tensor([[-64.0, 0, 64, 64]]))
    assert crops[0, 5].tolist() == [0.0] * 63 + [1.0] * 65  # places are -64, -63, ...: from -1 on the edge counts


def test_boxes_of_different_size_in_one_call():
    masks = torch.zeros(2, 200, 300, dtype=torch.bool)
    masks[0, 20:180, 30:290] = True
    masks[1, 40:60, 50:90] = True
    boxes = torch.tensor([[10.0, 10, 300, 200], [40, 30, 100, 70]])
    single = [encode_masks(masks[i : i + 1], boxes[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(encode_masks(masks, boxes), torch.cat(single))
    assert encode_masks(masks[:0], boxes[:0]).shape == (0, 256)
