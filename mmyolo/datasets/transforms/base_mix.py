"""What transforms that mix further images into one have in common.

Differs from mmyolo 0.6.0 on purpose: a further image that the pre-transform drops is drawn again, up to `max_refetch`
times, and one that cannot be read is skipped; and `dataset` stays in the results while a cache is warming up.
"""

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence

from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.bbox import autocast_box_type
from mmengine.dataset import BaseDataset
from numpy import random

from mmyolo.registry import TRANSFORMS
from mmyolo.utils.unreadable import UNREADABLE, none_readable, skip_unreadable

MAX_TRIED = 1000  # different images that cannot be read


class FurtherImages:
    """Loads further images of the data set with `pre_transform`, up to `max_refetch` times if it drops one."""

    max_refetch: int
    pre_transform: Callable[[dict], dict | None] | None

    def _refetch(self, load: Callable[[], list[dict | None]]) -> list[dict]:
        for _ in range(self.max_refetch):
            mix_results = load()
            if None not in mix_results:
                return mix_results
        raise RuntimeError(
            f'{self.__class__.__name__}: the pre_transform dropped an image in each of {self.max_refetch} draws. '
            'Check that it can return images without boxes, and filter_cfg of the data set.'
        )

    def _load(self, dataset: BaseDataset, index: int) -> dict | None:
        """Prepare a further image; in place of one that cannot be read, another one that is drawn."""
        tried = set()
        while len(tried) < min(len(dataset), MAX_TRIED):
            # get_data_info gives a dict of its own on every call, so nothing has to be copied.
            info = dataset.get_data_info(index)
            path = info.get('img_path')
            if not UNREADABLE.has('training', path):
                try:
                    return self._prepare(dataset, info)
                except OSError as error:
                    skip_unreadable('training', path, error)
            tried.add(index)
            index = random.randint(0, len(dataset))
        raise none_readable('training', len(tried))

    def _prepare(self, dataset: BaseDataset, info: dict) -> dict | None:
        info['dataset'] = dataset
        if self.pre_transform is not None:
            info = self.pre_transform(info)
        if info is not None:
            info.pop('dataset', None)
        return info


class BaseMixImageTransform(FurtherImages, BaseTransform, metaclass=ABCMeta):
    """Fetches the further images, then calls `mix_img_transform`.

    They come from `results['dataset']` through `pre_transform`, or, with `use_cached`, from the images that this
    transform has seen last. A subclass says how many (`get_indexes`) and mixes them (`mix_img_transform`).

    Args:
        pre_transform: Transforms, or their configs, that load and prepare a further image.
        prob: Probability of mixing.
        use_cached: Mix with images seen before instead of loading further ones.
        max_cached_images: How many of them to keep.
        random_pop: Drop a random one from a full cache, not the oldest.
        max_refetch: How often to draw again if `pre_transform` drops an image.
    """

    num_images: int | None = None
    """Images that become one, where a subclass takes a fixed number."""

    def __init__(
        self,
        pre_transform: Sequence[dict | Callable] | None = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 40,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        if use_cached and self.num_images is not None:
            assert max_cached_images >= self.num_images, (
                f'{self.__class__.__name__} needs max_cached_images >= {self.num_images}, not {max_cached_images}'
            )
        self.max_refetch = max_refetch
        self.prob = prob
        self.use_cached = use_cached
        self.max_cached_images = max_cached_images
        self.random_pop = random_pop
        self.results_cache: list[dict] = []
        self.pre_transform = (
            None
            if pre_transform is None
            else Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pre_transform])
        )

    @staticmethod
    def _check_scale(img_scale: tuple[int, int]) -> tuple[int, int]:
        assert isinstance(img_scale, tuple), f'img_scale is a tuple (width, height), not {img_scale!r}'
        return img_scale

    @abstractmethod
    def get_indexes(self, dataset: BaseDataset | list) -> list | int:
        """Draw the indexes of the further images.

        Args:
            dataset: The data set or the cache.

        Returns:
            One index or a list of them.
        """

    @abstractmethod
    def mix_img_transform(self, results: dict) -> dict:
        """Mix.

        Args:
            results: Of the image, with the further ones' results in `mix_results`.

        Returns:
            The mixed results.
        """

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Fetch and mix.

        Args:
            results: Has `img`, the annotations and, unless cached, `dataset`.

        Returns:
            The mixed results, or the given ones where the dice or a cache of fewer than 5 images say so.
        """
        if random.uniform(0, 1) > self.prob:
            return results
        if self.use_cached:
            dataset = results.pop('dataset', None)
            mix_results = self.draw_cached(results)
        else:
            assert 'dataset' in results, (
                f'{self.__class__.__name__} mixes images of the data set: use a YOLOv5*Dataset outside of test mode, '
                'which puts itself into the results, or use_cached=True'
            )
            dataset = results.pop('dataset')
            mix_results = self._from_dataset(dataset)
        if mix_results is not None:
            results['mix_results'] = mix_results
            results = self.mix_img_transform(results)
            results.pop('mix_results', None)
        if dataset is not None:
            results['dataset'] = dataset
        return results

    def draw_cached(
        self, results: dict, keep: Callable[[dict], dict] = copy.deepcopy, take: Callable[[dict], dict] = copy.deepcopy
    ) -> list[dict] | None:
        """Put an image into the cache and draw the further images from it.

        Args:
            results: Of the image.
            keep: Makes of it what the cache keeps.
            take: Makes a further image of what the cache keeps.

        Returns:
            Their results; None as long as there are fewer than 5 images.
        """
        cache = self.results_cache
        cache.append(keep(results))
        if len(cache) > self.max_cached_images:
            cache.pop(random.randint(0, len(cache) - 1) if self.random_pop else 0)
        if len(cache) <= 4:
            return None
        return [take(cache[index]) for index in self.draw_indexes(cache)]

    def _from_dataset(self, dataset: BaseDataset) -> list[dict]:
        return self._refetch(lambda: [self._load(dataset, index) for index in self.draw_indexes(dataset)])

    def draw_indexes(self, images: BaseDataset | list) -> list[int]:
        """Draw the indexes of the further images as a list.

        Args:
            images: The data set or the cache.
        """
        indexes = self.get_indexes(images)
        return list(indexes) if isinstance(indexes, Sequence) else [indexes]
