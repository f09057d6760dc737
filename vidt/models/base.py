"""What the detectors with and without neck have in common: inputs, losses and predictions in mmdet's form."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from ..postprocess import select_detections, to_pixels
from .padding import Valid

Outputs = dict[str, Any]
Targets = Sequence[dict[str, Tensor]]


class TokenDetector(BaseDetector):
    """A detector that gives a fixed number of boxes, one per detection token.

    Subclasses set `background`: whether the last class is that of no object.

    Args:
        data_preprocessor: Config of what normalises and pads the images, e.g. mmdet's DetDataPreprocessor.
        backbone: Config of the backbone.
        criterion: Config of the losses; None for a detector that is only used.
        max_detections: How many boxes are predicted at most.
        init_cfg: As mmengine's.
    """

    background: bool

    def __init__(
        self,
        data_preprocessor: dict | None,
        backbone: dict,
        criterion: dict | None,
        max_detections: int = 100,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.criterion = None if criterion is None else MODELS.build(criterion)
        self.max_detections = max_detections

    def forward_levels(
        self,
        images: Tensor,
        mask: Tensor | Valid | None = None,
        levels: str = 'all',
        features: bool = False,
        targets: Targets | None = None,
    ) -> Outputs:
        """Compute the outputs of the network.

        Args:
            images: Shape (B, 3, H, W), normalised, zeros on padding.
            mask: Shape (B, H, W), bool, True on padding, which lies right of and below each image; or its rows and
                columns; None if there is no padding.
            levels: 'all' for the outputs of every level of the decoder, as losses need them, or 'last'.
            features: Whether to give the tokens and maps that the heads saw.
            targets: The objects of each image as the criterion takes them, for detectors with queries of denoising.

        Returns:
            `pred_logits` (B, N, K), `pred_boxes` (B, N, 4) as cxcywh in 0..1 of the image without padding, and `aux`, a
            list of the same for the levels before, first level first. Where the detector has them, `pred_ious`
            (B, N, 1), `pred_vectors` (B, N, 256) and, with all levels, `enc_tokens`, logits (B, h, w, token classes) of
            each map. With features, `features`: a dict of `tokens` (B, N, d) and `maps`, each (B, C, h, w). With
            targets, perhaps `noised`, what the queries of denoising give: `pred_logits` (L, B, Q, K) and `pred_boxes`
            (L, B, Q, 4) of L levels, `objects` (B, Q) int64, the object that each is to give or -1, and `groups`, how
            many queries each object has.

        Raises:
            ValueError: If `levels` is something else.
        """
        if levels not in ('all', 'last'):
            raise ValueError(f"levels={levels!r} is unknown; allowed are 'all' and 'last'")
        valid = Valid.of_mask(mask) if isinstance(mask, Tensor) else mask
        return self._outputs(images, valid, levels == 'all', features, targets)

    @abstractmethod
    def _outputs(
        self, images: Tensor, valid: Valid | None, every_level: bool, features: bool, targets: Targets | None = None
    ) -> Outputs:
        """Compute what `forward_levels` describes."""

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Return the weighted losses, and numbers for the log, of a batch from the data preprocessor."""
        return self.criterion.weighted(self._losses(batch_inputs, batch_data_samples)[1])

    def _losses(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], features: bool = False
    ) -> tuple[Outputs, dict[str, Tensor]]:
        """Return the outputs of all levels, and their losses before the weights."""
        targets = [_target(sample) for sample in batch_data_samples]
        valid = self._valid(batch_inputs, batch_data_samples)
        outputs = self.forward_levels(batch_inputs, valid, features=features, targets=targets)
        return outputs, self.criterion(outputs, targets, tuple(batch_inputs.shape[2:]))

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """Add `pred_instances` to the samples of a batch from the data preprocessor.

        Images of one size go through the network together and without their padding, which would count in its norms: so
        what is found in an image does not depend on the others.

        Args:
            batch_inputs: Shape (B, 3, H, W).
            batch_data_samples: The images' sizes.
            rescale: Whether boxes are in pixels of the original image, or of the resized one.
        """
        places: dict[tuple[int, int], list[int]] = {}  # of the images of each size
        for place, sample in enumerate(batch_data_samples):
            places.setdefault(tuple(sample.metainfo['img_shape'][:2]), []).append(place)
        key = 'ori_shape' if rescale else 'img_shape'
        results: list[InstanceData | None] = [None] * len(batch_data_samples)
        for (height, width), group in places.items():
            outputs = self.forward_levels(batch_inputs[group, :, :height, :width], None, 'last')
            sizes = [batch_data_samples[place].metainfo[key][:2] for place in group]
            found = select_detections(outputs, self.max_detections, self.background)
            boxes = to_pixels(found.boxes, torch.tensor(sizes, device=batch_inputs.device))
            for place, *one in zip(group, boxes, found.scores, found.labels):
                results[place] = InstanceData(bboxes=one[0], scores=one[1], labels=one[2])
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample] | None = None) -> Outputs:
        return self.forward_levels(batch_inputs, self._valid(batch_inputs, batch_data_samples), 'last')

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the backbone for images without padding."""
        return tuple(self.backbone(batch_inputs).maps)

    @staticmethod
    def _valid(images: Tensor, samples: list[DetDataSample] | None) -> Valid | None:
        """Return which rows and columns belong to the images; None if all do."""
        height, width = images.shape[2:]
        sizes = [tuple(sample.metainfo['img_shape'][:2]) for sample in samples or ()]
        if all(size == (height, width) for size in sizes):
            return None
        return Valid.of_sizes(torch.tensor(sizes, device=images.device), height, width)


def _target(sample: DetDataSample) -> dict[str, Tensor]:
    """Return labels, boxes (cxcywh in 0..1 of the image) and, if there are any, masks of an image's objects."""
    objects = sample.gt_instances
    boxes = get_box_tensor(objects.bboxes)
    height, width = sample.metainfo['img_shape'][:2]
    size = boxes.new_tensor([width, height, width, height])
    low, high = (boxes / size).split(2, 1)
    target = {'labels': objects.labels, 'boxes': torch.cat([(low + high) / 2, high - low], 1)}
    if 'masks' in objects:
        masks = objects.masks.to_tensor(torch.bool, boxes.device)
        target['masks'] = masks[:, :height, :width]  # the preprocessor may have padded them as the images
    return target
