"""Maps of three levels and boxes on two images of 128 pixels: the inputs that published losses are known for."""

import torch

from mmyolo.models.utils import gt_instances_preprocess

SIZES, STRIDES = ((16, 16), (8, 8), (4, 4)), (8, 16, 32)
GT_ROWS = torch.tensor(
    [[0, 1, 10, 12, 60, 70], [0, 3, 40, 40, 100, 120], [1, 0, 5, 5, 30, 30], [1, 2, 64, 20, 120, 90.0]]
)
METAS = [{'batch_input_shape': (128, 128), 'ori_shape': (128, 128), 'img_shape': (128, 128)}] * 2


def draw(kind, seed, *shape):
    """A draw of torch's function of that name from a generator of its own."""
    return getattr(torch, kind)(shape, generator=torch.Generator().manual_seed(seed))


def draw_maps():
    """Class logits (2, 4, h, w) and distances in strides (2, 4, h, w) of each level."""
    cls = [draw('randn', 100 + i, 2, 4, *size) for i, size in enumerate(SIZES)]
    return cls, [4 * draw('rand', 200 + i, 2, 4, *size) for i, size in enumerate(SIZES)]


def gt_rows():
    """The boxes as (2, 2, 5) rows of label and box."""
    return gt_instances_preprocess(GT_ROWS, 2)


def grid(sizes=SIZES, strides=STRIDES):
    """(N, 4) x, y and twice the stride of every cell's middle."""
    priors = []
    for (h, w), stride in zip(sizes, strides):
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
        points = (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride
        priors.append(torch.cat((points, torch.full_like(points, stride)), 1))
    return torch.cat(priors)


def by_cell(levels):
    """(B, C, h, w) of each level -> (B, N, C)."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)


def decode(bboxes, priors):
    """Distances (B, 4, h, w) of each level -> (B, N, 4) boxes."""
    distances = by_cell(bboxes) * priors[:, 2:].repeat(1, 2)
    return torch.cat((priors[:, :2] - distances[..., :2], priors[:, :2] + distances[..., 2:]), -1)
