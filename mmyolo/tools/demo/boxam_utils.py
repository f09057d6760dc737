"""Box attention maps: which places of an image decide the boxes that a detector finds in it.

The methods come from the package grad-cam: AblationCAM (WACV 2020), EigenCAM (arXiv 2008.00299), Grad-CAM (arXiv
1610.02391) and Grad-CAM++ (arXiv 1710.11063). It is optional: without it this module can be imported, and its classes
say what is missing when they are built. Unlike the public release, the padding of the network's input is cut off the
maps, so that they lie where they belong, and current releases of grad-cam work.
"""

from collections.abc import Callable, Sequence
from copy import copy

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet import apis
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from mmengine.visualization.utils import convert_overlay_heatmap
from torch import Tensor, nn

from ...utils.device import choose_device
from .drawing import draw_instances
from .inference import build_pipeline, read_detector_config

try:
    from pytorch_grad_cam import AblationCAM, AblationLayer, ActivationsAndGradients
    from pytorch_grad_cam.base_cam import BaseCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    _MISSING = None
except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit torch
    _MISSING = error

    class BaseCAM:  # stands in, so that this module can be imported
        """Raises an error that names the missing package."""

        def __init__(self, *args, **kwargs) -> None:
            _require_grad_cam()

    class AblationLayer(nn.Module):
        """Raises an error that names the missing package."""

        def __init__(self) -> None:
            _require_grad_cam()

    AblationCAM = BaseCAM

ABLATED = -1000  # what a channel is set to when it is taken away


def _require_grad_cam() -> None:
    if _MISSING is not None:
        raise ImportError(f'Box attention maps need the package grad-cam ({_MISSING}): pip install grad-cam')


def init_detector(
    config: str | Config,
    checkpoint: str | None = None,
    palette: str = 'coco',
    device: str = 'cuda:0',
    cfg_options: dict | None = None,
) -> nn.Module:
    """Build a detector that can compute losses too.

    Args:
        config: config or its file.
        checkpoint: file or address of the weights.
        palette: colours of the classes.
        device: the CPU is taken where there is no GPU.
        cfg_options: settings of the config to change; without them the backbone's own weights are not loaded.

    Returns:
        The detector in evaluation mode, with `cfg` and `dataset_meta`.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    cfg.setdefault('default_scope', 'mmyolo')
    return apis.init_detector(cfg, checkpoint, palette, choose_device(device), cfg_options)


def reshape_transform(
    feats: Tensor | Sequence[Tensor], max_shape: tuple[int, int] = (20, 20), is_need_grad: bool = False
) -> Tensor:
    """Make one map of the outputs of a layer.

    Args:
        feats: (B, C, H, W) or several.
        max_shape: largest height and width of the result; -1 in it: as large as the largest input.
        is_need_grad: whether a method of gradients asks.

    Returns:
        (B, sum of C, H', W') absolute values.

    Raises:
        NotImplementedError: for several maps and gradients; choose a layer with a single output.
    """
    if isinstance(feats, Tensor):
        feats = [feats]
    elif is_need_grad:
        raise NotImplementedError(
            'methods of gradients need target layers with a single output, such as neck.out_layers[2]'
        )
    size = [max(feat.shape[axis] for feat in feats) for axis in (-2, -1)]
    if -1 not in max_shape:
        size = [min(side, limit) for side, limit in zip(size, max_shape)]
    return torch.cat([F.interpolate(feat.abs(), size, mode='bilinear', align_corners=False) for feat in feats], 1)


class BoxAMDetectorWrapper(nn.Module):
    """A detector with one image to look at, as the methods of grad-cam call it.

    Args:
        cfg: config of the detector or its file.
        checkpoint: its weights.
        score_thr: boxes with a lower score do not count.
        device: where it runs.
    """

    def __init__(self, cfg: str | Config, checkpoint: str, score_thr: float, device: str = 'cuda:0') -> None:
        super().__init__()
        cfg = cfg if isinstance(cfg, Config) else read_detector_config(cfg)
        self.cfg, self.score_thr = cfg, score_thr
        self.detector = init_detector(cfg, checkpoint, device=device)
        self.device = str(next(self.detector.parameters()).device)
        self.pipeline = build_pipeline(self.detector, from_array=True)
        self.is_need_loss = False
        self.input_data: dict | None = None

    def need_loss(self, is_need_loss: bool) -> None:
        """Choose what a call returns: losses, for methods of gradients, or results."""
        self.is_need_loss = is_need_loss

    def set_input_data(self, image: np.ndarray, pred_instances: InstanceData | None = None) -> None:
        """Set the image.

        Args:
            image: (H, W, 3) uint8 BGR.
            pred_instances: where losses are needed, the boxes that serve as ground truth: `bboxes` (n, 4) in pixels of
                the image, `labels`.

        Raises:
            ValueError: if losses are needed and there are no boxes.
        """
        data = pseudo_collate([self.pipeline({'img': image, 'img_id': 0})])
        if self.is_need_loss:
            if pred_instances is None:
                raise ValueError('losses need boxes: set_input_data(image, pred_instances)')
            sample = data['data_samples'][0]
            top, _, left, _ = sample.metainfo.get('pad_param', (0, 0, 0, 0))
            boxes = pred_instances.bboxes.detach()
            scale, shift = ((boxes.new_tensor([x, y] * 2)) for x, y in (sample.metainfo['scale_factor'], (left, top)))
            sample.gt_instances = InstanceData(bboxes=boxes * scale + shift, labels=pred_instances.labels)
        self.input_data = self.detector.data_preprocessor(data, training=False)

    def forward(self, images: Tensor | None = None) -> list[dict[str, Tensor] | DetDataSample]:
        """Run the detector on the image that was set.

        Args:
            images: (n, ...) says only how many times the image is wanted, once by default.

        Returns:
            The losses, once; or n results with the boxes above the threshold.
        """
        inputs, (sample,) = self.input_data['inputs'], self.input_data['data_samples']
        head = self.detector.bbox_head
        if self.is_need_loss:
            # The layers of some heads give what the loss needs in training only; norms below stay as they are.
            was_training, head.head_module.training = head.head_module.training, True
            if hasattr(head, 'featmap_sizes_train'):
                head.featmap_sizes_train = None
            try:
                return [self.detector.loss(inputs, [sample])]
            finally:
                head.head_module.training = was_training
        count = 1 if images is None else len(images)
        samples = [copy(sample) for _ in range(count)]
        with torch.no_grad():
            results = self.detector(inputs.repeat(count, 1, 1, 1), samples, mode='predict')
        for result in results:
            result.pred_instances = result.pred_instances[result.pred_instances.scores > self.score_thr]
        return results


class BoxAMDetectorVisualizer:
    """Computes and draws attention maps.

    Args:
        method_class: `AblationCAM` or `EigenCAM` of grad-cam, `GradCAM` or `GradCAMPlusPlus` of this module.
        model: the detector with its image.
        target_layers: layers of it whose outputs are weighed.
        reshape_transform: makes one map of a layer's outputs, see the function of that name.
        is_need_grad: whether the method is one of gradients.
        extra_params: for `AblationCAM`: `batch_size` (1), `ablation_layer`, `ratio_channels_to_ablate` (1.0).
    """

    def __init__(
        self,
        method_class: type[BaseCAM],
        model: BoxAMDetectorWrapper,
        target_layers: list[nn.Module],
        reshape_transform: Callable | None = None,
        is_need_grad: bool = False,
        extra_params: dict | None = None,
    ) -> None:
        _require_grad_cam()
        self.target_layers, self.reshape_transform, self.is_need_grad = target_layers, reshape_transform, is_need_grad
        self.model = model
        options = {}
        if issubclass(method_class, AblationCAM):
            options = dict({'batch_size': 1, 'ablation_layer': DetAblationLayer()}, **(extra_params or {}))
        self.cam = method_class(model, target_layers, reshape_transform=reshape_transform, **options)
        self.is_recording = True

    def switch_activations_and_grads(self, model: nn.Module) -> None:
        """Stop recording what layers put out, or start it again.

        Args:
            model: the detector with its image.
        """
        if self.is_recording:
            self.cam.activations_and_grads.release()
        else:
            self.cam.activations_and_grads = ActivationsAndGradients(model, self.target_layers, self.reshape_transform)
        self.is_recording = not self.is_recording

    def __call__(self, img: np.ndarray, targets: Sequence[Callable], eigen_smooth: bool = False) -> np.ndarray:
        """Compute a map.

        Args:
            img: (H, W, 3) uint8 BGR, the one that the model was given.
            targets: one `DetBoxScoreTarget`.
            eigen_smooth: keep the first principal component of the weighted channels only.

        Returns:
            (H, W) float32 in [0, 1].
        """
        inputs = self.model.input_data['inputs']
        whole = self.cam(torch.zeros_like(inputs), targets=list(targets), eigen_smooth=eigen_smooth)[0]
        meta = self.model.input_data['data_samples'][0].metainfo
        top, _, left, _ = (int(pad) for pad in meta.get('pad_param', (0, 0, 0, 0)))
        height, width = (round(side * scale) for side, scale in zip(img.shape, meta['scale_factor'][::-1]))
        return scale_cam_image(whole[None, top : top + height, left : left + width], img.shape[1::-1])[0]

    def show_am(
        self,
        image: np.ndarray,
        pred_instance: InstanceData,
        grayscale_am: np.ndarray,
        with_norm_in_bboxes: bool = False,
    ) -> np.ndarray:
        """Draw a map and boxes over the image.

        Args:
            image: (H, W, 3) uint8 BGR.
            pred_instance: the boxes.
            grayscale_am: (H, W) in [0, 1].
            with_norm_in_bboxes: scale the map to [0, 1] within each box, and to 0 outside.

        Returns:
            (H, W, 3) uint8 BGR.
        """
        if with_norm_in_bboxes:
            grayscale_am = norm_in_bboxes(grayscale_am, pred_instance.bboxes)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        heat = convert_overlay_heatmap(torch.from_numpy(np.ascontiguousarray(grayscale_am)), rgb, 0.5)
        meta = self.model.detector.dataset_meta
        drawn = draw_instances(heat, pred_instance.cpu(), meta['classes'], meta.get('palette'))
        return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)


def norm_in_bboxes(grayscale_am: np.ndarray, bboxes: Tensor) -> np.ndarray:
    """Scale a map to [0, 1] within each box; where boxes overlap the larger value counts, outside it is 0.

    Args:
        grayscale_am: (H, W).
        bboxes: (n, 4) xyxy in pixels of the map.
    """
    normed = np.zeros_like(grayscale_am)
    for x1, y1, x2, y2 in bboxes.round().clamp(min=0).int().tolist():
        part = grayscale_am[y1:y2, x1:x2]
        if part.size:
            span = max(np.ptp(part), 1e-7)
            normed[y1:y2, x1:x2] = np.maximum(normed[y1:y2, x1:x2], (part - part.min()) / span)
    return normed


class DetAblationLayer(AblationLayer):
    """Takes channels away from the outputs of a layer, one channel per image of a batch; outputs may be several."""

    def set_next_batch(
        self, input_batch_index: int, activations: Tensor | Sequence[Tensor], num_channels_to_ablate: int
    ) -> None:
        """Keep the outputs for one image as often as there are channels to ablate at a time."""
        single = isinstance(activations, Tensor)
        copies = [
            level[input_batch_index : input_batch_index + 1].repeat(num_channels_to_ablate, 1, 1, 1)
            for level in ([activations] if single else activations)
        ]
        self.activations = copies[0] if single else copies

    def __call__(self, x) -> Tensor | list[Tensor]:
        """Give the outputs, in image i without channel `indices[i]`, counted over all outputs."""
        levels = [self.activations] if isinstance(self.activations, Tensor) else self.activations
        first = 0
        for level in levels:
            channels = torch.as_tensor(self.indices[: len(level)], device=level.device).long() - first
            rows = ((channels >= 0) & (channels < level.shape[1])).nonzero().squeeze(1)
            level[rows, channels[rows]] = ABLATED
            first += level.shape[1]
        return self.activations


class DetBoxScoreTarget:
    """Says how well a result shows some boxes, or how large the losses are when these boxes are the ground truth.

    Args:
        pred_instance: the boxes: `bboxes` (n, 4), `labels`.
        match_iou_thr: overlap from which a box of the result is taken for one of these.
        device: where to compute.
        ignore_loss_params: names of losses that do not count.
    """

    def __init__(
        self,
        pred_instance: InstanceData,
        match_iou_thr: float = 0.5,
        device: str = 'cuda:0',
        ignore_loss_params: Sequence[str] | None = None,
    ) -> None:
        self.focal = pred_instance.to(choose_device(device))
        self.match_iou_thr = match_iou_thr
        self.ignore_loss_params = tuple(ignore_loss_params or ())

    def __call__(self, results: dict[str, Tensor] | DetDataSample) -> Tensor:
        """Rate losses or a result.

        Args:
            results: losses by name; or a result.

        Returns:
            The sum of the losses that count; or, over the boxes whose best match is of the same class, the sum of
            overlap and score.
        """
        if isinstance(results, dict):
            return sum(
                value.sum()
                for name, losses in results.items()
                if 'loss' in name and name not in self.ignore_loss_params
                for value in ([losses] if isinstance(losses, Tensor) else losses)
            )
        found = results.pred_instances
        if not len(found) or not len(self.focal):
            return self.focal.bboxes.new_zeros(())
        overlap, best = bbox_overlaps(self.focal.bboxes, found.bboxes.to(self.focal.bboxes)).max(1)
        matched = (overlap > self.match_iou_thr) & (found.labels.to(best.device)[best] == self.focal.labels)
        return (overlap + found.scores.to(overlap)[best])[matched].sum()


class SpatialBaseCAM(BaseCAM):
    """A method whose weights differ from place to place instead of being averaged: small objects stay visible."""

    def get_cam_image(
        self,
        input_tensor: Tensor,
        target_layer: nn.Module,
        targets: Sequence[Callable],
        activations: np.ndarray,
        grads: np.ndarray,
        eigen_smooth: bool = False,
    ) -> np.ndarray:
        """Weigh activations: (B, C, H, W) each -> (B, H, W)."""
        weights = self.get_cam_weights(input_tensor, target_layer, targets, activations, grads)
        weighted = weights * activations
        return get_2d_projection(weighted) if eigen_smooth else weighted.sum(axis=1)


class GradCAM(SpatialBaseCAM):
    """Weighs activations by their gradients."""

    def get_cam_weights(self, input_tensor, target_layer, target_category, activations, grads) -> np.ndarray:
        """Return (B, C, H, W) weights."""
        return grads


class GradCAMPlusPlus(SpatialBaseCAM):
    """Weighs activations by positive gradients, each with its share (equation 19 of arXiv 1710.11063)."""

    def get_cam_weights(self, input_tensor, target_layers, target_category, activations, grads) -> np.ndarray:
        """Return (B, C, H, W) weights."""
        total = activations.sum(axis=(2, 3), keepdims=True)
        share = grads**2 / (2 * grads**2 + total * grads**3 + 1e-6)
        return np.maximum(grads, 0) * np.where(grads != 0, share, 0)
