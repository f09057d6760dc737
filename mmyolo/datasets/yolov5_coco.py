"""mmdet's datasets with batch shapes, the data set itself in reach of the mix transforms, and unreadable images skipped.

Differs from mmdet on purpose: labels follow the class names of `metainfo`, whatever the order of the categories in the
file, and a class that the file does not list does not shift the others.
"""
import warnings
from typing import List, Optional, Sequence

from mmdet.datasets import BaseDetDataset, CocoDataset
from mmdet.datasets.api_wrappers import COCO

from mmyolo.registry import DATASETS, TASK_UTILS

from .unreadable import ReadableImagesMixin


class BatchShapePolicyDataset(ReadableImagesMixin, BaseDetDataset):
    """A mixin that comes before a data set of mmdet in the bases.

    Args:
        batch_shapes_cfg: Config of a TASK_UTILS callable that sorts the list of images and gives each a `batch_shape`,
            such as BatchShapePolicy; None leaves the list alone.
    """

    def __init__(self, *args, batch_shapes_cfg: Optional[dict] = None, **kwargs) -> None:
        self.batch_shapes_cfg = batch_shapes_cfg
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        """Loads the list, applies the batch shapes, filters, takes the subset, serializes."""
        if self._fully_initialized:
            return
        self.data_list = self.load_data_list()
        if self.batch_shapes_cfg:
            self.data_list = TASK_UTILS.build(self.batch_shapes_cfg)(self.data_list)
        self.data_list = self.filter_data()
        if self._indices is not None:
            self.data_list = self._get_unserialized_subset(self._indices)
        if self.serialize_data:
            self.data_bytes, self.data_address = self._serialize_data()
        self._fully_initialized = True

    def describe(self, idx: int) -> dict:
        """What the pipeline gets of one image.

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


class _CocoByName(COCO):
    """An index whose category ids come in the order of the names asked for."""

    MUST_FIT = True

    def get_cat_ids(self, cat_names: Sequence[str] = (), **kwargs) -> List[Optional[int]]:
        """The category of each name, None for a name that the file does not have.

        Raises:
            ValueError: The file has categories, but none of these names; a warning unless MUST_FIT.
        """
        ids = {category['name']: category['id'] for category in self.dataset.get('categories', ())}
        if ids and not ids.keys() & set(cat_names):
            message = (f'None of the classes {tuple(cat_names)} of the metainfo is among the categories of the '
                       f'annotation file, {sorted(ids)}. Make the names equal.')
            if self.MUST_FIT:
                raise ValueError(message)
            warnings.warn(message)
        return [ids.get(name) for name in cat_names]


class _CocoOfAnyName(_CocoByName):
    """An index in which no class need be found."""

    MUST_FIT = False


@DATASETS.register_module()
class YOLOv5CocoDataset(BatchShapePolicyDataset, CocoDataset):
    """mmdet's CocoDataset with batch shapes and mix transforms."""

    COCOAPI = _CocoByName

    def load_data_list(self) -> List[dict]:
        """Reads the annotation file.

        Returns:
            A dict per image.

        Raises:
            ValueError: None of the classes is among the categories of the file. Without a pipeline the data set is a
                list of images, in which classes may be of no interest: then it is a warning.
        """
        if not self.pipeline.transforms:
            self.COCOAPI = _CocoOfAnyName
        return super().load_data_list()
