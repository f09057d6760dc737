"""The balloon data set, polygons of the VGG Image Annotator, to COCO."""
import json
from pathlib import Path

from mmyolo.utils.files import write_json
from mmyolo.utils.terminal import progress

from .coco_files import image_size


def balloon_to_coco(folder: Path) -> dict:
    """Converts a folder.

    Args:
        folder: Has via_region_data.json and the images.

    Returns:
        The content of a COCO file with the category 0, 'balloon'. Points of polygons are centres of pixels, so they
        are moved by half of one; boxes are those of the points as they stand.
    """
    content = json.loads((folder / 'via_region_data.json').read_text(encoding='utf-8'))
    images, annotations = [], []
    for entry in progress(content.values(), f'Converting {folder.name}', total=len(content)):
        width, height = image_size(folder / entry['filename'])
        images.append(dict(id=len(images), file_name=entry['filename'], width=width, height=height))
        regions = entry['regions']  # a dictionary in version 1 of the annotator, a list in version 2
        for region in regions.values() if isinstance(regions, dict) else regions:
            xs, ys = region['shape_attributes']['all_points_x'], region['shape_attributes']['all_points_y']
            x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=images[-1]['id'],
                    category_id=0,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[[value + 0.5 for point in zip(xs, ys) for value in point]]))
    return dict(images=images, annotations=annotations, categories=[dict(id=0, name='balloon')])


def convert_balloon(root: Path) -> dict:
    """Writes root/train.json and root/val.json.

    Returns:
        File to its content.
    """
    written = {root / f'{split}.json': balloon_to_coco(root / split) for split in ('train', 'val')}
    for path, content in written.items():
        write_json(path, content)
    return written
