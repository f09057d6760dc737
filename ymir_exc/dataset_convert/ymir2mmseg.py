"""Whether the masks of a segmentation data set leave parts of the images blank (contract sections c.7 and g).

The platform never annotates background; a semantic segmentation executor must know whether blank pixels are a class of
their own or to be ignored.
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from typing import Any

from ..attribute_dict import AttributeDict
from ..dataset_reader import read_items
from ..errors import ConfigError, DatasetError
from ..reading import open_regular
from ..util import get_bool

_SEED = 0  # the same data gives the same answer in every process


def _covered_pixels(segmentations: list[Any], width: int, height: int) -> int:
    """Count the pixels under any of the masks; overlapping ones count once."""
    from pycocotools import mask

    parts = []
    for segmentation in segmentations:
        if isinstance(segmentation, list):
            parts.extend(mask.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation.get('counts'), list):
            parts.append(mask.frPyObjects(segmentation, height, width))
        else:
            parts.append(segmentation)
    return int(mask.area(mask.merge(parts))) if parts else 0


def find_blank_area_in_dataset(ymir_cfg: AttributeDict, max_sample_num: int = 100) -> bool:
    """Return whether the masks of some image of the training set do not cover it.

    Args:
        ymir_cfg: what ``util.get_merged_config()`` gives; the annotations are coco.
        max_sample_num: how many images to look at, chosen at random (always the same ones).

    Returns:
        True as soon as one of them has a pixel without mask.

    Raises:
        DatasetError: the training set is empty, or an annotation file is missing or no coco file.
    """
    items = read_items(ymir_cfg, 'train')
    if not items:
        raise DatasetError('the train set is empty: its index file lists no image')
    names = {os.path.basename(image) for image, _ in items}
    images: list[dict[str, Any]] = []
    segmentations: dict[Any, list[Any]] = defaultdict(list)
    for number, path in enumerate(sorted({annotation for _, annotation in items})):
        try:
            with open_regular(path) as stream:
                content = json.loads(stream.read())  # finds the encoding of bytes itself, byte order mark or not
            images += [
                dict(image, key=(number, image['id']))
                for image in content['images']
                if os.path.basename(image['file_name']) in names
            ]
            for annotation in content['annotations']:
                if annotation.get('segmentation'):
                    segmentations[number, annotation['image_id']].append(annotation['segmentation'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f'{path} is not a readable coco file: {type(error).__name__} {error}') from error
    sample = random.Random(_SEED).sample(images, min(max_sample_num, len(images)))
    return any(
        _covered_pixels(segmentations[image['key']], image['width'], image['height']) < image['width'] * image['height']
        for image in sample
    )


def train_with_black_area_or_not(ymir_cfg: AttributeDict, max_sample_num: int = 100) -> bool:
    """Return whether blank pixels are to be trained as a class of their own.

    The answer is kept in the environment variable WITH_BLANK_AREA, so that child processes do not search again.

    Args:
        ymir_cfg: what ``util.get_merged_config()`` gives.
        max_sample_num: see :func:`find_blank_area_in_dataset`.

    Returns:
        False if the hyper-parameter ``ignore_blank_area`` is true, else whether the data has blank areas.

    Raises:
        ConfigError: a value of ``ignore_blank_area`` or WITH_BLANK_AREA that is not a boolean.
        DatasetError: as :func:`find_blank_area_in_dataset`.
    """
    if get_bool(ymir_cfg, 'ignore_blank_area', False):
        return False
    known = os.environ.get('WITH_BLANK_AREA', '').strip().lower()
    if not known:
        known = str(find_blank_area_in_dataset(ymir_cfg, max_sample_num)).lower()
        os.environ['WITH_BLANK_AREA'] = known
    if known not in ('true', '1', 'false', '0'):
        raise ConfigError(f'environment variable WITH_BLANK_AREA is {known!r}; allowed: true, false')
    return known in ('true', '1')
