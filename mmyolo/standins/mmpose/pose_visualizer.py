"""Draws objects with their keypoints; configs name it `mmpose.PoseLocalVisualizer`, and it is that without mmpose."""

from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dist import master_only
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

from mmyolo.registry import VISUALIZERS, stand_in
from mmyolo.standins.mmpose.keypoint_info import load_keypoint_info

Color = str | tuple[int, int, int] | Sequence[tuple[int, int, int]]


@stand_in(VISUALIZERS, 'mmpose').register_module()
@VISUALIZERS.register_module()
class PoseLocalVisualizer(Visualizer):
    """Draws boxes, keypoints and the links between them.

    Args:
        name, image, vis_backends, save_dir: of mmengine's `Visualizer`.
        bbox_color: colour of boxes, a name of matplotlib or RGB.
        kpt_color: colour of keypoints, or of each, where the data set does not say.
        link_color: the same of links.
        skeleton: pairs of keypoints to link, where the data set does not say.
        line_width: of boxes and links, in pixels.
        radius: of keypoints, in pixels.
        alpha: opacity.
        **kwargs: further arguments of mmpose's visualizer; without effect.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        image: np.ndarray | None = None,
        vis_backends: list | None = None,
        save_dir: str | None = None,
        bbox_color: Color = (0, 255, 0),
        kpt_color: Color = (255, 0, 0),
        link_color: Color | None = None,
        skeleton: Sequence[tuple[int, int]] | None = None,
        line_width: int = 1,
        radius: int = 3,
        alpha: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(name=name, image=image, vis_backends=vis_backends, save_dir=save_dir)
        self.bbox_color = bbox_color
        self.kpt_color = kpt_color
        self.link_color = link_color if link_color is not None else kpt_color
        self.skeleton = skeleton
        self.line_width = line_width
        self.radius = radius
        self.alpha = alpha
        self.dataset_meta: dict | None = None

    def set_dataset_meta(self, dataset_meta: dict, **kwargs) -> None:
        """Take colours and links from the description of a data set.

        Args:
            dataset_meta: see `load_keypoint_info`.
            **kwargs: further arguments of mmpose's visualizer; without effect.
        """
        self.dataset_meta = load_keypoint_info(dataset_meta)

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_bbox: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        kpt_thr: float = 0.3,
        step: int = 0,
        **kwargs,
    ) -> None:
        """Draw an image, the truth left of the prediction if there are both, and show or keep it.

        Args:
            name: of the picture.
            image: (H, W, 3) RGB.
            data_sample: with `gt_instances` and `pred_instances`.
            draw_gt: whether to draw the true objects.
            draw_pred: whether to draw the predicted ones.
            draw_bbox: whether to draw boxes.
            show: open a window.
            wait_time: seconds that it stays open, 0 until a key is hit.
            out_file: path to write to.
            pred_score_thr: least score of an object that is drawn.
            kpt_thr: least score of a keypoint that is drawn.
            step: of the record.
            **kwargs: further arguments of mmpose's visualizer; without effect.
        """
        pictures = []
        if draw_gt and data_sample is not None and 'keypoints' in getattr(data_sample, 'gt_instances', ()):
            truth = data_sample.gt_instances
            visible = truth.keypoints_visible if 'keypoints_visible' in truth else np.ones(truth.keypoints.shape[:2])
            pictures.append(self._draw(image, truth.bboxes, truth.keypoints, visible, kpt_thr, draw_bbox))
        if draw_pred and data_sample is not None and 'pred_instances' in data_sample:
            found: InstanceData = data_sample.pred_instances
            found = found[_array(found.scores) > pred_score_thr]
            pictures.append(self._draw(image, found.bboxes, found.keypoints, found.keypoint_scores, kpt_thr, draw_bbox))
        picture = np.concatenate(pictures, axis=1) if pictures else image
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(picture[..., ::-1], out_file)
        else:
            self.add_image(name, picture, step)

    def _draw(self, image: np.ndarray, bboxes, keypoints, scores, kpt_thr: float, draw_bbox: bool) -> np.ndarray:
        self.set_image(image)
        bboxes, keypoints, scores = _array(bboxes), _array(keypoints), _array(scores)
        if draw_bbox and len(bboxes):
            self.draw_bboxes(bboxes, edge_colors=self.bbox_color, alpha=self.alpha, line_widths=self.line_width)
        drawn = self.get_image().copy()
        meta = self.dataset_meta or {}
        links = self.skeleton if self.skeleton is not None else meta.get('skeleton_links', [])
        link_colors = _colors(meta.get('skeleton_link_colors', self.link_color), len(links))
        point_colors = _colors(meta.get('keypoint_colors', self.kpt_color), keypoints.shape[1])
        layer = drawn.copy()
        for points, visible in zip(np.round(keypoints).astype(int).tolist(), (scores > kpt_thr).tolist()):
            for (start, end), color in zip(links, link_colors):
                if visible[start] and visible[end]:
                    cv2.line(layer, points[start], points[end], color, self.line_width, cv2.LINE_AA)
            for point, is_visible, color in zip(points, visible, point_colors):
                if is_visible:
                    cv2.circle(layer, point, self.radius, color, -1, cv2.LINE_AA)
        return cv2.addWeighted(layer, self.alpha, drawn, 1 - self.alpha, 0)


def _array(values) -> np.ndarray:
    values = getattr(values, 'tensor', values)
    return np.asarray(values.detach().cpu() if hasattr(values, 'detach') else values)


def _colors(colors, count: int) -> list:
    """One RGB triple for each."""
    if isinstance(colors, str):
        colors = mmcv.color_val(colors)[::-1]
    colors = np.asarray(colors, dtype=int)
    return np.broadcast_to(colors, (count, 3)).tolist()
