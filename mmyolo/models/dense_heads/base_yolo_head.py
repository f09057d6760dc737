"""What every YOLO head does the same way: building its parts, priors, prediction, and where ground truth comes from.

Training and prediction take short cuts around the maps that `forward` returns. A subclass that replaces a method which
a short cut leaves out gets the plain way, where that method is called as in the public release.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.utils import unpack_gt_instances
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo.registry import MODELS, TASK_UTILS

from ..utils import is_original
from .maps import check_maps
from .prediction import BatchDetections, clamp_to_image, detect


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

    Attributes:
        featmap_sizes: (height, width) of each level's map that `mlvl_priors` are of; empty tensors before the first.
        mlvl_priors: priors of each level in prediction, None before the first.
        featmap_sizes_train: as `featmap_sizes`, of the training of a head without anchors; None has the next four made
            anew.
        num_level_priors: number of priors of each level.
        flatten_priors_train: (N, 4) x, y and twice the stride of the priors of all levels.
        stride_tensor: (N, 1) their strides.
        loss_is_sum: whether losses are multiplied by the number of images, so that those of the parts of a batch add up
            to those of all; else they are means.
    """

    loss_is_sum = False

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict,
        bbox_coder: dict,
        loss_cls: dict,
        loss_bbox: dict,
        loss_obj: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
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
        self.featmap_sizes = [torch.empty(0)] * self.num_levels
        self.mlvl_priors = self._own_priors = None
        self.featmap_sizes_train = self.num_level_priors = self.flatten_priors_train = self.stride_tensor = None

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict maps, see the layers' `forward`."""
        return self.head_module(x)

    def forward_raw(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict maps in the form that costs least; the loss and the prediction of this head take either form."""
        return self.head_module.forward_raw(x) if self._may_be_raw() else self(x)

    def _may_be_raw(self) -> bool:
        """Return whether raw maps are those that `forward` starts from."""
        layers = self.head_module
        has_raw = hasattr(layers, 'forward_raw')
        return has_raw and is_original(self, 'forward') and is_original(layers, 'forward', 'forward_single')

    def predict(self, x: Sequence[Tensor], batch_data_samples: Sequence, rescale: bool = False) -> list[InstanceData]:
        """Predict the boxes of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: a data sample of each image.
            rescale: return boxes in pixels of the original images.

        Returns:
            `bboxes` (n, 4) xyxy, `scores` (n,) and `labels` (n,) of each image, best first.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        maps = self.forward_raw(x) if is_original(self, 'predict_by_feat') else self(x)
        return self.predict_by_feat(*maps, batch_img_metas=metas, rescale=rescale)

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor] | None = None,
        batch_img_metas: Sequence[dict] | None = None,
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Predict the boxes of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` or `forward_raw` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            batch_img_metas: meta information of each image.
            cfg: settings, by default `test_cfg`.
            rescale: return boxes in pixels of the original images.
            with_nms: False returns what would enter NMS.

        Returns:
            `bboxes` (n, 4) xyxy, `scores` (n,) and `labels` (n,) of each image, best first.
        """
        maps = (cls_scores, bbox_preds, objectnesses)
        if not is_original(self, '_bbox_post_process'):
            return self._post_process_each(
                maps, batch_img_metas, self.test_cfg if cfg is None else cfg, rescale, with_nms
            )
        boxes = self.predict_batch(maps, batch_img_metas, cfg=cfg, rescale=rescale, with_nms=with_nms)
        return [one.instances() for one in boxes.split()]

    def _post_process_each(
        self, maps: Sequence, batch_img_metas: Sequence[dict], cfg: Mapping, rescale: bool, with_nms: bool
    ) -> list[InstanceData]:
        """As `predict_by_feat`, with a `_bbox_post_process` that a subclass has replaced, image by image."""
        before = ConfigDict(cfg, min_bbox_size=-1)  # what is small is dropped by mmdet's method
        boxes = self._detect(maps, batch_img_metas, before, rescale, with_nms=False, clamp=False)
        results = []
        for found, meta in zip(boxes.split(), batch_img_metas):
            cfg = ConfigDict(cfg)
            if cfg.get('yolox_style', False):
                cfg.max_per_img = len(found.bboxes)
            one = self._bbox_post_process(
                results=found.instances(), cfg=cfg, rescale=False, with_nms=with_nms, img_meta=meta
            )
            one.bboxes = clamp_to_image(one.bboxes, meta)
            results.append(one)
        return results

    def predict_batch(
        self,
        maps: Sequence[Sequence[Tensor] | None],
        batch_img_metas: Sequence[dict],
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> BatchDetections:
        """Predict the boxes of a batch as a few flat tensors: the shortest way for inference.

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
        return self._detect(maps, batch_img_metas, self.test_cfg if cfg is None else cfg, rescale, with_nms)

    def _detect(
        self,
        maps: Sequence[Sequence[Tensor] | None],
        batch_img_metas: Sequence[dict],
        cfg: Mapping,
        rescale: bool,
        with_nms: bool,
        clamp: bool = True,
    ) -> BatchDetections:
        """As `predict_batch`; see `prediction.detect`."""
        cls_scores, bbox_preds, objectnesses = (*maps, None)[:3]
        check_maps(self, batch_img_metas, cls_scores=cls_scores, bbox_preds=bbox_preds, objectnesses=objectnesses)
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
            with_nms=with_nms,
            clamp=clamp,
        )

    def decoder(self, cfg: Mapping) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Return what makes boxes of predictions with these settings: `decode_bboxes` or another method of its form."""
        return self.decode_bboxes

    def decode_bboxes(self, priors: Tensor, bbox_preds: Tensor, strides: Tensor) -> Tensor:
        """Decode predictions of priors.

        Args:
            priors: (N, 2 or 4) points or anchors in input pixels.
            bbox_preds: (B, N, D) predictions.
            strides: (N,) strides of the priors.

        Returns:
            (B, N, 4) boxes, xyxy in input pixels.
        """
        return self.bbox_coder.decode(priors, bbox_preds, strides)

    def level_priors(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the priors of each level by row, column and base prior, kept until sizes or device change."""
        sizes, device = [level.shape[-2:] for level in maps], maps[0].device
        if (
            self.mlvl_priors is not self._own_priors
            or sizes != self.featmap_sizes
            or self.mlvl_priors[0].device != device
        ):
            self.mlvl_priors = self._own_priors = self._grid_priors(sizes, device)
            self.featmap_sizes = sizes
        return self.mlvl_priors

    def _grid_priors(self, sizes: Sequence[torch.Size], device: torch.device, **kwargs) -> list[Tensor]:
        with warnings.catch_warnings():  # mmdet does not pass the `indexing` that torch asks for
            warnings.filterwarnings('ignore', message='torch.meshgrid')
            return self.prior_generator.grid_priors(sizes, device=device, **kwargs)

    def points_and_strides(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the priors (N, 2 or 4) of all levels in input pixels, and their strides (N,)."""
        levels = self.level_priors(maps)
        strides = [level.new_full((len(level),), stride) for level, stride in zip(levels, self.featmap_strides)]
        return torch.cat(levels), torch.cat(strides)

    def priors_for_training(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the points (N, 4) of all levels, x, y and twice the stride, kept until sizes or device change."""
        sizes, device = [level.shape[-2:] for level in maps], maps[0].device
        if sizes != self.featmap_sizes_train or self.flatten_priors_train.device != device:
            levels = self._grid_priors(sizes, device, with_stride=True)
            self.featmap_sizes_train = sizes
            self.num_level_priors = [len(level) for level in levels]
            self.flatten_priors_train = torch.cat(levels)
            self.stride_tensor = self.flatten_priors_train[:, 2:3]
        return self.flatten_priors_train

    def forward_for_loss(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict the maps that `loss_by_feat` of this package takes."""
        return self(x)

    def maps_for_loss(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict the maps that `loss_by_feat` takes; those of `forward` if a subclass has replaced it."""
        return self.forward_for_loss(x) if is_original(self, 'loss_by_feat') else self(x)

    def loss(self, x: Sequence[Tensor], batch_data_samples: list | dict) -> dict:
        """Compute the losses of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: a data sample of each image; or a dict of `bboxes_labels`, (N, 6) rows of image index,
                label and box in input pixels, and `img_metas`.

        Returns:
            Losses by name.
        """
        maps = self.maps_for_loss(x)
        if isinstance(batch_data_samples, dict):
            return self.loss_by_feat(*maps, batch_data_samples['bboxes_labels'], batch_data_samples['img_metas'])
        gt_instances, gt_instances_ignore, metas = unpack_gt_instances(batch_data_samples)
        return self.loss_by_feat(*maps, gt_instances, metas, gt_instances_ignore)
