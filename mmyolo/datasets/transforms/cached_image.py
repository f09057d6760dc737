"""Loading images through a memory that all loader processes share.

Decoding a photo costs more than all other augmentations of a small input size together, and a mosaic decodes four.
LoadCachedImage decodes each file once, shrinks it to what the recipe can use and keeps the pixels.
"""

from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type

from mmyolo.registry import TRANSFORMS

from .boxes import rescale_and_translate_
from .image_loader import ImageLoader


@TRANSFORMS.register_module()
class LoadCachedImage(BaseTransform):
    """Loads an image no larger than `max_size`, from memory if any process has loaded it before.

    It replaces LoadImageFromFile and stands behind LoadAnnotations, since it scales the annotations as well::

        [dict(type='LoadAnnotations', with_bbox=True), dict(type='LoadCachedImage', max_size=320)]

    Use the same two lines in the `pre_transform` of a mix transform; all instances with one `cache_file` and
    `cache_bytes` share their memory. With `max_size` the input size, a mosaic has nothing left to resize.

    Images are BGR uint8, turned by EXIF as cv2 does, shrunk to the sides that a mosaic gives its tiles, never enlarged.
    A JPEG of at least 2, 4 or 8 times `max_size` is decoded at 1/2, 1/4 or 1/8, which is faster. Shrinking by less than
    2 is bilinear, by more by area. What is returned does not depend on whether it was in the cache. It is read-only.

    Args:
        max_size: The longer side of the image is at most this, in pixels.
        cache_bytes: Most memory to take; 0 keeps nothing. Half of the free memory is a limit too, and the processes of
            a distributed run on one machine divide the sum. Images that no longer fit are decoded each time.
        cache_file: Path of an `ImageCache` that a process of this machine has made for all others, whatever
            `cache_bytes`. None is one of this process: forked loader processes share it and it vanishes with them.
        backend_args: File backend of mmengine, see LoadImageFromFile.
        scale_annotations: False leaves the annotations in pixels of the file, as the fast transforms take them.
    """

    def __init__(
        self,
        max_size: int,
        cache_bytes: int = 2 * 1024**3,
        cache_file: str | None = None,
        backend_args: dict | None = None,
        scale_annotations: bool = True,
    ) -> None:
        if max_size < 1:
            raise ValueError(f'LoadCachedImage: max_size is at least 1 pixel, not {max_size}')
        self.max_size = max_size
        self.cache_bytes = cache_bytes
        self.cache_file = cache_file
        self.scale_annotations = scale_annotations
        self._loader = ImageLoader(cache_bytes, cache_file, backend_args)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Load the image and scale the annotations to it.

        Args:
            results: Has `img_path`; may have `gt_bboxes`, `gt_masks` and `gt_keypoints` in the pixels of the file.

        Returns:
            The results with `img`, `img_shape` (h, w) of what was loaded, `ori_shape` (h, w) of the file,
            `scale_factor` (w, h) from the file to `img`, and scaled annotations unless `scale_annotations` is False.

        Raises:
            UnreadableImageError: The file is there but cannot be decoded.
            ValueError: `instances` have not been turned into `gt_bboxes` before.
        """
        if 'instances' in results and 'gt_bboxes' not in results:
            raise ValueError(
                'LoadCachedImage scales the boxes with the image: put LoadAnnotations before it in the pipeline'
            )
        image, ori_shape = self._loader.load(results['img_path'], self.max_size)
        height, width = image.shape[:2]
        factor = (width / ori_shape[1], height / ori_shape[0])
        results['img'] = image
        results['img_shape'] = (height, width)
        results['ori_shape'] = ori_shape
        results['scale_factor'] = factor
        if self.scale_annotations and (height, width) != ori_shape:
            if results.get('gt_bboxes') is not None:
                rescale_and_translate_(results['gt_bboxes'], factor)
            if results.get('gt_masks') is not None:
                results['gt_masks'] = results['gt_masks'].resize((height, width))
            if results.get('gt_keypoints') is not None:
                results['gt_keypoints'].rescale_(factor)
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(max_size={self.max_size}, cache_bytes={self.cache_bytes}, '
            f'cache_file={self.cache_file!r})'
        )
