"""The network that is traced: images in; maps, or decoded boxes and scores, out."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmyolo.models.data_preprocessors import normalize_pixels
from mmyolo.utils.folding import folded

# What a head predicts beside boxes would be lost in a file that holds boxes; their maps can be exported.
MORE_THAN_BOXES = ('YOLOv5InsHead', 'RTMDetInsSepBNHead', 'RTMDetRotatedHead', 'YOLOXPoseHead')


class ExportModel(nn.Module):
    """A detector in the form in which it is exported.

    Boxes are decoded by the head's own `decode_bboxes`, with the priors of the input size as constants.

    Args:
        model: a detector; stays as it is.
        image_size: height and width of the input.
        raw: return maps instead of boxes and scores.
        preprocess: take pixels, as OpenCV reads them, instead of normalised input.
        multi_label: whether a prior may yield a box of each class; False leaves the score of its best class only.

    Raises:
        ValueError: if the head predicts more than boxes and `raw` is False, or the size does not fit the strides.
    """

    def __init__(
        self,
        model: nn.Module,
        image_size: tuple[int, int],
        raw: bool = False,
        preprocess: bool = False,
        multi_label: bool = True,
    ) -> None:
        super().__init__()
        head = getattr(model, 'bbox_head', None)
        if head is None or not hasattr(head, 'level_priors'):
            raise ValueError(
                f'{type(model).__name__} has no YOLO head: what can be exported are detectors of the '
                'families YOLOv5, YOLOv6, YOLOv7, YOLOv8, YOLOX, PPYOLOE and RTMDet'
            )
        if type(head).__name__ in MORE_THAN_BOXES and not raw:
            raise ValueError(
                f'{type(head).__name__} predicts more than boxes, and the outputs num_dets, boxes, scores '
                'and labels cannot hold it: export its maps with --model-only'
            )
        stride = max(head.featmap_strides)
        if any(side % stride for side in image_size):
            raise ValueError(
                f'The input size {image_size[0]} x {image_size[1]} is not a multiple of {stride}, the '
                'largest stride of the model: change --img-size'
            )
        self.model = folded(model)
        self.raw = raw
        self.preprocess = preprocess
        self.multi_label = multi_label
        device = next(model.parameters()).device
        self.to(device)
        with torch.no_grad():
            maps = self.maps(torch.zeros(1, 3, *image_size, device=device))
            priors, strides = self.head.points_and_strides(maps[0])
        self.register_buffer('priors', priors)
        self.register_buffer('strides', strides)

    @property
    def head(self) -> nn.Module:
        """The head of the folded copy."""
        return self.model.bbox_head

    def maps(self, images: Tensor) -> tuple[Sequence[Tensor], ...]:
        """Return the head's maps of normalised images (B, 3, H, W)."""
        return tuple(self.head.forward_raw(self.model.extract_feat(images)))

    def normalise(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) pixels, blue first, uint8 or float -> the input of the network."""
        return normalize_pixels(images, self.model.data_preprocessor).float()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            images: (B, 3, H, W) normalised, or pixels with `preprocess`.

        Returns:
            With `raw` the maps, see `pack_maps`; else boxes (B, N, 4), xyxy in input pixels, and scores
            (B, N, num_classes).
        """
        if self.preprocess:
            images = self.normalise(images)
        maps = self.maps(images)
        if self.raw:
            return tuple(pack_maps(maps))
        cls_scores, bbox_preds, objectnesses = (*maps, None)[:3]
        scores = self._by_prior(cls_scores).sigmoid()
        if objectnesses is not None:
            scores = scores * self._by_prior(objectnesses).sigmoid()
        if not self.multi_label and scores.shape[-1] > 1:
            best = scores.amax(-1, keepdim=True)
            scores = torch.where(scores == best, scores, torch.zeros_like(scores))
        return self.head.decode_bboxes(self.priors, self._by_prior(bbox_preds), self.strides), scores

    def _by_prior(self, maps: Sequence[Tensor]) -> Tensor:
        """Per level (B, A * D, H, W) or (B, A, D, H, W) -> (B, N, D), priors by level, row, column and anchor."""
        anchors = self.head.num_base_priors
        rows = []
        for level in maps:
            level = level if level.dim() == 5 else level.unflatten(1, (anchors, level.shape[1] // anchors))
            if level.dim() == 4:  # (B, A, H, W) of objectness
                level = level.unsqueeze(2)
            rows.append(level.permute(0, 3, 4, 1, 2).flatten(1, 3))
        return torch.cat(rows, 1)


def pixel_statistics(model: nn.Module) -> tuple[list[float], list[float], bool]:
    """Mean and standard deviation of pixels, in the order of the network's channels, and whether that is red first."""
    preprocessor = model.data_preprocessor
    to_rgb = bool(getattr(preprocessor, '_channel_conversion', False))
    if not getattr(preprocessor, '_enable_normalize', False):
        return [0.0] * 3, [1.0] * 3, to_rgb
    return preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist(), to_rgb


def pack_maps(maps: Sequence[Sequence[Tensor] | None]) -> list[Tensor]:
    """Make one tensor of each level.

    Args:
        maps: kinds of maps, each per level; what a head's `forward_raw` returns.

    Returns:
        Heads with anchors: per level (B, A * (5 + C), H, W), per anchor box, objectness, classes, as the last
        convolution gives them. Others: per level (B, C + D [+ 1], H, W): classes, box, objectness. Kinds beyond
        objectness follow as they are.
    """
    levels = [kind for kind in maps if kind is not None]
    rest = [tensor for kind in levels[3:] for tensor in (kind if isinstance(kind, (list, tuple)) else [kind])]
    packed = []
    for level in zip(*levels[:3]):
        if level[0].dim() == 5:
            packed.append(torch.cat((level[1], level[2], level[0]), 2).flatten(1, 2))
        else:
            packed.append(torch.cat(level, 1))
    return packed + rest


def unpack_maps(levels: Sequence[Tensor], like: Sequence[Sequence[Tensor] | None]) -> tuple[list[Tensor], ...]:
    """Undo `pack_maps` for classes, boxes and objectness.

    Args:
        levels: what `pack_maps` gives.
        like: maps of the same head.
    """
    kinds = [kind for kind in like if kind is not None][:3]
    unpacked = []
    for level, maps in zip(levels, zip(*kinds)):
        if maps[0].dim() == 5:
            order = [maps[1], maps[2], maps[0]]
            box, objectness, cls = level.unflatten(1, (maps[0].shape[1], -1)).split([m.shape[2] for m in order], 2)
            unpacked.append((cls, box, objectness))
        else:
            unpacked.append(level.split([m.shape[1] for m in maps], 1))
    return tuple(map(list, zip(*unpacked)))


def detection_settings(model: nn.Module) -> dict:
    """Return a copy of the head's settings of prediction, empty if it has none."""
    return copy.deepcopy(dict(model.bbox_head.test_cfg or {}))
