"""ViDT and ViDT+: backbone with detection tokens, and a deformable decoder."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from ..distillation import distillation_loss, load_teacher
from .base import Outputs, Targets, TokenDetector
from .decoder import DROPOUT, DeformableTransformer, Memory
from .denoising import make_noised_queries
from .epff import EPFF
from .heads import MLP, class_head, project_map, project_tokens, projection, zero_last_layer
from .padding import Valid

BOX_SIZE_BIAS = -2.0  # sigmoid(-2) = 0.12 of the image


@MODELS.register_module()
class ViDT(TokenDetector):
    """ViDT (arXiv 2110.03921) and, with its options, ViDT+ (arXiv 2204.07962).

    Args:
        data_preprocessor: Config of what normalises and pads the images.
        backbone: Config of the backbone.
        num_classes: Number of classes.
        num_decoder_layers: Layers of the decoder; there is one more level of outputs.
        box_refine: Whether each layer refines the boxes of the one before.
        aux_loss: Whether every level is trained, or only the last.
        epff: Whether the maps are fused.
        iou_aware: Whether a head predicts the overlap with the object, for training only.
        token_label: Whether the patches are classified in training, which needs masks of the objects.
        mask_vectors: Whether a head predicts a code of the object's mask, which training needs.
        token_classes: Outputs of a patch; None for one more than `num_classes`, the first of which is any object.
            Public files have as many as classes, and what has class 0 counts as no object.
        denoising_groups: How many queries of a training begin at a noised box of each object; 0 is the published form,
            and inference knows nothing of them. They need box_refine; without it there are none.
        dropout: Share of the numbers that the layers of the decoder leave out in training.
        criterion: Config of the losses.
        max_detections: How many boxes are predicted at most.
        channels: Width of the decoder.
        feedforward_channels: Width between the last two layers of each decoder layer.
        vector_channels: Width of the head of mask codes.
        vector_length: Length of a mask code.
        teacher: File with the weights of a larger ViDT, whose tokens this one learns in training besides the objects
            (`vidt/distillation.py`). It is no part of this model's weights.
        init_cfg: As mmengine's.
    """

    background = False

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        data_preprocessor: dict | None = None,
        num_decoder_layers: int = 6,
        box_refine: bool = True,
        aux_loss: bool = True,
        epff: bool = False,
        iou_aware: bool = False,
        token_label: bool = False,
        mask_vectors: bool = False,
        token_classes: int | None = None,
        denoising_groups: int = 0,
        dropout: float = DROPOUT,
        criterion: dict | None = None,
        max_detections: int = 100,
        channels: int = 256,
        feedforward_channels: int = 1024,
        vector_channels: int = 256,
        vector_length: int = 256,
        teacher: str | Path | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, backbone, criterion, max_detections, init_cfg)
        self.num_classes = num_classes
        self.num_decoder_layers = num_decoder_layers
        self.channels = channels
        self.box_refine = box_refine
        self.aux_loss = aux_loss
        self.epff = epff
        self.token_label = token_label
        self.denoising_groups = denoising_groups if box_refine else 0
        labels = (token_classes or num_classes + 1) if token_label else 0
        self.transformer = DeformableTransformer(num_decoder_layers, channels, feedforward_channels, labels, dropout)
        levels = num_decoder_layers + 1

        def heads(make: Callable[[], nn.Module], shared: bool) -> nn.ModuleList:
            """One head for all levels, or copies that start equal."""
            first = make()
            return nn.ModuleList([first, *([] if shared else [copy.deepcopy(first) for _ in range(levels - 1)])])

        self.class_embed = heads(lambda: class_head(channels, num_classes), not box_refine)
        self.bbox_embed = heads(lambda: zero_last_layer(MLP(channels, 4), 0.0), not box_refine)
        nn.init.constant_(self.bbox_embed[0].layers[-1].bias[2:], BOX_SIZE_BIAS)
        self.iou_embed = heads(lambda: MLP(channels, 1), not box_refine) if iou_aware else None
        self.vector_embed = None
        if mask_vectors:
            head = MLP(channels, vector_length, vector_channels)
            self.vector_embed = nn.ModuleList([zero_last_layer(head, BOX_SIZE_BIAS)])  # for all levels
        widths = self.backbone.out_channels
        if epff:
            self.fusion = EPFF(widths, channels)
        else:
            self.input_proj = nn.ModuleList(projection(width, channels) for width in widths)
        self.tgt_proj = projection(self.backbone.widths[-1], channels)
        self.query_pos_proj = projection(self.backbone.det_pos_embed.shape[2], channels)
        if box_refine and not aux_loss:
            self._freeze_earlier_levels()
        self._teacher = None if teacher is None else (load_teacher(teacher, self),)  # a tuple, so it is no submodule

    def _freeze_earlier_levels(self) -> None:
        """Without losses of their own, what gives the boxes to refine gets no gradient: the layers detach them."""
        self.transformer.reference_points.requires_grad_(False)
        for heads in (self.class_embed, self.bbox_embed, self.iou_embed or ()):
            for head in heads[:-1]:
                head.requires_grad_(False)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Return the weighted losses, and numbers for the log, of a batch from the data preprocessor."""
        if self._teacher is None:
            return super().loss(batch_inputs, batch_data_samples)
        outputs, losses = self._losses(batch_inputs, batch_data_samples, features=True)
        valid = self._valid(batch_inputs, batch_data_samples)
        teacher = self._teacher[0].to(batch_inputs.device)
        with torch.no_grad():
            wanted = teacher.forward_levels(batch_inputs, valid, 'last', features=True)
        losses['loss_distil'] = distillation_loss(outputs['features'], wanted['features'])
        return self.criterion.weighted(losses)

    def _outputs(
        self, images: Tensor, valid: Valid | None, every_level: bool, features: bool, targets: Targets | None = None
    ) -> Outputs:
        body = self.backbone(images, valid)
        maps = (
            self.fusion(body.maps)
            if self.epff
            else [project_map(*proj, x) for proj, x in zip(self.input_proj, body.maps)]
        )
        level_valid = None if valid is None else [valid.resized(*x.shape[2:]) for x in maps]
        memory = _memory(maps, level_valid, torch.promote_types(images.dtype, torch.float32))
        tokens = project_tokens(*self.tgt_proj, body.tokens)
        positions = project_tokens(*self.query_pos_proj, body.positions)
        with_aux = every_level and self.aux_loss
        levels, boxes = self.transformer(tokens, positions, memory, self.bbox_embed, self.box_refine, with_aux)
        last = len(levels) - 1
        outputs = self._heads(last, levels[-1], boxes[-1])
        outputs['aux'] = [self._heads(index, levels[index], boxes[index]) for index in range(last) if with_aux]
        if every_level and self.token_label:
            outputs['enc_tokens'] = self.transformer.label_patches(memory, level_valid)
        if targets is not None and self.denoising_groups:
            queries = make_noised_queries(tokens, positions, targets, self.denoising_groups)
            if queries is not None:
                noised, boxes = self.transformer.denoise(queries, memory, self.bbox_embed)
                logits = [head(level) for head, level in zip(self.class_embed[1:], noised)]
                outputs['noised'] = {
                    'pred_logits': torch.stack(logits),
                    'pred_boxes': torch.stack(boxes),
                    'objects': queries.objects,
                    'groups': queries.groups,
                }
        if features:
            outputs['features'] = {'tokens': levels[-1], 'maps': maps, 'body_tokens': tokens, 'levels': levels}
        return outputs

    def _heads(self, level: int, tokens: Tensor, boxes: Tensor) -> Outputs:
        outputs = {'pred_logits': _head_of(self.class_embed, level)(tokens), 'pred_boxes': boxes}
        if self.iou_embed is not None:
            outputs['pred_ious'] = _head_of(self.iou_embed, level)(tokens)
        if self.vector_embed is not None:
            outputs['pred_vectors'] = self.vector_embed[0](tokens)
        return outputs


def _head_of(heads: nn.ModuleList, level: int) -> nn.Module:
    return heads[min(level, len(heads) - 1)]


def _memory(maps: list[Tensor], valid: list[Valid] | None, dtype: torch.dtype) -> Memory:
    """Lay the maps of shape (B, C, H, W) one after another; boxes are of this type."""
    values = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], 1)
    shapes = [tuple(x.shape[2:]) for x in maps]
    if torch.jit.is_tracing():  # sizes stay variable
        sizes = torch.stack([torch._shape_as_tensor(x)[2:] for x in maps])
    else:
        sizes = torch.tensor(shapes)
    areas = sizes.prod(1)
    starts = (areas.cumsum(0) - areas).to(values.device)
    sizes = sizes.flip(1).to(values.device, dtype)
    if valid is None:
        return Memory(values, shapes, sizes, starts, None, None)
    padding = torch.cat([flags.padding().flatten(1) for flags in valid], 1)
    ratios = torch.stack([flags.ratios().to(dtype) for flags in valid], 1)
    return Memory(values, shapes, sizes, starts, padding, ratios)
