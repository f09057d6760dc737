"""mmdet's datasets with batch shapes, the data set in reach of the mix transforms, and unreadable images skipped.

Differs from mmdet on purpose: labels follow the class names of `metainfo`, whatever the order of the categories in the
file, and a class that the file does not list does not shift the others.
"""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Sequence

from mmdet.datasets import BaseDetDataset, CocoDataset
from mmengine.logging import print_log

from mmyolo.errors import ConfigConflictError
from mmyolo.registry import DATASETS, TASK_UTILS
from mmyolo.utils.coco_file import CocoFile, image_size
from mmyolo.utils.unreadable import ReadableImagesMixin

from .class_names import check_class_names, differing_names


class BatchShapePolicyDataset(ReadableImagesMixin, BaseDetDataset):
    """A mixin that comes before a data set of mmdet in the bases.

    Args:
        batch_shapes_cfg: Config of a TASK_UTILS callable that sorts the list of images and gives each a `batch_shape`,
            such as BatchShapePolicy; None leaves the list alone.
    """

    def __init__(self, *args, batch_shapes_cfg: dict | None = None, **kwargs) -> None:
        self.batch_shapes_cfg = batch_shapes_cfg
        super().__init__(*args, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        loaded = super()._load_metainfo(metainfo)
        if metainfo and 'classes' in metainfo:
            check_class_names(loaded['classes'])
        return loaded

    def full_init(self) -> None:
        """Load the list, apply the batch shapes, filter, take the subset, serialize.

        Raises:
            ConfigConflictError: If no image is left.
        """
        if self._fully_initialized:
            return
        self.data_list = self.load_data_list()
        if self.batch_shapes_cfg:
            self.data_list = TASK_UTILS.build(self.batch_shapes_cfg)(self.data_list)
        found = len(self.data_list)
        self.data_list = self.filter_data()
        if not self.data_list:
            raise ConfigConflictError(self._why_empty(found))
        if self._indices is not None:
            self.data_list = self._get_unserialized_subset(self._indices)
        if self.serialize_data:
            self.data_bytes, self.data_address = self._serialize_data()
        self._fully_initialized = True

    def _why_empty(self, found: int) -> str:
        """Return what to say of a data set in which no image is left of those found."""
        if not found:
            return f'{self.ann_file} lists no image: check data_root, ann_file and data_prefix of the data set.'
        kept = (self.filter_cfg or {}).get('min_size', 0)
        return (
            f'No image is left of the {found} of {self.ann_file}: filter_cfg={dict(self.filter_cfg or {})} drops '
            f'images without an object of metainfo.classes {tuple(self.metainfo.get("classes", ()))[:10]} where '
            f'filter_empty_gt is set, and those with a side under {kept} pixels (min_size).'
        )

    def describe(self, idx: int) -> dict:
        """Return what the pipeline gets of one image.

        Args:
            idx: Index of the image.

        Returns:
            Its description; in training with this data set under `dataset`, from which the mix transforms fetch further
            images.
        """
        info = self.get_data_info(idx)
        if not self.test_mode:
            info['dataset'] = self
        return info


class _CocoByName(CocoFile):
    """An index whose category ids come in the order of the names asked for."""

    MUST_FIT = True

    def get_cat_ids(self, cat_names: Sequence[str] = (), **kwargs) -> list[int | None]:
        """Return the category of each name, None for a name that the file does not have.

        Warns of such names, and of the categories that are left out.

        Raises:
            ValueError: The file has categories, but none of these names; a warning unless MUST_FIT.
        """
        ids = {category['name']: category['id'] for category in self.dataset['categories']}
        if ids and not ids.keys() & set(cat_names):
            message = (
                f'None of the classes {tuple(cat_names)} of the metainfo is among the categories of the '
                f'annotation file, {sorted(ids)}. Make the names equal.'
            )
            if self.MUST_FIT:
                raise ValueError(message)
            warnings.warn(message)
        elif ids:
            counts = Counter(annotation['category_id'] for annotation in self.dataset['annotations'])
            objects = {name: counts[index] for name, index in ids.items()}
            sentence = differing_names(self.name, cat_names, objects)
            if sentence:
                print_log(sentence, 'current', logging.WARNING)
        return [ids.get(name) for name in cat_names]


class _CocoOfAnyName(_CocoByName):
    """An index in which no class need be found."""

    MUST_FIT = False


@DATASETS.register_module()
class YOLOv5CocoDataset(BatchShapePolicyDataset, CocoDataset):
    """mmdet's CocoDataset with batch shapes and mix transforms."""

    COCOAPI = _CocoByName

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            A dict per image.

        Raises:
            ValueError: None of the classes is among the categories of the file. Without a pipeline the data set is a
                list of images, in which classes may be of no interest: then it is a warning.
        """
        if not self.pipeline.transforms:
            self.COCOAPI = _CocoOfAnyName
        return super().load_data_list()

    def parse_data_info(self, raw_data_info: dict) -> dict | list[dict]:
        """Read an image and its objects.

        Args:
            raw_data_info: `raw_img_info` and `raw_ann_info` of the file.

        Returns:
            What mmdet makes of them.
        """
        return super().parse_data_info(self._with_size(raw_data_info))

    def _with_size(self, raw_data_info: dict) -> dict:
        """Return the same with width and height of the image; where the file has none, they are read from the image.

        An image that cannot be read, which is skipped later, is as large as its objects need.
        """
        image = raw_data_info['raw_img_info']
        if image.get('width') and image.get('height'):
            return raw_data_info
        try:
            width, height = image_size(os.path.join(self.data_prefix['img'], image['file_name']))
        except (OSError, ValueError):
            boxes = [annotation['bbox'] for annotation in raw_data_info['raw_ann_info']]
            width, height = (max([1, *(box[axis] + box[axis + 2] for box in boxes)]) for axis in (0, 1))
        return dict(raw_data_info, raw_img_info=dict(image, width=width, height=height))
