"""Draws rotated boxes. It stands in for mmrotate's visualizer where that is not installed."""

import numpy as np
from mmdet.structures.bbox import BaseBoxes
from mmdet.visualization import DetLocalVisualizer
from mmdet.visualization.palette import _get_adaptive_scales, get_palette
from mmengine.structures import InstanceData

from mmyolo.registry import VISUALIZERS, stand_in
from mmyolo.standins.mmrotate.structures import QuadriBoxes, RotatedBoxes

_TEXT_BOX = {'facecolor': 'black', 'alpha': 0.8, 'pad': 0.7, 'edgecolor': 'none'}


@stand_in(VISUALIZERS, 'mmrotate').register_module()
class RotLocalVisualizer(DetLocalVisualizer):
    """mmdet's visualizer for boxes of any type: tensors of 5 and 8 numbers are rotated boxes and quadrilaterals."""

    def _draw_instances(
        self, image: np.ndarray, instances: InstanceData, classes: list[str] | None, palette: list[tuple] | None
    ) -> np.ndarray:
        """Draw the outlines, classes and scores of boxes.

        Args:
            image: (H, W, 3) RGB.
            instances: `bboxes`, `labels` and perhaps `scores`.
            classes: names of the classes.
            palette: colours of the classes.

        Returns:
            (H, W, 3) RGB with the boxes.
        """
        boxes = instances.get('bboxes')
        if boxes is None or boxes.shape[-1] == 4:
            return super()._draw_instances(image, instances, classes, palette)
        self.set_image(image)
        self.ax_save.set_autoscale_on(False)  # else a box that sticks out shrinks the image
        if len(boxes) == 0:
            return self.get_image()
        if not isinstance(boxes, BaseBoxes):
            boxes = (RotatedBoxes if boxes.shape[-1] == 5 else QuadriBoxes)(boxes)
        boxes = boxes.cpu()
        corners = boxes.convert_to('qbox').tensor.reshape(-1, 4, 2).numpy()
        labels = instances.labels.tolist()
        colors = get_palette(palette if self.bbox_color is None else self.bbox_color, max(labels) + 1)
        text_colors = get_palette(self.text_color, max(labels) + 1)
        self.draw_polygons(
            list(corners),
            edge_colors=[colors[label] for label in labels],
            alpha=self.alpha,
            line_widths=self.line_width,
        )
        scales = _get_adaptive_scales(boxes.areas.numpy())
        for index, label in enumerate(labels):
            text = classes[label] if classes is not None else f'class {label}'
            if 'scores' in instances:
                text += f': {float(instances.scores[index]) * 100:.1f}'
            self.draw_texts(
                text,
                corners[index].min(0).clip(0) + self.line_width,
                colors=text_colors[label],
                font_sizes=int(13 * scales[index]),
                bboxes=[_TEXT_BOX],
            )
        return self.get_image()
