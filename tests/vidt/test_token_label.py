"""What every token learns from the masks of the objects."""

import torch

from vidt.losses.focal import focal_loss
from vidt.losses.token_label import token_losses, token_targets


def scene():
    masks = torch.zeros(3, 6, 8, dtype=torch.bool)
    masks[0, :4, :4] = True
    masks[1, 2:6, 2:6] = True  # overlaps the first, which counts there
    masks[2, :2, 6:8] = True
    return masks, torch.tensor([2, 1, 2])


def test_parts_of_each_cell():
    (target,) = token_targets(*scene(), (8, 8), [(2, 2)], 4)
    assert target.shape == (4, 2, 2)
    assert (16 * target[2]).tolist() == [[16, 4], [0, 0]]
    assert (16 * target[1]).tolist() == [[0, 4], [4, 4]]  # 2 x 2 of its 16 cells belong to the first
    assert (16 * target[0]).tolist() == [[16, 8], [4, 4]]  # all that is covered
    assert target[3].sum() == 0


def test_label_zero_is_no_object():
    masks, _ = scene()
    (target,) = token_targets(masks, torch.tensor([0, 1, 2]), (6, 8), [(3, 4)], 3)
    assert target[0].sum() * 4 == 16 - 4 + 4


def test_losses_follow_the_formulas():
    masks, labels = scene()
    empty = {'masks': masks[:0, :5], 'labels': labels[:0]}
    tokens = [torch.randn(2, 2, 2, 4), torch.randn(2, 3, 1, 4)]
    focal, dice = token_losses(tokens, [{'masks': masks, 'labels': labels - 1}, empty], 1, (8, 8))
    wanted_focal = wanted_dice = 0.0
    for logits in tokens:
        height, width = logits.shape[1:3]
        for image, target in enumerate(
            (token_targets(masks, labels, (8, 8), [(height, width)], 4)[0], torch.zeros(4, height, width))
        ):
            x = logits[image].permute(2, 0, 1)
            wanted_focal += focal_loss(x, target).sum() / (height * width)
            p = x.sigmoid()
            wanted_dice += 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)
    torch.testing.assert_close((focal, dice), (wanted_focal, wanted_dice))


def test_first_class():
    masks, labels = scene()
    tokens = [torch.randn(1, 2, 2, 4)]
    shifted = [{'masks': masks, 'labels': labels - 1}]
    assert token_losses(tokens, [{'masks': masks, 'labels': labels}], 0, (8, 8)) == token_losses(
        tokens, shifted, 1, (8, 8)
    )
