"""Transforms of rotated boxes. They stand in for mmrotate's where that is not installed."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import BaseBoxes, autocast_box_type, convert_box_type

import mmyolo.standins.mmrotate.structures  # noqa: F401  (registers the box types)
from mmyolo.registry import TRANSFORMS, stand_in

_RIGHT_ANGLES = (90, 180, -90, -180)


@stand_in(TRANSFORMS, 'mmrotate').register_module()
class ConvertBoxType(BaseTransform):
    """Changes the type of boxes.

    Args:
        box_type_mapping: Key of the results to the type, 'hbox', 'rbox' or 'qbox'.
    """

    def __init__(self, box_type_mapping: dict) -> None:
        self.box_type_mapping = box_type_mapping

    def transform(self, results: dict) -> dict:
        """Convert.

        Args:
            results: Has boxes under the keys of the mapping.

        Returns:
            The results with boxes of the new types.
        """
        for key, dst_type in self.box_type_mapping.items():
            if key in results:
                assert isinstance(results[key], BaseBoxes), (
                    f'ConvertBoxType: {key} must be boxes with a type, not {type(results[key]).__name__}: set box_type '
                    'in LoadAnnotations'
                )
                results[key] = convert_box_type(results[key], dst_type=dst_type)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(box_type_mapping={self.box_type_mapping})'


@stand_in(TRANSFORMS, 'mmrotate').register_module()
class Rotate(BaseTransform):
    """Turns the image around its middle, on a canvas of the same size, and drops boxes whose centre leaves it.

    Args:
        rotate_angle: Degrees, positive clockwise.
        img_border_value: Value of the corners that the image leaves, one for all channels or one each.
        interpolation: 'nearest', 'bilinear', 'bicubic', 'area' or 'lanczos'.
    """

    _INTERPOLATIONS = {
        'nearest': cv2.INTER_NEAREST,
        'bilinear': cv2.INTER_LINEAR,
        'bicubic': cv2.INTER_CUBIC,
        'area': cv2.INTER_AREA,
        'lanczos': cv2.INTER_LANCZOS4,
    }

    def __init__(
        self, rotate_angle: float, img_border_value: float | Sequence[float] = 0, interpolation: str = 'bilinear'
    ) -> None:
        if interpolation not in self._INTERPOLATIONS:
            raise ValueError(f'interpolation is {interpolation!r}, allowed are {list(self._INTERPOLATIONS)}')
        self.rotate_angle = rotate_angle
        self.img_border_value = img_border_value
        self.interpolation = interpolation

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Rotate.

        Args:
            results: Has `img` and perhaps annotations.

        Returns:
            The rotated results.
        """
        image = results['img']
        height, width = image.shape[:2]
        border = self.img_border_value
        border = tuple(border) if isinstance(border, Sequence) else (border,) * 4
        # Pixels are counted at their middle, boxes at the edges of pixels: both turn around the same point.
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -self.rotate_angle, 1)
        results['img'] = cv2.warpAffine(
            image, matrix, (width, height), flags=self._INTERPOLATIONS[self.interpolation], borderValue=border
        )
        results['img_shape'] = results['img'].shape[:2]
        if results.get('gt_bboxes') is not None:
            boxes = results['gt_bboxes']
            boxes.rotate_((width / 2, height / 2), self.rotate_angle)
            inside = boxes.is_inside((height, width)).numpy()
            results['gt_bboxes'] = boxes[inside]
            for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
                if results.get(key) is not None:
                    results[key] = results[key][inside]
        if results.get('gt_masks') is not None:
            raise ValueError('Rotate does not turn masks: load the annotations without them')
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(rotate_angle={self.rotate_angle}, '
            f'img_border_value={self.img_border_value}, interpolation={self.interpolation!r})'
        )


@stand_in(TRANSFORMS, 'mmrotate').register_module()
class RandomRotate(BaseTransform):
    """Turns the image by a random angle.

    Args:
        prob: Probability of turning.
        angle_range: The angle is drawn from minus to plus this, in degrees.
        rect_obj_labels: With an object of one of these classes, whose boxes are given upright, the angle is drawn from
            90, 180, -90 and -180 degrees.
        rotate_type: Name of the transform that turns.
        **rotate_kwargs: Its further arguments.
    """

    def __init__(
        self,
        prob: float = 0.5,
        angle_range: float = 180,
        rect_obj_labels: Sequence[int] | None = None,
        rotate_type: str = 'mmrotate.Rotate',
        **rotate_kwargs,
    ) -> None:
        assert 0 < angle_range <= 180, f'angle_range is above 0 and at most 180 degrees, not {angle_range}'
        self.prob = prob
        self.angle_range = angle_range
        self.rect_obj_labels = rect_obj_labels
        if rotate_type == 'Rotate':  # mmdet has another transform of this name
            rotate_type = 'mmrotate.Rotate'
        self.rotate = TRANSFORMS.build(dict(type=rotate_type, rotate_angle=0, **rotate_kwargs))

    @cache_randomness
    def _is_rotated(self) -> bool:
        return np.random.rand() < self.prob

    @cache_randomness
    def _random_angle(self) -> float:
        return self.angle_range * (2 * np.random.rand() - 1)

    @cache_randomness
    def _random_right_angle(self) -> float:
        return float(np.random.choice(_RIGHT_ANGLES))

    def transform(self, results: dict) -> dict:
        """Rotate, or not.

        Args:
            results: Has `img` and perhaps annotations.

        Returns:
            The results, rotated where the dice say so.
        """
        if not self._is_rotated():
            return results
        upright = (
            self.rect_obj_labels is not None
            and np.isin(results.get('gt_bboxes_labels', []), self.rect_obj_labels).any()
        )
        self.rotate.rotate_angle = self._random_right_angle() if upright else self._random_angle()
        return self.rotate(results)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(prob={self.prob}, angle_range={self.angle_range}, '
            f'rect_obj_labels={self.rect_obj_labels}, rotate={self.rotate!r})'
        )
