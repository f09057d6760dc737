"""Rotated boxes by the numbers of one convention."""

from mmcv.transforms import BaseTransform

from mmyolo.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RegularizeRotatedBox(BaseTransform):
    """Describes rotated boxes by the numbers of one convention, see `RotatedBoxes.regularize_boxes`.

    Args:
        angle_version: 'le90', 'le135' or 'oc'.
    """

    def __init__(self, angle_version: str = 'le90') -> None:
        self.angle_version = angle_version

    def transform(self, results: dict) -> dict:
        """Replace the boxes.

        Args:
            results: Has `gt_bboxes`, RotatedBoxes.

        Returns:
            The results with regular `gt_bboxes`.
        """
        boxes = results['gt_bboxes']
        assert hasattr(boxes, 'regularize_boxes'), (
            f"RegularizeRotatedBox needs RotatedBoxes, not {type(boxes).__name__}: put ConvertBoxType('rbox') before it"
        )
        results['gt_bboxes'] = type(boxes)(boxes.regularize_boxes(self.angle_version))
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(angle_version={self.angle_version!r})'
