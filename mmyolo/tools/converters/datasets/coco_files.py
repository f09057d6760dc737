"""What makes up a COCO file: subsets of it."""

from collections.abc import Iterable


def subset(coco: dict, images: Iterable[dict], annotations: Iterable[dict]) -> dict:
    """Take some images and their annotations out of a COCO file.

    Args:
        coco: The content of the file; everything but images and annotations is kept.
        images: Those of its images to keep, in this order.
        annotations: Those of its annotations to choose from.
    """
    images = list(images)
    kept = {image['id'] for image in images}
    chosen: list[dict] = [annotation for annotation in annotations if annotation['image_id'] in kept]
    return dict(coco, images=images, annotations=chosen)
