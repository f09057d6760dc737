"""The head of YOLOX-pose: boxes of objects with their keypoints (after YOLO-Pose, arXiv 2204.06806).

Unlike the public release, each kept box brings the keypoints of its prior through NMS, where that lost track of them;
padding at the top and left is taken off the keypoints; and data samples may be a list.
"""

from collections.abc import Mapping, Sequence

import torch
from mmdet.models.utils import unpack_gt_instances
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo.registry import MODELS

from .ground_truth import as_rows, rows_by_image
from .maps import by_prior
from .prediction import BatchDetections, input_frames
from .yolox_head import YOLOXHead
from .yolox_head_module import YOLOXPoseHeadModule

__all__ = ['YOLOXPoseHead', 'YOLOXPoseHeadModule']


@MODELS.register_module()
class YOLOXPoseHead(YOLOXHead):
    """The YOLOX-pose head.

    Args:
        loss_pose: config of the loss of keypoints, `OksLoss`.
        *args, **kwargs: of `YOLOXHead`; the layers are a `YOLOXPoseHeadModule`, the assigner a `PoseSimOTAAssigner`.
    """

    def __init__(self, loss_pose: dict = {'type': 'OksLoss'}, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.num_keypoints = self.head_module.num_keypoints
        self.loss_pose = MODELS.build(loss_pose)
        if self.train_cfg:
            # Its buffer moves with the head and is in public checkpoints.
            self.assigner_oks_calculator = self.assigner.oks_calculator

    def loss(self, x: Sequence[Tensor], batch_data_samples: list | dict) -> dict:
        """Compute the losses of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: a data sample of each image, whose instances have `keypoints` (n, K, 2) in input pixels
                and `keypoints_visible` (n, K); or a dict of these joined over the batch, of `bboxes_labels`, (N, 6)
                rows of image index, label and box, and of `img_metas`.

        Returns:
            Losses by name.
        """
        maps = self.maps_for_loss(x)
        if isinstance(batch_data_samples, dict):
            keys = ('bboxes_labels', 'keypoints', 'keypoints_visible', 'img_metas')
            return self.loss_by_feat(*maps, *(batch_data_samples[key] for key in keys))
        instances, _, metas = unpack_gt_instances(batch_data_samples)
        keypoints, visible = (torch.cat([one[key] for one in instances]) for key in ('keypoints', 'keypoints_visible'))
        return self.loss_by_feat(*maps, as_rows(instances), keypoints, visible, metas)

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        kpt_preds: Sequence[Tensor],
        vis_preds: Sequence[Tensor],
        batch_gt_instances: Tensor,
        batch_gt_keypoints: Tensor,
        batch_gt_keypoints_visible: Tensor,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: Tensor | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            kpt_preds: keypoint offsets per level.
            vis_preds: visibility logits per level.
            batch_gt_instances: (N, 6) rows of image index, label and box, xyxy in input pixels.
            batch_gt_keypoints: (N, K, 2) keypoints x, y in input pixels.
            batch_gt_keypoints_visible: (N, K), above 0 for keypoints that are labelled.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            The losses of `YOLOXHead.loss_by_feat`; `loss_kpt` (M,) of each positive prior; and `loss_vis`, a mean over
            the visible keypoints.
        """
        truth = self.gt_kps_instances_preprocess(
            batch_gt_instances, batch_gt_keypoints, batch_gt_keypoints_visible, len(cls_scores[0])
        )
        points, strides = self.points_and_strides(cls_scores)
        with torch.no_grad():
            # (B, N, K, 2) in input pixels
            keypoints = self.decode_keypoints(points, by_prior(kpt_preds).float(), strides)
            extras = torch.cat((keypoints, by_prior(vis_preds).float()[..., None]), dim=3).flatten(2)  # (B, N, K * 3)
        matches = self.assign(cls_scores, bbox_preds, objectnesses, truth, extras)
        losses = self.detection_losses(cls_scores, bbox_preds, objectnesses, matches)

        where = (matches.images, matches.priors)
        kpt_pred, vis_pred = (by_prior(maps)[where].float() for maps in (kpt_preds, vis_preds))  # (M, K * 2), (M, K)
        if len(matches.priors) == 0:
            return dict(losses, loss_kpt=kpt_pred.sum() * 0, loss_vis=vis_pred.sum() * 0)
        keypoints = self.decode_keypoints(points[matches.priors], kpt_pred, strides[matches.priors])  # (M, K, 2)
        visible = (matches.truth.keypoints_visible > 0).float()  # (M, K)
        losses['loss_kpt'] = self.loss_pose(keypoints, matches.truth.keypoints, visible, matches.truth.bboxes)
        losses['loss_vis'] = self.loss_cls(vis_pred, visible) / visible.sum().clamp(min=1)
        return losses

    @staticmethod
    def gt_kps_instances_preprocess(
        batch_gt_instances: Tensor, batch_gt_keypoints: Tensor, batch_gt_keypoints_visible: Tensor, batch_size: int
    ) -> list[InstanceData]:
        """Sort true objects by image.

        Args:
            batch_gt_instances: (N, 6) rows of image index, label and box, xyxy.
            batch_gt_keypoints: (N, K, 2) keypoints.
            batch_gt_keypoints_visible: (N, K) visibility.
            batch_size: images in the batch.

        Returns:
            `bboxes`, `labels`, `keypoints` and `keypoints_visible` of each image, in the order given.
        """
        rows, counts, order = rows_by_image(batch_gt_instances, batch_size)
        ordered = rows, batch_gt_keypoints[order], batch_gt_keypoints_visible[order]
        parts = zip(*(part.split(counts) for part in ordered))
        return [
            InstanceData(bboxes=row[:, 2:], labels=row[:, 1].long(), keypoints=keypoints, keypoints_visible=visible)
            for row, keypoints, visible in parts
        ]

    def decode_keypoints(self, points: Tensor, offsets: Tensor, strides: Tensor) -> Tensor:
        """Decode keypoints.

        Args:
            points: (N, 2) corners of cells in input pixels.
            offsets: (..., N, K * 2) offsets x, y in strides.
            strides: (N,) strides of the cells.

        Returns:
            (..., N, K, 2) keypoints x, y in input pixels.
        """
        return offsets.unflatten(-1, (-1, 2)) * strides[:, None, None] + points[:, None]

    def predict(self, x: Sequence[Tensor], batch_data_samples: Sequence, rescale: bool = False) -> list[InstanceData]:
        """Predict the objects of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: a data sample of each image.
            rescale: return pixels of the original images.

        Returns:
            As `predict_by_feat`, in NumPy arrays, which metrics and visualizers of keypoints expect.
        """
        return [one.numpy() for one in super().predict(x, batch_data_samples, rescale)]

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor] | None = None,
        kpt_preds: Sequence[Tensor] | None = None,
        vis_preds: Sequence[Tensor] | None = None,
        batch_img_metas: Sequence[dict] | None = None,
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Predict the objects of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            kpt_preds: keypoint offsets per level.
            vis_preds: visibility logits per level.
            batch_img_metas: meta information of each image.
            cfg: settings, by default `test_cfg`.
            rescale: return pixels of the original images.
            with_nms: False returns what would enter NMS.

        Returns:
            Of each image, best first, `bboxes` (n, 4) xyxy, `scores` (n,), `bbox_scores` (the same), `labels` (n,),
            `keypoints` (n, K, 2) and `keypoint_scores` (n, K), how likely each is visible.
        """
        maps = (cls_scores, bbox_preds, objectnesses)
        boxes = self.predict_batch(maps, batch_img_metas, cfg=cfg, rescale=rescale, with_nms=with_nms)
        keypoints, visible = self.keypoints_of(boxes, kpt_preds, vis_preds, batch_img_metas if rescale else None)
        counts = boxes.counts()
        return [
            one.instances(bbox_scores=one.scores, keypoints=points, keypoint_scores=scores)
            for one, points, scores in zip(boxes.split(), keypoints.split(counts), visible.split(counts))
        ]

    def keypoints_of(
        self,
        boxes: BatchDetections,
        kpt_preds: Sequence[Tensor],
        vis_preds: Sequence[Tensor],
        batch_img_metas: Sequence[dict] | None = None,
    ) -> tuple:
        """Fetch the keypoints of predicted boxes.

        Args:
            boxes: what `predict_batch` returned.
            kpt_preds: the maps of the same batch.
            vis_preds: the maps of the same batch.
            batch_img_metas: meta information of each image, to return pixels of the original images.

        Returns:
            Keypoints (n, K, 2) and the scores of their visibility (n, K), in the order of the boxes.
        """
        points, strides = self.points_and_strides(kpt_preds)
        where = (boxes.images, boxes.priors)
        offsets = by_prior(kpt_preds)[where].float()  # (n, K * 2)
        keypoints = self.decode_keypoints(points[boxes.priors], offsets, strides[boxes.priors])  # (n, K, 2)
        if batch_img_metas is not None:
            # (n, 1, 2) each
            shift, scale = (part[boxes.images, None] for part in input_frames(batch_img_metas, keypoints))
            keypoints = (keypoints - shift) / scale
        return keypoints, by_prior(vis_preds)[where].float().sigmoid()
