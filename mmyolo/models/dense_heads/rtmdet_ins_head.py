"""The instance head of RTMDet (arXiv 2212.07784, section 3.5): every prior also predicts the weights of a small
network, which draws its mask from prototypes of the image and the place of the prior (CondInst, arXiv 2003.05664).

Kept as in public checkpoints: the towers of classes and distances are one and the same, stored under both names.
Different from public mmyolo: it trains; masks are cropped where the image lies, also if `pad_param` is not an array or
missing; results have no `kernels` and `priors`; masks are enlarged a few at a time, see `mask_prediction`.
Different from the head of mmdet, which trains too: positive priors are those of `BatchDynamicSoftLabelAssigner`, where
a box's centre is the middle of the box, not that of the mask; no more than `max_positives` of them draw masks; and the
small networks are computed in float32 whatever the precision of the training, as places need more than 8 bits.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmyolo.errors import ArgumentValueError
from mmyolo.registry import MODELS

from ..utils import gt_instances_preprocess
from ..utils.defaults import CSPNEXT_NORM_CFG
from .maps import gather_priors
from .mask_prediction import draw_masks, enlarge, frame_of, logit_of
from .prediction import BatchDetections
from .rtmdet_head import POINTS, QUALITY_FOCAL_LOSS, Assigned, RTMDetHead, RTMDetSepBNHeadModule
from .true_masks import TrainsOnMasks, mask_numbers, masks_of


class MaskFeatModule(BaseModule):
    """Draws the prototypes, at the resolution of the finest level.

    Args:
        in_channels: channels of every level.
        feat_channels: channels of the convolutions.
        stacked_convs: 3x3 convolutions.
        num_levels: levels.
        num_prototypes: prototypes.
        act_cfg: activation after each norm.
        norm_cfg: norm after each 3x3 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 4,
        num_levels: int = 3,
        num_prototypes: int = 8,
        act_cfg: dict = {'type': 'ReLU', 'inplace': True},
        norm_cfg: dict = CSPNEXT_NORM_CFG,
    ) -> None:
        super().__init__(init_cfg=None)
        self.num_levels = num_levels
        self.fusion_conv = nn.Conv2d(num_levels * in_channels, in_channels, 1)
        channels = [in_channels] + [feat_channels] * stacked_convs
        self.stacked_convs = nn.Sequential(
            *(
                ConvModule(*pair, 3, padding=1, act_cfg=act_cfg, norm_cfg=norm_cfg)
                for pair in zip(channels, channels[1:])
            )
        )
        self.projection = nn.Conv2d(feat_channels, num_prototypes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Feature map of each level, finest first, -> (B, num_prototypes, H, W) of the finest level's size."""
        size = features[0].shape[-2:]
        levels = [features[0]]
        levels += [F.interpolate(level, size=size, mode='bilinear') for level in features[1 : self.num_levels]]
        return self.projection(self.stacked_convs(self.fusion_conv(torch.cat(levels, dim=1))))


@MODELS.register_module()
class RTMDetInsSepBNHeadModule(RTMDetSepBNHeadModule):
    """The layers of the RTMDet instance head.

    Args:
        num_classes: classes of the detector.
        num_prototypes: prototypes.
        dyconv_channels: channels within the small network of a prior.
        num_dyconvs: layers of that network.
        use_sigmoid_cls: whether classes are independent of each other, else there is one more for background.
        *args, **kwargs: of `RTMDetSepBNHeadModule`.
    """

    def __init__(
        self,
        num_classes: int,
        *args,
        num_prototypes: int = 8,
        dyconv_channels: int = 8,
        num_dyconvs: int = 3,
        use_sigmoid_cls: bool = True,
        **kwargs,
    ) -> None:
        self.num_prototypes = num_prototypes
        self.num_dyconvs = num_dyconvs
        self.dyconv_channels = dyconv_channels
        self.use_sigmoid_cls = use_sigmoid_cls
        self.cls_out_channels = num_classes if use_sigmoid_cls else num_classes + 1
        inputs = [num_prototypes + 2] + [dyconv_channels] * (num_dyconvs - 1)  # 2: where a pixel lies from the prior
        outputs = [dyconv_channels] * (num_dyconvs - 1) + [1]
        self.weight_nums = [a * b for a, b in zip(inputs, outputs)]
        self.bias_nums = outputs
        self.num_gen_params = sum(self.weight_nums) + sum(self.bias_nums)
        super().__init__(num_classes, *args, **kwargs)

    def _init_layers(self) -> None:
        self.cls_convs = self._towers(self.share_conv)
        self.reg_convs = nn.ModuleList(self.cls_convs)  # the same towers, under both names
        self.kernel_convs = self._towers(share_conv=False)
        self.rtm_cls = self._predictors(self.num_base_priors * self.cls_out_channels)
        self.rtm_reg = self._predictors(self.num_base_priors * 4)
        self.rtm_kernel = self._predictors(self.num_gen_params)
        self.rtm_obj = nn.ModuleList()
        self.mask_head = MaskFeatModule(
            in_channels=self.in_channels,
            feat_channels=self.feat_channels,
            stacked_convs=4,
            num_levels=len(self.featmap_strides),
            num_prototypes=self.num_prototypes,
            act_cfg=self.act_cfg,
            norm_cfg=self.norm_cfg,
        )

    def init_weights(self) -> None:
        """As its parent, without `init_cfg`; every distance starts at one stride."""
        self._init_normal()
        for layer in self.rtm_reg:
            nn.init.constant_(layer.bias, 1.0)

    def forward(self, feats: Sequence[Tensor]) -> tuple:
        """Predict maps.

        Args:
            feats: feature map of each level.

        Returns:
            Per level class logits (B, num_classes, H, W), distances left, top, right, bottom (B, 4, H, W) in strides
            and weights of small networks (B, num_gen_params, H, W); the prototypes (B, num_prototypes, H0, W0).
        """
        return (*super().forward(feats), self.mask_head(feats))

    def forward_single(self, x: Tensor, level: int) -> tuple[Tensor, ...]:
        """Return the maps of one level."""
        cls_feat = kernel_feat = x
        for layer in self.cls_convs[level]:
            cls_feat = layer(cls_feat)
        for layer in self.kernel_convs[level]:
            kernel_feat = layer(kernel_feat)
        return self.rtm_cls[level](cls_feat), self.rtm_reg[level](cls_feat), self.rtm_kernel[level](kernel_feat)


@MODELS.register_module()
class RTMDetInsSepBNHead(TrainsOnMasks, RTMDetHead):
    """The RTMDet instance head. It trains on batches of `yolov5_collate` with `masks`.

    Args:
        head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, train_cfg: see `RTMDetHead`.
        loss_mask: config of the loss of masks, which takes logits and targets (n, h, w) of n masks.
        test_cfg: settings of prediction, see `prediction.detect`; and `mask_thr_binary` (0.5), the least probability of
            a mask's pixel.
        init_cfg: initialisation, see mmengine's `BaseModule`.
        mask_overlap: whether the true masks of an image are one map of numbers, see `TrainsOnMasks`.
        max_positives: most masks that are drawn for a batch, which bounds the memory; of more positive priors as many
            are drawn at random.
    """

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = POINTS,
        bbox_coder: dict = {'type': 'DistancePointBBoxCoder'},
        loss_cls: dict = QUALITY_FOCAL_LOSS,
        loss_bbox: dict = {'type': 'mmdet.GIoULoss', 'loss_weight': 2.0},
        loss_mask: dict = {'type': 'mmdet.DiceLoss', 'loss_weight': 2.0, 'eps': 5e-6, 'reduction': 'mean'},
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        mask_overlap: bool = False,
        max_positives: int = 1000,
    ) -> None:
        if max_positives < 1:
            raise ArgumentValueError(f'RTMDetInsSepBNHead: max_positives is at least 1, not {max_positives}')
        super().__init__(head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, train_cfg, test_cfg, init_cfg)
        self.use_sigmoid_cls = loss_cls.get('use_sigmoid', False)
        if self.use_sigmoid_cls != self.head_module.use_sigmoid_cls:
            raise AssertionError(
                f'use_sigmoid of loss_cls is {self.use_sigmoid_cls}, use_sigmoid_cls of head_module '
                f'{self.head_module.use_sigmoid_cls}: make them equal'
            )
        self.loss_mask = MODELS.build(loss_mask)
        self.mask_overlap = mask_overlap
        self.max_positives = max_positives

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        kernel_preds: Sequence[Tensor],
        mask_feats: Tensor,
        batch_gt_instances: Tensor,
        batch_gt_masks: Tensor,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: Tensor | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            kernel_preds: weights of the mask networks per level.
            mask_feats: features that masks are drawn from.
            batch_gt_instances: (N, 6) rows of image index, label and box in input pixels.
            batch_gt_masks: with `mask_overlap` (B, h, w) maps of numbers, 0 for background, else (N, h, w) of 0 and 1.
                Masks are compared at this size, which shows the whole input.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls` and `loss_bbox` of `RTMDetHead`, and `loss_mask`, a mean over positive priors.
        """
        losses, assigned = self.losses_of_boxes(cls_scores, bbox_preds, batch_gt_instances)
        numbers = mask_numbers(batch_gt_instances[:, 0], self.mask_overlap)  # (N,)
        losses['loss_mask'] = self._mask_loss(
            kernel_preds, mask_feats, assigned, batch_gt_instances[:, 0], numbers, batch_gt_masks
        )
        return losses

    def _mask_loss(
        self,
        kernel_preds: Sequence[Tensor],
        mask_feats: Tensor,
        assigned: Assigned,
        gt_images: Tensor,
        gt_numbers: Tensor,
        gt_masks: Tensor,
    ) -> Tensor:
        """Return the mean loss of the masks of positive priors.

        Args:
            kernel_preds: weights of the mask networks per level.
            mask_feats: (B, num_prototypes, h, w).
            assigned: which priors are positive, and of which boxes.
            gt_images: (N,) image index of each box.
            gt_numbers: (N,) which true mask is the box's, see `mask_numbers`.
            gt_masks: see `loss_by_feat`.
        """
        images, priors = assigned.positives.nonzero(as_tuple=True)  # (M,), in order of the images
        if len(images) > self.max_positives:
            chosen = torch.randperm(len(images), device=images.device)[: self.max_positives].sort().values
            images, priors = images[chosen], priors[chosen]
        kernels = gather_priors(kernel_preds, images, priors)  # (M, num_gen_params)
        # Every rank takes part, also one without positive priors.
        avg_factor = reduce_mean(kernels.new_tensor(len(kernels), dtype=torch.float)).clamp(min=1)
        if len(kernels) == 0:
            return kernels.float().sum() + mask_feats[:0].float().sum()  # 0, and a gradient of 0 for every parameter
        logits = self._draw_positives(mask_feats, kernels, images, self.flatten_priors_train[priors])  # (M, h, w)
        # As boxes are laid out for the assigner: (B, G) numbers of the boxes of each image.
        numbers = gt_instances_preprocess(torch.stack((gt_images, gt_numbers.to(gt_images)), dim=1), len(mask_feats))
        numbers = numbers[images, assigned.gt_inds[images, priors], 0].long()  # (M,)
        target = masks_of(gt_masks, images, numbers, self.mask_overlap)
        return self.loss_mask(enlarge(logits, gt_masks.shape[-2:]), target, avg_factor=avg_factor)

    def _draw_positives(self, mask_feats: Tensor, kernels: Tensor, images: Tensor, priors: Tensor) -> Tensor:
        """Draw masks of a batch.

        Args:
            mask_feats: (B, num_prototypes, h, w).
            kernels: (M, num_gen_params) weights of a small network each.
            images: (M,) their images, in order.
            priors: (M, 4) x, y and twice the stride.

        Returns:
            (M, h, w) logits.
        """
        counts = torch.bincount(images, minlength=len(mask_feats)).tolist()
        parts = zip(mask_feats, kernels.split(counts), priors.split(counts))
        return torch.cat([self._mask_predict_by_feat(*part) for part in parts if len(part[1])])

    def predict_batch(
        self,
        maps: Sequence,
        batch_img_metas: Sequence[dict],
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> BatchDetections:
        """Predict the boxes of a batch without their masks, see `BaseYOLOHead.predict_batch`."""
        return super().predict_batch(maps[:2], batch_img_metas, cfg=cfg, rescale=rescale, with_nms=with_nms)

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        kernel_preds: Sequence[Tensor],
        mask_feats: Tensor,
        score_factors: Sequence[Tensor] | None = None,
        batch_img_metas: Sequence[dict] | None = None,
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Predict the boxes and masks of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            kernel_preds: weights of the mask networks per level.
            mask_feats: features that masks are drawn from.
            score_factors: not used.
            batch_img_metas: meta information of each image.
            cfg: settings, by default `test_cfg`.
            rescale: return boxes and masks in pixels of the original images, else of the input.
            with_nms: must be True: masks are drawn for boxes that are kept.

        Returns:
            `bboxes` (n, 4) xyxy, `scores` (n,), `labels` (n,) and `masks` (n, height, width) bool of each image, best
            first.
        """
        assert with_nms, f'{type(self).__name__} draws masks of boxes that survived NMS: call it with with_nms=True'
        cfg = self.test_cfg if cfg is None else cfg
        boxes = self.predict_batch((cls_scores, bbox_preds), batch_img_metas, cfg=cfg, rescale=rescale)
        kernels = gather_priors(kernel_preds, boxes.images, boxes.priors)  # (n, num_gen_params), of kept boxes alone
        points, strides = self.points_and_strides(cls_scores)
        priors = torch.cat((points, strides[:, None].expand(-1, 2)), dim=1)[boxes.priors]  # (n, 4)

        results, counts = [], boxes.counts()
        for found, kernel, prior, mask_feat, meta in zip(
            boxes.split(), kernels.split(counts), priors.split(counts), mask_feats, batch_img_metas
        ):
            masks = self._masks(mask_feat, kernel, prior, meta if rescale else None, cfg)
            results.append(found.instances(masks=masks))
        return results

    def _masks(self, mask_feat: Tensor, kernels: Tensor, priors: Tensor, meta: dict | None, cfg: Mapping):
        """Return the binary masks (N, height, width) of one image, with `masks_as_rle` their run-length codes.

        Args:
            mask_feat: features that masks are drawn from.
            kernels: weights of the mask networks.
            priors: points x, y and strides of the boxes.
            meta: meta information of the image, None for masks of the input's size.
            cfg: see `predict_by_feat`.
        """
        stride = self.featmap_strides[0]
        input_shape = mask_feat.shape[-2] * stride, mask_feat.shape[-1] * stride
        frame = None if meta is None else frame_of(meta, input_shape)
        threshold = logit_of(cfg.get('mask_thr_binary', 0.5))

        def draw(part: slice) -> Tensor:
            masks = enlarge(self._mask_predict_by_feat(mask_feat, kernels[part], priors[part]), input_shape)
            if frame is not None:
                masks = enlarge(frame.crop(masks), frame.ori_shape)
            return masks > threshold

        size = input_shape if frame is None else frame.ori_shape
        as_rle = cfg.get('masks_as_rle', False)
        return draw_masks(draw, len(kernels), size, input_shape[0] * input_shape[1], mask_feat.device, as_rle)

    def parse_dynamic_params(self, flatten_kernels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Take the weights of small networks apart.

        Args:
            flatten_kernels: (N, num_gen_params), the weights of all layers, then their biases.

        Returns:
            Per layer weights (N, outputs, inputs) and biases (N, outputs, 1).
        """
        module = self.head_module
        # The weights of all layers stand before the first bias.
        parts = flatten_kernels.split(module.weight_nums + module.bias_nums, dim=1)
        weights, biases = parts[: module.num_dyconvs], parts[module.num_dyconvs :]
        return (
            [weight.unflatten(1, (outputs, -1)) for weight, outputs in zip(weights, module.bias_nums)],
            [bias[:, :, None] for bias in biases],
        )

    def _mask_predict_by_feat(self, mask_feat: Tensor, kernels: Tensor, priors: Tensor) -> Tensor:
        """Draw low-resolution masks.

        Args:
            mask_feat: (num_prototypes, h, w) prototypes.
            kernels: (N, num_gen_params) weights of a small network each.
            priors: (N, 4) x, y and twice the stride.

        Returns:
            (N, h, w) logits.
        """
        if mask_feat.dim() == 4:
            mask_feat = mask_feat.squeeze(0)
        num, (height, width) = len(kernels), mask_feat.shape[-2:]
        if num == 0:
            return mask_feat.new_zeros((0, height, width), dtype=torch.float)
        # (h * w, 2) x, y in input pixels
        pixels = self.prior_generator.single_level_grid_priors((height, width), level_idx=0, device=mask_feat.device)
        with torch.autocast(mask_feat.device.type, enabled=False):  # half precision has too few bits for places
            # Distances to the prior in units of the largest box that a prior of this stride stands for.
            places = (priors[:, None, :2] - pixels) / (priors[:, None, 2:3] * 8)  # (N, h * w, 2)
            # (N, 2 + num_prototypes, h * w): each box has weights of its own for the same prototypes.
            x = torch.cat((places.transpose(1, 2), mask_feat.float().flatten(1).expand(num, -1, -1)), dim=1)
            weights, biases = self.parse_dynamic_params(kernels.float())
            for index, (weight, bias) in enumerate(zip(weights, biases)):
                x = torch.baddbmm(bias, weight, x)  # (N, outputs, h * w)
                if index < len(weights) - 1:
                    x = x.relu_()
        return x.view(num, height, width)
