"""What stands in for methods of the heads while mmdeploy traces a detector; needs mmdeploy.

Every prior is decoded, so that shapes do not depend on values, and boxes stay in pixels of the input.
"""

from collections.abc import Sequence

import torch
from mmdeploy.codebase.mmdet import get_post_processing_params
from mmdeploy.core import FUNCTION_REWRITER, mark
from mmdeploy.mmcv.ops.nms import multiclass_nms
from mmengine.config import ConfigDict
from torch import Tensor

from mmyolo.models.dense_heads import YOLOv5Head

from ..layers import efficient_nms
from ..layers.bbox_nms import CENTRE_AND_SIZE
from .yolov5_head import yolov5_bbox_decoder


@FUNCTION_REWRITER.register_rewriter(func_name='mmyolo.models.dense_heads.yolov5_head.YOLOv5Head.predict_by_feat')
def yolov5_head__predict_by_feat(
    self,
    cls_scores: Sequence[Tensor],
    bbox_preds: Sequence[Tensor],
    objectnesses: Sequence[Tensor] | None = None,
    batch_img_metas: Sequence[dict] | None = None,
    cfg: ConfigDict | None = None,
    rescale: bool = False,
    with_nms: bool = True,
) -> tuple[Tensor, Tensor]:
    """Predict the boxes of a batch from maps, in shapes that do not depend on what they hold.

    Args:
        self: the head.
        cls_scores: class logits per level, as `forward` or `forward_raw` returns them.
        bbox_preds: box predictions per level.
        objectnesses: objectness logits per level.
        batch_img_metas: not used.
        rescale: not used.
        cfg: settings, by default `test_cfg`.
        with_nms: False returns all boxes and their scores.

    Returns:
        Boxes with their scores (B, K, 5), xyxy in pixels of the input, and labels (B, K); or boxes (B, N, 4) and scores
        (B, N, num_classes).
    """
    deploy_cfg = FUNCTION_REWRITER.get_context().cfg
    cfg = self.test_cfg if cfg is None else cfg
    levels = self.prior_generator.grid_priors([level.shape[-2:] for level in cls_scores], device=cls_scores[0].device)
    priors = torch.cat(levels)
    strides = torch.cat(
        [level.new_full(level.shape[:1], float(stride)) for level, stride in zip(levels, self.featmap_strides)]
    )
    scores, preds = (_by_prior(maps, self.num_base_priors) for maps in (cls_scores, bbox_preds))
    scores = scores.sigmoid()
    if objectnesses is not None:
        scores = scores * _by_prior(objectnesses, self.num_base_priors).sigmoid()

    use_plugin = deploy_cfg.get('use_efficientnms', False)
    as_centres = use_plugin and type(self) is YOLOv5Head  # the plugin decodes corners itself
    bboxes = yolov5_bbox_decoder(priors, preds, strides) if as_centres else self.decode_bboxes(priors, preds, strides)
    if not with_nms:
        return bboxes, scores
    params = get_post_processing_params(deploy_cfg)
    options = (
        params.max_output_boxes_per_class,
        cfg.get('nms', {}).get('iou_threshold', params.iou_threshold),
        cfg.get('score_thr', params.score_threshold),
        params.pre_top_k,
        cfg.get('max_per_img', params.keep_top_k),
    )
    if not use_plugin:
        return multiclass_nms(bboxes, scores, *options)
    suppress = mark('efficient_nms', inputs=['boxes', 'scores'], outputs=['dets', 'labels'])(efficient_nms)
    return suppress(bboxes, scores, *options, **({'box_coding': CENTRE_AND_SIZE} if as_centres else {}))


def _by_prior(maps: Sequence[Tensor], anchors: int) -> Tensor:
    """Per level (B, A * C, H, W) or (B, A, C, H, W) -> (B, N, C) by row, column and anchor."""
    flat = []
    for level in maps:
        level = level.flatten(1, -3).permute(0, 2, 3, 1)
        flat.append(level.reshape(level.shape[0], -1, level.shape[-1] // anchors))
    return torch.cat(flat, dim=1)


@FUNCTION_REWRITER.register_rewriter(
    func_name='mmyolo.models.dense_heads.yolov5_head.YOLOv5Head.predict', backend='rknn'
)
def yolov5_head__predict__rknn(self, x: Sequence[Tensor], *args, **kwargs):
    """Return the maps as the layers give them: the device's own code decodes them."""
    return self(x)


@FUNCTION_REWRITER.register_rewriter(
    func_name='mmyolo.models.dense_heads.yolov5_head.YOLOv5HeadModule.forward', backend='rknn'
)
def yolov5_head_module__forward__rknn(self, x: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the map of each level before it is taken apart."""
    return [convs(level) for level, convs in zip(x, self.convs_pred)]
