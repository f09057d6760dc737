"""Weights, images and objects that are functions of names and shapes, in the layout of public ViDT files."""

import re

import torch
from torch import Tensor

from tests.mmyolo.goldens.seeded import draw, seeded_boxes, seeded_image, seeded_state
from vidt.models.windows import relative_position_index

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CASES = {  # canvas, sizes of the images, sizes that boxes are scaled to
    'pair': ((192, 256), [(192, 256), (160, 208)], [(480, 640), (400, 520)]),
    'odd': ((203, 299), [(131, 170), (203, 299)], [(262, 340), (203, 299)]),
    'square': ((224, 224), [(224, 224)], [(720, 720)]),
}


def canonical(key: str, refined: bool) -> str:
    """The first name of a tensor that stands in a file under several."""
    key = re.sub(r'^transformer\.decoder\.bbox_embed\.', 'bbox_embed.', key)
    if not refined:
        key = re.sub(r'^(class|bbox|iou)_embed\.\d+\.', r'\1_embed.0.', key)
    return re.sub(r'^vector_embed\.\d+\.', 'vector_embed.0.', key)


def seeded_weights(shapes: dict[str, list[int]], refined: bool = True) -> dict[str, Tensor]:
    """Weights of a public file with these names and shapes."""
    out = {}
    for key, shape in shapes.items():
        name = canonical(key, refined)
        if key.endswith('relative_position_index'):
            out[key] = relative_position_index()
        elif key.endswith(('det_token', 'det_pos_embed')):
            out[key] = torch.from_numpy(draw(name).standard_normal(shape)).float()
        else:
            out[key] = seeded_state({name: torch.zeros(shape)})[name]
    return out


def seeded_batch(case: str) -> tuple[Tensor, Tensor]:
    """Normalised images on one canvas, and the mask of its padding."""
    canvas, sizes, _ = CASES[case]
    raw = seeded_image(len(sizes), *canvas)
    raw = (raw - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    images, mask = torch.zeros_like(raw), torch.ones(len(sizes), *canvas, dtype=torch.bool)
    for image, (height, width) in enumerate(sizes):
        images[image, :, :height, :width], mask[image, :height, :width] = raw[image, :, :height, :width], False
    return images, mask


def seeded_targets(counts: list[int], num_classes: int, with_masks: bool) -> list[dict[str, Tensor]]:
    """Objects of the case 'pair'; their masks are the ellipses in their boxes."""
    (height, width), sizes, _ = CASES['pair']
    rows = seeded_boxes(len(counts), height, width, num_classes, max(counts))
    out = []
    for image, count in enumerate(counts):
        mine = rows[rows[:, 0] == image][:count]
        x1, y1, x2, y2 = (mine[:, 2:] / torch.tensor([width, height, width, height])).unbind(1)
        target = dict(labels=mine[:, 1].long(), boxes=torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1))
        if with_masks:
            h, w = sizes[image]
            cx, cy, bw, bh = (target['boxes'] * torch.tensor([w, h, w, h])).T[..., None, None]
            y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing='ij')
            target['masks'] = ((x - cx) / (bw / 2)) ** 2 + ((y - cy) / (bh / 2)) ** 2 <= 1
        out.append(target)
    return out
