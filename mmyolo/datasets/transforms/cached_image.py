"""Loading images through a memory that all loader processes share.

Decoding a photo costs more than all other augmentations of a small input size together, and a mosaic decodes four.
LoadCachedImage decodes each file once, shrinks it to what the recipe can use and keeps the pixels.
"""

import io

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type
from mmengine import fileio
from PIL.JpegImagePlugin import JpegImageFile

from mmyolo.datasets.image_cache import image_key, open_image_cache
from mmyolo.registry import TRANSFORMS

from .boxes import rescale_and_translate_
from .loading import check_regular_file, decode_image

_ORIENTATION = 0x0112  # EXIF tag
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


@TRANSFORMS.register_module()
class LoadCachedImage(BaseTransform):
    """Loads an image no larger than `max_size`, from memory if any process has loaded it before.

    It replaces LoadImageFromFile and stands behind LoadAnnotations, since it scales the annotations as well::

        [dict(type='LoadAnnotations', with_bbox=True), dict(type='LoadCachedImage', max_size=320)]

    Use the same two lines in the `pre_transform` of a mix transform; all instances with one `cache_dir` and
    `cache_bytes` share their memory. With `max_size` the input size, a mosaic has nothing left to resize.

    Images are BGR uint8, turned by EXIF as cv2 does, shrunk by area, never enlarged. A JPEG of at least 2, 4 or 8
    times `max_size` is decoded at 1/2, 1/4 or 1/8, which is several times faster. What is returned does not depend on
    whether it was in the cache. It is read-only.

    Args:
        max_size: The longer side of the image is at most this, in pixels.
        cache_bytes: Most memory to take; 0 keeps nothing. Without `cache_dir` half of the free memory is a limit too,
            and the processes of a distributed run on one machine divide the sum. Images that no longer fit are
            decoded each time.
        cache_dir: Folder for the cache as a file, which then serves all processes of the machine and later runs. None
            is memory without a file: forked loader processes share it and it vanishes with them.
        backend_args: File backend of mmengine, see LoadImageFromFile.
    """

    def __init__(
        self,
        max_size: int,
        cache_bytes: int = 2 * 1024**3,
        cache_dir: str | None = None,
        backend_args: dict | None = None,
    ) -> None:
        if max_size < 1:
            raise ValueError(f'LoadCachedImage: max_size is at least 1 pixel, not {max_size}')
        self.max_size = max_size
        self.cache_bytes = cache_bytes
        self.cache_dir = cache_dir
        self.backend_args = backend_args
        self._keys: dict[str, bytes] = {}
        # Made here, before the loader processes are forked, so that they share it.
        open_image_cache(cache_bytes, cache_dir)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Load the image and scale the annotations to it.

        Args:
            results: Has `img_path`; may have `gt_bboxes`, `gt_masks` and `gt_keypoints` in the pixels of the file.

        Returns:
            The results with `img`, `img_shape` (h, w) of what was loaded, `ori_shape` (h, w) of the file,
            `scale_factor` (w, h) from the file to `img`, and scaled annotations.

        Raises:
            UnreadableImageError: The file is there but cannot be decoded.
            ValueError: `instances` have not been turned into `gt_bboxes` before.
        """
        if 'instances' in results and 'gt_bboxes' not in results:
            raise ValueError(
                'LoadCachedImage scales the boxes with the image: put LoadAnnotations before it in the pipeline'
            )
        image, ori_shape = self._load(results['img_path'])
        height, width = image.shape[:2]
        factor = (width / ori_shape[1], height / ori_shape[0])
        results['img'] = image
        results['img_shape'] = (height, width)
        results['ori_shape'] = ori_shape
        results['scale_factor'] = factor
        if (height, width) != ori_shape:
            if results.get('gt_bboxes') is not None:
                rescale_and_translate_(results['gt_bboxes'], factor)
            if results.get('gt_masks') is not None:
                results['gt_masks'] = results['gt_masks'].resize((height, width))
            if results.get('gt_keypoints') is not None:
                results['gt_keypoints'].rescale_(factor)
        return results

    def _load(self, path: str) -> tuple[np.ndarray, tuple[int, int]]:
        cache = open_image_cache(self.cache_bytes, self.cache_dir)
        key = self._keys.get(path)
        if key is None:
            key = self._keys[path] = image_key(path, self.max_size)
        found = cache.get(key)
        if found is None:
            check_regular_file(path)
            found = decode_shrunk(fileio.get(path, backend_args=self.backend_args), self.max_size, path)
            found[0].flags.writeable = False
            cache.put(key, *found)
        return found

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(max_size={self.max_size}, cache_bytes={self.cache_bytes}, '
            f'cache_dir={self.cache_dir!r})'
        )


def decode_shrunk(data: bytes, max_size: int, path: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image and shrink it by area if its longer side exceeds a limit.

    Args:
        data: The file.
        max_size: The limit in pixels.
        path: Name of the file, for errors.

    Returns:
        (h, w, 3) BGR uint8 and the full size (h, w) of the image, both after turning by EXIF.

    Raises:
        UnreadableImageError: The data cannot be decoded.
    """
    divisor, header = _reduction(data, max_size)
    image = decode_image(data, path, _REDUCED.get(divisor, cv2.IMREAD_COLOR))
    height, width = image.shape[:2]
    if divisor > 1:
        # The header does not say whether cv2 turned the image; the sides of what it gave do.
        turned = (width, height) == tuple(-(-side // divisor) for side in header) and width != height
        height, width = header[::-1] if turned else header
        # A last pixel of which less than half is image would shift the rest when resized.
        image = image[: max(round(height / divisor), 1), : max(round(width / divisor), 1)]
    ratio = max_size / max(height, width)
    if ratio < 1:
        size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        if size != image.shape[1::-1]:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image), (height, width)


def _reduction(data: bytes, max_size: int) -> tuple[int, tuple[int, int] | None]:
    """By what to divide the sides while decoding, 1 for all but large JPEGs.

    Where it is more, also the size (h, w) in the header. An image that EXIF turns is divided if nothing remains, since
    the part of a pixel that does would be at the other end.
    """
    if data[:2] != b'\xff\xd8':
        return 1, None
    try:
        with JpegImageFile(io.BytesIO(data)) as image:  # Image.open raises an error for large ones
            width, height = image.size
            upright = image.getexif().get(_ORIENTATION, 1) == 1
    except Exception:  # OpenCV reads more than Pillow does, and gives the verdict
        return 1, None
    for divisor in _REDUCED:
        whole = height % divisor == width % divisor == 0
        if max(height, width) >= divisor * max_size and (upright or whole):
            return divisor, (height, width)
    return 1, None
