"""Dropping annotations or whole entries of the results."""
from typing import Sequence, Union

from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import FilterAnnotations

from mmyolo.registry import TRANSFORMS

TRANSFORMS.register_module(module=FilterAnnotations)


@TRANSFORMS.register_module()
class RemoveDataElement(BaseTransform):
    """Removes entries from the results.

    Args:
        keys: Name or names of the entries; an absent one is no error.
    """

    def __init__(self, keys: Union[str, Sequence[str]]) -> None:
        self.keys = [keys] if isinstance(keys, str) else keys

    def transform(self, results: dict) -> dict:
        """Removes the entries.

        Args:
            results: Any results.

        Returns:
            The same dict without them.
        """
        for key in self.keys:
            results.pop(key, None)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(keys={self.keys})'
