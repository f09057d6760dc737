"""The instance head of YOLOv5: every anchor also predicts how to mix a few prototype masks of the image into its own
(YOLACT, arXiv 1904.02689, section 3).

Unlike the public release, masks of `rescale=False` are binary, an image padded unequally on two sides is cropped where
it lies, and masks are enlarged a few at a time, see `mask_prediction`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import MODELS

from ..task_modules.assigners.anchor_matching import AnchorMatches
from .maps import check_maps, gather_priors
from .mask_prediction import Frame, draw_masks, enlarge, frame_of
from .prediction import BatchDetections, Detections
from .true_masks import TrainsOnMasks, mask_numbers, masks_of
from .yolov5_head import YOLOv5Head
from .yolov5_ins_head_module import ProtoModule, YOLOv5InsHeadModule

__all__ = ['ProtoModule', 'YOLOv5InsHead', 'YOLOv5InsHeadModule']


@MODELS.register_module()
class YOLOv5InsHead(TrainsOnMasks, YOLOv5Head):
    """The YOLOv5 instance head. It trains on batches of `yolov5_collate` with `masks`.

    Args:
        mask_overlap: whether the true masks of an image are one map of numbers, 1 for its first box, with smaller
            objects on top of larger ones; otherwise each has a map of its own. As in `Polygon2Mask`.
        loss_mask: config of the loss of mask pixels, without reduction.
        loss_mask_weight: weight of the masks.
        *args, **kwargs: of `YOLOv5Head`.
    """

    def __init__(
        self,
        *args,
        mask_overlap: bool = True,
        loss_mask: dict = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'none'},
        loss_mask_weight: float = 0.05,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mask_overlap = mask_overlap
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_mask_weight = loss_mask_weight

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        coeff_preds: Sequence[Tensor],
        proto_preds: Tensor,
        batch_gt_instances: Tensor,
        batch_gt_masks: Tensor,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: Tensor | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` or `forward_raw` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            coeff_preds: mask coefficients per level.
            proto_preds: prototypes of the masks.
            batch_gt_instances: (N, 6) rows of image index, label and box in input pixels.
            batch_gt_masks: with `mask_overlap` (B, h, w) maps of numbers, 0 for background, else (N, h, w) of 0 and 1.
            batch_img_metas: meta information of each image; of the first, `batch_input_shape` (height, width).
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_obj`, `loss_bbox` and `loss_mask`, (1,) each. The first three are scaled with the number
            of images over all ranks; that of the masks is a sum over images and levels and scaled with the ranks.
        """
        cls_scores, bbox_preds, objectnesses, coeff_preds = map(
            self.split_anchors, (cls_scores, bbox_preds, objectnesses, coeff_preds)
        )
        targets = self._targets_in_batch(batch_gt_instances, batch_img_metas, cls_scores)[0]
        matches = self.match(targets[:, 2:6], cls_scores, self.near_neighbor_thr)
        losses = self.losses_of_matches(cls_scores, bbox_preds, objectnesses, targets, matches)
        loss_mask = self._mask_loss(coeff_preds, proto_preds, targets, batch_gt_masks, matches)
        losses['loss_mask'] = loss_mask.reshape(1) * self.loss_mask_weight * get_world_size()
        return losses

    def _convert_gt_to_norm_format(self, batch_gt_instances: Tensor, batch_img_metas: Sequence[dict]) -> Tensor:
        """As in the parent, (A, N, 8): the last value says which of the true masks is the box's.

        It is the number of the box within its image, from 1, if masks overlap, else the row of the box.
        """
        targets = super()._convert_gt_to_norm_format(batch_gt_instances, batch_img_metas)
        numbers = mask_numbers(targets[0, :, 0], self.mask_overlap)  # (N,)
        return torch.cat((targets, numbers.to(targets).expand(len(targets), -1)[..., None]), dim=2)

    def _mask_loss(
        self, coeff_preds: Sequence[Tensor], protos: Tensor, targets: Tensor, gt_masks: Tensor, matches: AnchorMatches
    ) -> Tensor:
        """Per image and level the mean over its anchors of the loss within the box per area of the box; their sum.

        Args:
            coeff_preds: per level (B, A, mask_channels, H, W).
            protos: (B, mask_channels, h, w).
            targets: (N, 8) rows of `_convert_gt_to_norm_format`.
            gt_masks: see `loss_by_feat`.
            matches: which anchors answer for which rows.
        """
        batch_size, _, height, width = protos.shape
        images = targets[matches.gt, 0].long()  # (M,)
        coeffs = matches.gather(coeff_preds, images)  # (M, mask_channels)
        if len(coeffs) == 0:
            return protos.sum() * 0 + sum(level.sum() for level in coeff_preds) * 0
        if gt_masks.shape[-2:] != protos.shape[-2:]:
            gt_masks = F.interpolate(gt_masks[None].float(), (height, width), mode='nearest')[0]

        # (M,) Pairs of one image and level share a mean.
        group = images * len(coeff_preds) + matches.level
        members = torch.bincount(group, minlength=batch_size * len(coeff_preds))[group]  # (M,)
        boxes = targets[matches.gt, 2:6]  # (M, 4) parts of the input
        weight = 1 / (boxes[:, 2:].prod(1) * members * (height * width))  # (M,)
        # (M, 4) in pixels of the prototypes
        corners = bbox_cxcywh_to_xyxy(boxes) * boxes.new_tensor([width, height] * 2)

        # Image by image, so that the prototypes are not copied once per pair.
        order = images.argsort(stable=True)
        losses = []
        for image, pairs in enumerate(order.split(torch.bincount(images, minlength=batch_size).tolist())):
            if len(pairs) == 0:
                continue
            number = targets[matches.gt[pairs], 7].long()  # (m,)
            target = masks_of(gt_masks, image, number, self.mask_overlap)  # (m, h, w)
            logits = (coeffs[pairs] @ protos[image].flatten(1)).view(-1, height, width)  # (m, h, w)
            loss = self.loss_mask(logits.float(), target.to(logits.device, torch.float), reduction_override='none')
            loss = self.crop_mask(loss, corners[pairs])  # (m, h, w), 0 outside the boxes
            losses.append((loss.sum((1, 2)) * weight[pairs]).sum())
        return torch.stack(losses).sum()

    @staticmethod
    def crop_mask(masks: Tensor, boxes: Tensor) -> Tensor:
        """Set what lies outside its box to 0.

        Args:
            masks: (n, H, W) values of pixels.
            boxes: (n, 4) box of each mask, xyxy in pixels of the masks.

        Returns:
            (n, H, W): columns x1 <= x < x2 and rows y1 <= y < y2 of `masks`.
        """
        height, width = masks.shape[-2:]
        columns, lines = (torch.arange(size, device=masks.device, dtype=boxes.dtype) for size in (width, height))
        x1, y1, x2, y2 = boxes[:, :, None].unbind(1)  # (n, 1) each
        in_lines, in_columns = (lines >= y1) & (lines < y2), (columns >= x1) & (columns < x2)  # (n, H), (n, W)
        return masks * (in_lines[:, :, None] & in_columns[:, None])

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor] | None = None,
        coeff_preds: Sequence[Tensor] | None = None,
        proto_preds: Tensor | None = None,
        batch_img_metas: Sequence[dict] | None = None,
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Predict the boxes and masks of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` or `forward_raw` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            coeff_preds: mask coefficients per level.
            proto_preds: prototypes of the masks.
            batch_img_metas: meta information of each image.
            cfg: settings, by default `test_cfg`; besides those of `prediction.detect`, `mask_thr_binary` (0.5), the
                least probability of a mask's pixel, `fast_test` (False): probabilities instead of bits are enlarged
                to the original image, on the device, and `masks_as_rle` (False): masks are run-length codes.
            rescale: return boxes and masks in pixels of the original images, else of the input.
            with_nms: False returns what would enter NMS.

        Returns:
            `bboxes` (n, 4) xyxy, `scores` (n,), `labels` (n,) and `masks` (n, height, width) bool of each image, best
            first.
        """
        cfg = self.test_cfg if cfg is None else cfg
        coeff_levels = () if coeff_preds is None else coeff_preds
        check_maps(self, batch_img_metas, cls_scores=cls_scores, bbox_preds=bbox_preds, coeff_preds=coeff_levels)
        if not isinstance(proto_preds, Tensor):
            raise ArgumentTypeError(
                f'proto_preds of {type(self).__name__} is the tensor that `forward` returns last, '
                f'got {type(proto_preds).__name__}'
            )
        maps = (cls_scores, bbox_preds, objectnesses)
        boxes = self._predict_in_input(maps, batch_img_metas, cfg, with_nms)
        coeffs = gather_priors(coeff_preds, boxes.images, boxes.priors, self.num_base_priors)  # (n, mask_channels)
        if objectnesses is not None:
            coeffs = coeffs * gather_priors(objectnesses, boxes.images, boxes.priors, self.num_base_priors).sigmoid()
        final = self._to_original(boxes, maps, batch_img_metas) if rescale else boxes

        results = []
        input_shape = self._input_shape(maps)
        parts = zip(final.split(), boxes.split(), coeffs.split(boxes.counts()), proto_preds, batch_img_metas)
        for found, in_input, coeff, proto, meta in parts:
            frame = frame_of(meta, input_shape) if rescale else None
            masks = self._masks(in_input, coeff.float(), proto.float(), input_shape, frame, cfg)
            results.append(found.instances(masks=masks))
        return results

    def predict_batch(
        self,
        maps: Sequence[Sequence[Tensor] | None],
        batch_img_metas: Sequence[dict],
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> BatchDetections:
        """Predict the boxes of a batch without their masks, see `BaseYOLOHead.predict_batch`."""
        boxes = self._predict_in_input(maps, batch_img_metas, self.test_cfg if cfg is None else cfg, with_nms)
        return self._to_original(boxes, maps, batch_img_metas) if rescale else boxes

    def _predict_in_input(
        self, maps: Sequence, batch_img_metas: Sequence[dict], cfg: Mapping, with_nms: bool
    ) -> BatchDetections:
        """Return the boxes in input pixels, where this head suppresses them, clamped to the input."""
        metas = [dict(meta, ori_shape=self._input_shape(maps)) for meta in batch_img_metas]
        return super().predict_batch(maps[:3], metas, cfg=cfg, rescale=False, with_nms=with_nms)

    def _to_original(self, boxes: BatchDetections, maps: Sequence, batch_img_metas: Sequence[dict]) -> BatchDetections:
        """Map boxes from the input to the original images, by the sizes that both really have."""
        height, width = self._input_shape(maps)
        # Per image where it begins, how many input pixels one of its own has, and how large it is.
        rows = []
        for meta in batch_img_metas:
            ori_height, ori_width = meta['ori_shape'][:2]
            top, bottom, left, right = _padding(meta, height, width)
            rows.append(
                (
                    left,
                    top,
                    (width - left - right) / ori_width,
                    (height - top - bottom) / ori_height,
                    ori_width,
                    ori_height,
                )
            )
        shift, scale, size = (
            part.repeat(1, 2) for part in boxes.bboxes.new_tensor(rows).reshape(-1, 6)[boxes.images].split(2, dim=1)
        )
        bboxes = (boxes.bboxes - shift) / scale  # (n, 4) in pixels of the original images
        return replace(boxes, bboxes=torch.minimum(bboxes.clamp(min=0), size))

    def _input_shape(self, maps: Sequence) -> tuple[int, int]:
        stride = self.featmap_strides[0]
        return maps[0][0].shape[-2] * stride, maps[0][0].shape[-1] * stride

    def _masks(
        self,
        boxes: Detections,
        coeffs: Tensor,
        protos: Tensor,
        input_shape: tuple[int, int],
        frame: Frame | None,
        cfg: Mapping,
    ) -> Tensor | list[dict]:
        """Return the masks of one image.

        Args:
            boxes: n boxes in input pixels.
            coeffs: (n, mask_channels) shares of the prototypes.
            protos: (mask_channels, h, w).
            input_shape: height and width of the input.
            frame: where the image lies in the input, None for masks of the input.
            cfg: see `predict_by_feat`.

        Returns:
            (n, height, width) bool, or with `masks_as_rle` n run-length codes.
        """
        height, width = input_shape
        threshold = cfg.get('mask_thr_binary', 0.5)

        def draw(part: slice) -> Tensor:
            masks = (coeffs[part] @ protos.flatten(1)).sigmoid().view(-1, *protos.shape[1:])  # (n, h, w)
            masks = enlarge(masks, input_shape)
            # Boxes are in input pixels, so masks are cropped before they are brought to the original image.
            masks = self.crop_mask(masks, boxes.bboxes[part])
            if frame is None:
                return masks > threshold
            masks = frame.crop(masks)
            if cfg.get('fast_test', False):
                return enlarge(masks, frame.ori_shape) > threshold
            bits = (masks > threshold).permute(1, 2, 0).to('cpu', torch.uint8).numpy()
            return torch.from_numpy(_resize_bits(bits, frame.ori_shape)).permute(2, 0, 1).to(protos.device)

        size = input_shape if frame is None else frame.ori_shape
        as_rle = cfg.get('masks_as_rle', False)
        return draw_masks(draw, len(coeffs), size, height * width, protos.device, as_rle)


def _padding(meta: dict, height: int, width: int) -> tuple[float, float, float, float]:
    """Rows and columns of padding at the top, bottom, left and right of an image in its input."""
    if meta.get('pad_param') is not None:
        return tuple(float(side) for side in meta['pad_param'])
    frame = frame_of(meta, (height, width))
    return frame.top, height - frame.bottom, frame.left, width - frame.right


def _resize_bits(bits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, n) uint8 masks of 0 and 1 -> (*size, n) bool, by OpenCV, which takes up to 512 at once."""
    height, width = size
    parts = [
        mmcv.imresize(bits[..., start : start + 512], (width, height)).reshape(height, width, -1)
        for start in range(0, bits.shape[-1], 512)
    ]
    return np.concatenate(parts, axis=-1).astype(bool)
