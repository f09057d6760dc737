"""Loading an image and its annotations.

LoadAnnotations differs from mmdet's: crowd and other ignored instances are not loaded, masks are polygons, an instance
without a valid one is dropped with its box, and the boxes can be the extents of the polygons. Unlike public mmyolo,
which drops run-length encoded masks too, it traces their outlines.
"""

import os
import stat
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile as MMCVLoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations as MMDETLoadAnnotations
from mmdet.structures.bbox import get_box_type
from mmdet.structures.mask import PolygonMasks

from mmyolo.errors import UnreadableImageError
from mmyolo.registry import TRANSFORMS
from mmyolo.utils.unreadable import blank_image

from .keypoint_structure import Keypoints
from .polygons import merge_polygons, trace_rle

NOT_DECODED = 'not a readable image, or a damaged one'


@TRANSFORMS.register_module()
class LoadImageFromFile(MMCVLoadImageFromFile):
    """mmcv's LoadImageFromFile, with an error that names the file when it holds no readable image."""

    def transform(self, results: dict) -> dict | None:
        """Read `img_path`.

        Args:
            results: Has `img_path`; with `unreadable` a blank image takes its place.

        Returns:
            The results with `img`, `img_shape` and `ori_shape`; None for an unreadable file with `ignore_empty`.

        Raises:
            UnreadableImageError: The file is there but cannot be decoded.
            OSError: The file cannot be read.
        """
        if results.get('unreadable'):
            image = blank_image()
            image = image.astype(np.float32) if self.to_float32 else image
            results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
            return results
        check_regular_file(results['img_path'])
        try:
            return super().transform(results)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # decoders raise what they like on broken data
            raise UnreadableImageError(results['img_path'], NOT_DECODED) from error


def check_regular_file(path: str) -> None:
    """Reject a pipe or a device, reading which might never end.

    Args:
        path: A file, or an address of a file backend.

    Raises:
        UnreadableImageError: It is one.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # an address, or missing, as reading it will show
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UnreadableImageError(path, 'it is not a regular file')


def decode_image(data: bytes | np.ndarray, path: str, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Decode the bytes of a file.

    Args:
        data: JPEG, PNG, BMP or whatever OpenCV knows, by content.
        path: Name of the file, for errors.
        flags: Of cv2.imdecode.

    Returns:
        (h, w, 3) uint8 BGR, turned as its EXIF orientation says.

    Raises:
        UnreadableImageError: It cannot be decoded.
    """
    if not len(data):
        raise UnreadableImageError(path, 'the file is empty')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        too_large = error.code == cv2.Error.StsNoMem
        raise UnreadableImageError(
            path, 'its pixels need more memory than there is' if too_large else NOT_DECODED
        ) from error
    if image is None:
        raise UnreadableImageError(path, NOT_DECODED)
    return image


@TRANSFORMS.register_module()
class LoadAnnotations(MMDETLoadAnnotations):
    """Loads boxes, labels and polygons of the instances that are not to be ignored.

    Args:
        mask2bbox: Make `gt_bboxes` the extents of the polygons; needs `with_mask`.
        poly2mask: Only False: masks stay polygons.
        merge_polygons: Join the polygons of an instance into one.
        **kwargs: Of mmdet's LoadAnnotations (`with_bbox`, `with_label`, `with_mask`, `with_seg`, `with_keypoints`,
            `box_type`, ...).
    """

    def __init__(self, mask2bbox: bool = False, poly2mask: bool = False, merge_polygons: bool = True, **kwargs) -> None:
        assert not poly2mask, (
            'LoadAnnotations of mmyolo keeps polygons: set poly2mask=False or use mmdet.LoadAnnotations'
        )
        super().__init__(poly2mask=poly2mask, **kwargs)
        assert self.with_mask or not mask2bbox, (
            'LoadAnnotations(mask2bbox=True) takes boxes from masks: set with_mask=True'
        )
        self.mask2bbox = mask2bbox
        self.merge_polygons = merge_polygons

    def transform(self, results: dict) -> dict:
        """Turn `instances` into arrays.

        Args:
            results: Has `instances`; with masks also `ori_shape`, or `height` and `width` before the image is loaded.
                With keypoints it has instead `bbox` (N, 4) xyxy, `category_id` (N,) counted from 1, `keypoints`
                (N, K, 2), `keypoints_visible` (N, K) and `flip_indices`.

        Returns:
            The results with `gt_bboxes` (N, 4) xyxy in pixels, `gt_ignore_flags` (N,), all False, and as asked for
            `gt_bboxes_labels` (N,), `gt_masks`, `gt_seg_map` and `gt_keypoints`.
        """
        if self.with_keypoints:
            return self._load_keypoints(results)
        instances = [instance for instance in results.get('instances', []) if not instance['ignore_flag']]
        if self.with_mask:
            instances, polygons = self._valid_polygons(instances)
            height, width = results['ori_shape'] if 'ori_shape' in results else (results['height'], results['width'])
            results['gt_masks'] = PolygonMasks(polygons, height, width)
        if self.mask2bbox:
            results['gt_bboxes'] = results['gt_masks'].get_bboxes(dst_type='hbox')
        elif self.with_bbox:
            results['gt_bboxes'] = self._boxes([instance['bbox'] for instance in instances])
        if self.with_bbox or self.mask2bbox:
            results['gt_ignore_flags'] = np.zeros(len(instances), dtype=bool)
        if self.with_label:
            results['gt_bboxes_labels'] = np.array([instance['bbox_label'] for instance in instances], dtype=np.int64)
        if self.with_seg:
            self._load_seg_map(results)
        return results

    def _load_keypoints(self, results: dict) -> dict:
        """Load the boxes, labels and keypoints of `PoseCocoDataset`, which keeps them in arrays of their own."""
        results['gt_bboxes'] = self._boxes(results['bbox'])
        results['gt_bboxes_labels'] = np.array(results['category_id'], dtype=np.int64).reshape(-1) - 1
        results['gt_ignore_flags'] = np.zeros(len(results['bbox']), dtype=bool)
        results['gt_keypoints'] = Keypoints(
            results['keypoints'], results['keypoints_visible'], flip_indices=results['flip_indices']
        )
        if 'img_shape' in results:
            results['height'], results['width'] = results['img_shape'][:2]
        return results

    def _boxes(self, boxes: Sequence):
        boxes = np.array(boxes, dtype=np.float32)
        if self.box_type is None:
            return boxes.reshape(-1, 4)
        box_class = get_box_type(self.box_type)[1]
        return box_class(boxes.reshape(-1, box_class.box_dim), clone=False)

    def _valid_polygons(self, instances: Sequence[dict]) -> tuple[list[dict], list[list[np.ndarray]]]:
        """Keep the instances with a polygon of three points or more, or a run-length encoded mask, which is traced."""
        kept, polygons = [], []
        for instance in instances:
            mask = instance.get('mask')
            if isinstance(mask, dict):
                parts = trace_rle(mask)
            else:
                found = mask if isinstance(mask, list) else ()
                parts = [np.array(part, dtype=np.float32) for part in found if len(part) % 2 == 0 and len(part) >= 6]
            if not parts:
                continue
            if self.merge_polygons and len(parts) > 1:
                parts = [merge_polygons(parts)]
            kept.append(instance)
            polygons.append(parts)
        return kept, polygons

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, mask2bbox={self.mask2bbox}, merge_polygons={self.merge_polygons})'
