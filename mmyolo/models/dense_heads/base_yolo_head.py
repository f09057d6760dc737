"""What every YOLO head does the same way: building its parts, priors, prediction, and where ground truth comes from."""
import warnings
from typing import Callable, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.utils import unpack_gt_instances
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo.registry import MODELS, TASK_UTILS
from .prediction import BatchDetections, detect


class BaseYOLOHead(BaseDenseHead):
    """A dense head; a family adds its layers and `loss_by_feat`.

    Args:
        head_module: config of the layers.
        prior_generator: config of the points or anchors.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss.
        loss_bbox: config of the box loss.
        loss_obj: config of the objectness loss, None for a head without objectness.
        train_cfg: settings of training.
        test_cfg: settings of prediction, see `prediction.detect`.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(self,
                 head_module: dict,
                 prior_generator: dict,
                 bbox_coder: dict,
                 loss_cls: dict,
                 loss_bbox: dict,
                 loss_obj: Optional[dict] = None,
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.head_module = MODELS.build(head_module)
        self.num_classes = self.head_module.num_classes
        self.featmap_strides = self.head_module.featmap_strides
        self.num_levels = len(self.featmap_strides)
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg

        self.prior_generator = TASK_UTILS.build(prior_generator)
        self.num_base_priors = self.prior_generator.num_base_priors[0]
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.loss_obj = None if loss_obj is None else MODELS.build(loss_obj)
        self.mlvl_priors = None
        self._priors_key = None

    def forward(self, x: Sequence[Tensor]) -> Tuple[List[Tensor], ...]:
        """Predicts maps, see the layers' `forward`."""
        return self.head_module(x)

    def forward_raw(self, x: Sequence[Tensor]) -> Tuple[List[Tensor], ...]:
        """Predicts maps in the form that costs least; the loss and the prediction of this head take either form."""
        return getattr(self.head_module, 'forward_raw', self.head_module)(x)

    def predict(self, x: Sequence[Tensor], batch_data_samples: Sequence, rescale: bool = False) -> List[InstanceData]:
        """Predicts the boxes of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: a data sample of each image.
            rescale: return boxes in pixels of the original images.

        Returns:
            `bboxes` (n, 4) xyxy, `scores` (n,) and `labels` (n,) of each image, best first.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*self.forward_raw(x), batch_img_metas=metas, rescale=rescale)

    def predict_by_feat(self,
                        cls_scores: Sequence[Tensor],
                        bbox_preds: Sequence[Tensor],
                        objectnesses: Optional[Sequence[Tensor]] = None,
                        batch_img_metas: Optional[Sequence[dict]] = None,
                        cfg: Optional[Mapping] = None,
                        rescale: bool = True,
                        with_nms: bool = True) -> List[InstanceData]:
        """Predicts the boxes of a batch from maps.

        Args:
            cls_scores, bbox_preds, objectnesses: what `forward` or `forward_raw` returns.
            batch_img_metas: meta information of each image.
            cfg: settings, by default `test_cfg`.
            rescale: return boxes in pixels of the original images.
            with_nms: False returns what would enter NMS.

        Returns:
            `bboxes` (n, 4) xyxy, `scores` (n,) and `labels` (n,) of each image, best first.
        """
        maps = (cls_scores, bbox_preds, objectnesses)
        boxes = self.predict_batch(maps, batch_img_metas, cfg=cfg, rescale=rescale, with_nms=with_nms)
        return [one.instances() for one in boxes.split()]

    def predict_batch(self,
                      maps: Sequence[Optional[Sequence[Tensor]]],
                      batch_img_metas: Sequence[dict],
                      cfg: Optional[Mapping] = None,
                      rescale: bool = True,
                      with_nms: bool = True) -> BatchDetections:
        """Predicts the boxes of a batch as a few flat tensors: the shortest way for inference.

        `head.predict_batch(head.forward_raw(features), metas).to('cpu').split()` gives the `Detections` of each image.

        Args:
            maps: what `forward` or `forward_raw` returns.
            batch_img_metas: meta information of each image, see `prediction.detect`.
            cfg: settings, by default `test_cfg`.
            rescale: return boxes in pixels of the original images.
            with_nms: False returns what would enter NMS.

        Returns:
            The boxes of all images.
        """
        cls_scores, bbox_preds, objectnesses = (*maps, None)[:3]
        cfg = self.test_cfg if cfg is None else cfg
        return detect(
            cls_scores,
            bbox_preds,
            objectnesses,
            self.level_priors(cls_scores),
            self.featmap_strides,
            self.decoder(cfg),
            batch_img_metas,
            cfg,
            rescale=rescale,
            with_nms=with_nms)

    def decoder(self, cfg: Mapping) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """What makes boxes of predictions with these settings: `decode_bboxes` or another method of its form."""
        return self.decode_bboxes

    def decode_bboxes(self, priors: Tensor, bbox_preds: Tensor, strides: Tensor) -> Tensor:
        """Decodes predictions of priors.

        Args:
            priors: (N, 2 or 4) points or anchors in input pixels.
            bbox_preds: (B, N, D) predictions.
            strides: (N,) strides of the priors.

        Returns:
            (B, N, 4) boxes, xyxy in input pixels.
        """
        return self.bbox_coder.decode(priors, bbox_preds, strides)

    def level_priors(self, maps: Sequence[Tensor]) -> List[Tensor]:
        """The priors of each level by row, column and base prior, kept until the maps' sizes or device change."""
        sizes, device = [tuple(level.shape[-2:]) for level in maps], maps[0].device
        if self._priors_key != (sizes, device):
            with warnings.catch_warnings():  # mmdet does not pass the `indexing` that torch asks for
                warnings.filterwarnings('ignore', message='torch.meshgrid')
                self.mlvl_priors = self.prior_generator.grid_priors(sizes, device=device)
            self._priors_key = (sizes, device)
        return self.mlvl_priors

    def points_and_strides(self, maps: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """The priors (N, 2 or 4) of all levels in input pixels, and their strides (N,)."""
        levels = self.level_priors(maps)
        strides = [level.new_full((len(level), ), stride) for level, stride in zip(levels, self.featmap_strides)]
        return torch.cat(levels), torch.cat(strides)

    def forward_for_loss(self, x: Sequence[Tensor]) -> Tuple[List[Tensor], ...]:
        """Predicts the maps that `loss_by_feat` takes."""
        return self(x)

    def loss(self, x: Sequence[Tensor], batch_data_samples: Union[list, dict]) -> dict:
        """Computes the losses of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: a data sample of each image; or a dict of `bboxes_labels`, (N, 6) rows of image index,
                label and box in input pixels, and `img_metas`.

        Returns:
            Losses by name.
        """
        maps = self.forward_for_loss(x)
        if isinstance(batch_data_samples, dict):
            return self.loss_by_feat(*maps, batch_data_samples['bboxes_labels'], batch_data_samples['img_metas'])
        gt_instances, gt_instances_ignore, metas = unpack_gt_instances(batch_data_samples)
        return self.loss_by_feat(*maps, gt_instances, metas, gt_instances_ignore)
