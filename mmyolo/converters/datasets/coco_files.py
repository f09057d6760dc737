"""What makes up a COCO file: boxes, images, and subsets of both."""
from pathlib import Path
from typing import Iterable, List, Sequence, Tuple, Union

from PIL import Image

# EXIF orientations that turn an image by a quarter; OpenCV turns it when it reads it
QUARTER_TURNS = (5, 6, 7, 8)
ORIENTATION = 0x0112


def image_size(path: Union[str, Path]) -> Tuple[int, int]:
    """Reads width and height of an image from the head of its file, as OpenCV will give it.

    Raises:
        ValueError: If it is no image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in QUARTER_TURNS
    except OSError as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from error
    return (height, width) if turned else (width, height)


def box_annotation(index: int, image_id: int, category_id: int, box: Sequence[float]) -> dict:
    """Makes an annotation from a box.

    Args:
        index: Id of the annotation, from 1: pycocotools takes 0 for "not matched".
        image_id: Id of its image.
        category_id: Id of its category.
        box: xyxy in pixels.

    Returns:
        The annotation; its segmentation is the outline of the box, clockwise from the upper left.
    """
    x1, y1, x2, y2 = box
    return dict(
        id=index,
        image_id=image_id,
        category_id=category_id,
        bbox=[x1, y1, x2 - x1, y2 - y1],
        area=(x2 - x1) * (y2 - y1),
        iscrowd=0,
        segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]])


def subset(coco: dict, images: Iterable[dict], annotations: Iterable[dict]) -> dict:
    """Takes some images and their annotations out of a COCO file.

    Args:
        coco: The content of the file; everything but images and annotations is kept.
        images: Those of its images to keep, in this order.
        annotations: Those of its annotations to choose from.
    """
    images = list(images)
    kept = {image['id'] for image in images}
    chosen: List[dict] = [annotation for annotation in annotations if annotation['image_id'] in kept]
    return dict(coco, images=images, annotations=chosen)
