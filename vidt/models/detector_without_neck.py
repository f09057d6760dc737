"""ViDT without its neck: boxes straight from the detection tokens of the backbone."""

from mmdet.registry import MODELS
from torch import Tensor

from .base import Outputs, Targets, TokenDetector
from .heads import MLP, project_tokens, projection
from .padding import Valid


@MODELS.register_module()
class ViDTWithoutNeck(TokenDetector):
    """The detector without decoder of arXiv 2110.03921, table 2; each token has one class or none.

    Args:
        data_preprocessor: Config of what normalises and pads the images.
        backbone: Config of the backbone; its last_merge must be False.
        num_classes: Number of classes, without that of no object.
        criterion: Config of the losses.
        channels: Width of the heads.
        init_cfg: As mmengine's.
    """

    background = True

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        data_preprocessor: dict | None = None,
        criterion: dict | None = None,
        channels: int = 256,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, backbone, criterion, init_cfg=init_cfg)
        self.num_classes = num_classes
        self.class_embed = MLP(channels, num_classes + 1)
        self.bbox_embed = MLP(channels, 4)
        self.input_proj = projection(self.backbone.widths[-1], channels)

    def _outputs(
        self, images: Tensor, valid: Valid | None, every_level: bool, features: bool, targets: Targets | None = None
    ) -> Outputs:
        body = self.backbone(images, valid)
        tokens = project_tokens(*self.input_proj, body.tokens)
        outputs = {'pred_logits': self.class_embed(tokens), 'pred_boxes': self.bbox_embed(tokens).sigmoid(), 'aux': []}
        if features:
            outputs['features'] = {'tokens': tokens, 'maps': body.maps}
        return outputs
