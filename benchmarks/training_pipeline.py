"""Images per second that one loader worker prepares for a training, public transforms beside the fast form.

    python benchmarks/training_pipeline.py [--model yolov8_n yolox_s ...] [--size 640] [--images 120] [--copies 6]
                                           [--rounds 5] [--quick]

The images are drawn, with structure of all sizes as photographs have, and written as JPEG files of 640x480 to 1920x1080
pixels with about 3 bits per pixel; each is in the data set under several names, so that the images that a worker keeps
are a small part of it. For each model there is a table, and another one for the last epochs if they have a pipeline of
their own. Sides, measured in turn in one process with one thread, `--rounds` times; medians are printed. A round is
`--samples` samples of an epoch's order, collated in batches, in seconds of the CPU:

- public: the transforms of the model's config, one by one;
- fast, cold: the fast form, images decoded when they are needed;
- fast, memory cache and disk cache: the same, images decoded once and kept;
- ..., colour on the device: the part of the worker where colour is left to the device, if the recipe allows it.

`--quick` leaves out the disk cache. `--pictures FILE` writes samples of the public transforms above the same ones of
the fast form, to a file for each table; `--profile SIDE` prints where the time of a side goes.
"""

import argparse
import copy
import cProfile
import json
import os
import pstats
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import COLLATE_FUNCTIONS
from rich.console import Console
from rich.table import Table

from mmyolo.registry import DATASETS
from mmyolo.utils import register_all_modules
from mmyolo.utils.image_cache import ImageCache, cache_size
from tmi.families.dense import use_image_cache
from tmi.families.dense_schedule import switch_pipelines
from tmi.families.device_augment import augment_on_device, takes_device_augment
from tmi.families.fast_pipeline import fast_pipeline
from tmi.families.image_size import scale_batch_sizes, scale_train_size
from tmi.zoo.models import find_model
from ymir_local.demo.sample_data import generate

SIZES = ((640, 480), (480, 640), (1024, 768), (1280, 720), (1280, 960), (1920, 1080))  # width, height
QUALITY = 92
NUM_CLASSES = 3
BATCH = 16
KEPT = 128  # images that FastMosaic keeps
WARM_UP = 8  # samples until the mosaics and MixUp of RTMDet have seen enough images


def photograph(width: int, height: int, generator: np.random.Generator) -> np.ndarray:
    """Draw (height, width, 3) uint8 whose contrast falls with the size of the structures, as that of photographs."""
    image = np.full((height, width, 3), 120, dtype=np.float32)
    for parts in (4, 16, 64, 256):
        rows, columns = max(height * parts // 1000, 2), max(width * parts // 1000, 2)
        noise = generator.normal(0, 60 / parts**0.4, (rows, columns, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image += generator.standard_normal(image.shape, dtype=np.float32) * 8
    return np.clip(image, 0, 255).astype(np.uint8)


def write_coco(folder: Path, images: list[tuple[Path, int, int, list[tuple]]]) -> Path:
    """Write a COCO file.

    Args:
        folder: For the file.
        images: Path, width, height, and objects as class, x, y, w, h.
    """
    coco: dict[str, list[dict[str, Any]]] = {
        'images': [],
        'annotations': [],
        'categories': [{'id': k, 'name': str(k)} for k in range(NUM_CLASSES)],
    }
    for number, (path, width, height, objects) in enumerate(images):
        coco['images'].append({'id': number, 'file_name': path.name, 'width': width, 'height': height})
        for label, *box in objects:
            annotation = {'image_id': number, 'category_id': label, 'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0}
            coco['annotations'].append({'id': len(coco['annotations']), **annotation})
    path = folder / 'coco.json'
    path.write_text(json.dumps(coco))
    return path


def write_data(folder: Path, num_images: int, copies: int) -> tuple[Path, float]:
    """Write images with seven objects each and a COCO file; give its path and the bits per pixel of the images."""
    generator = np.random.default_rng(0)
    images = []
    bits = pixels = 0
    for number in range(num_images * copies):
        width, height = SIZES[number % num_images % len(SIZES)]
        path = folder / f'{number}.jpg'
        if number < num_images:
            cv2.imwrite(str(path), photograph(width, height, generator), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        else:
            os.link(folder / f'{number % num_images}.jpg', path)
        bits, pixels = bits + 8 * path.stat().st_size, pixels + width * height
        sides = generator.uniform(0.05, 0.5, (7, 2)) * (width, height)
        corners = generator.uniform(0, 1, (7, 2)) * ((width, height) - sides)
        boxes = np.concatenate([corners, sides], axis=1).tolist()
        images.append((path, width, height, [(k % NUM_CLASSES, *box) for k, box in enumerate(boxes)]))
    return write_coco(folder, images), bits / pixels


class Worker:
    """What one loader worker does with a pipeline.

    Args:
        data: COCO file, beside its images.
        pipeline: Configs of the transforms.
        collate: Config of the collate function.
    """

    def __init__(self, data: Path, pipeline: list[dict[str, Any]], collate: dict[str, Any]) -> None:
        self.dataset = DATASETS.build(
            {
                'type': 'YOLOv5CocoDataset',
                'data_root': '',
                'ann_file': str(data),
                'data_prefix': {'img': f'{data.parent}/'},
                'metainfo': {'classes': tuple(map(str, range(NUM_CLASSES)))},
                'pipeline': pipeline,
            }
        )
        options = dict(collate)
        self._collate = partial(COLLATE_FUNCTIONS.get(options.pop('type')), **options)
        self._order = self._indexes()

    def _indexes(self) -> Iterator[int]:
        generator = np.random.default_rng(0)
        while True:
            yield from map(int, generator.permutation(len(self.dataset)))

    def warm_up(self, num_samples: int) -> None:
        """Prepare samples, so that whatever is kept is there."""
        for _ in range(num_samples):
            self.dataset[next(self._order)]

    def prepare(self, num_samples: int) -> float:
        """Prepare the next samples in batches.

        Args:
            num_samples: How many.

        Returns:
            Images per second.
        """
        start = time.process_time()
        for _ in range(num_samples // BATCH):
            self._collate([self.dataset[next(self._order)] for _ in range(BATCH)])
        return num_samples // BATCH * BATCH / (time.process_time() - start)


class Recipe(NamedTuple):
    """A training pipeline of a model.

    Args:
        name: For the title of its table.
        public: Configs of the transforms.
        max_size: What LoadCachedImage shrinks to.
        collate: Config of the collate function.
        on_device: Whether the model takes what is left to the device.
    """

    name: str
    public: list[dict[str, Any]]
    max_size: int
    collate: dict[str, Any]
    on_device: bool

    def sides(self, caches: dict[str, ImageCache]) -> dict[str, list[dict[str, Any]]]:
        """Return the pipelines to compare, the first of them the one to compare with.

        Args:
            caches: By their names.
        """
        sides = {'public': self.public}
        for name, cache in {'cold': None, **caches}.items():
            load = {'type': 'LoadCachedImage', 'max_size': self.max_size, 'cache_bytes': 0, 'cache_file': None}
            if cache is not None:
                load.update(cache_bytes=1, cache_file=cache.path)  # as large as it was made
            sides[f'fast, {name}'] = fast = fast_pipeline(use_image_cache(self.public, load))
            device = augment_on_device(fast, {'collate_fn': self.collate})
            if self.on_device and device != fast:
                sides[f'fast, {name}, colour on the device'] = device
        return sides


def recipes(model: str, size: int) -> list[Recipe]:
    """Return the pipeline of a model, and that of its last epochs if it has one.

    Args:
        model: Name in the zoo.
        size: Side of the input in pixels.
    """
    cfg = Config.fromfile(find_model(model).config)
    own, size = cfg.img_scale, (size, size)
    loader, preprocessor = cfg.train_dataloader, cfg.model.data_preprocessor
    collate = dict(loader.collate_fn)
    largest = scale_batch_sizes(preprocessor.get('batch_augments') or (), own, size)
    max_size = max(*size, largest if collate.get('use_ms_training') else 0)
    found = []
    parts = [('', loader.dataset.pipeline)]
    parts += [(', last epochs', item['hook'][item['argument']]) for item in switch_pipelines(cfg)]
    for part, pipeline in parts:
        public = copy.deepcopy(pipeline)
        scale_train_size(public, own, size)
        on_device = takes_device_augment(preprocessor, loader)
        found.append(Recipe(model + part, public, max_size, collate, on_device))
    return found


def draw_pictures(path: Path, folder: Path, recipe: Recipe, count: int = 4) -> None:
    """Write samples of drawn scenes by the public transforms, and below them those of the fast form."""
    data = write_coco(
        folder,
        [
            (
                image.path,
                image.width,
                image.height,
                [(box.class_index, box.x, box.y, box.w, box.h) for box in image.boxes],
            )
            for image in generate(folder, num_images=16, num_classes=NUM_CLASSES)
        ],
    )
    sides = recipe.sides({})
    first, *later = sides['fast, cold']
    if first['type'] == 'FastMosaic':
        first = dict(first, buffer_images=0)  # the same further images
    if first['type'] == 'FastCrop':  # crops are whole pixels of the image as it was loaded
        sides['public'] = use_image_cache(recipe.public, first['pre_transform'][1])
    public = Worker(data, sides['public'], recipe.collate).dataset
    fast = Worker(data, [first, *later], recipe.collate).dataset
    rows = []
    for dataset in (public, fast):
        row = []
        for index in range(-WARM_UP, count):
            np.random.seed(index + WARM_UP)
            sample = dataset[index % len(dataset)]
            if index < 0:
                continue
            image = np.ascontiguousarray(sample['inputs'].numpy().transpose(1, 2, 0).clip(0, 255).astype(np.uint8))
            for x1, y1, x2, y2 in sample['data_samples'].gt_instances.bboxes.numpy().round().astype(int).tolist():
                cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 255), 2)
            row.append(cv2.resize(image, (image.shape[1] * 640 // image.shape[0], 640)))
        rows.append(np.hstack(row))
    width = min(row.shape[1] for row in rows)
    picture = np.vstack([row[:, :width] for row in rows])
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def compare(
    recipe: Recipe, options: argparse.Namespace, data: Path, caches: dict[str, ImageCache], bits: float
) -> None:
    """Measure all sides of a recipe and print the table."""
    sides = recipe.sides(caches)
    chosen = [options.profile] if options.profile else list(sides)
    workers = {name: Worker(data, sides[name], recipe.collate) for name in chosen}
    count = options.images * options.copies
    for name, worker in workers.items():
        worker.warm_up(0 if name == 'public' else count if 'cache' in name else 2 * KEPT)
    if options.profile:
        with cProfile.Profile(time.process_time) as profile:
            workers[options.profile].prepare(4 * options.samples)
        pstats.Stats(profile).sort_stats('tottime').print_stats(25)
        return
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(options.rounds):
        for name, worker in workers.items():
            rates[name].append(worker.prepare(options.samples))

    table = Table(title=f'{recipe.name}, {options.size} px, one worker, JPEG of {bits:.1f} bits per pixel')
    for column in ('', 'images/s', 'all rounds', 'times public'):
        table.add_column(column, justify='left' if not column else 'right')
    public = statistics.median(rates['public'])
    for name, values in rates.items():
        middle = statistics.median(values)
        table.add_row(name, f'{middle:.0f}', f'{min(values):.0f} to {max(values):.0f}', f'{middle / public:.1f}')
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', nargs='+', default=['yolov8_n'])
    parser.add_argument('--size', type=int, default=640)
    parser.add_argument('--images', type=int, default=120)
    parser.add_argument('--copies', type=int, default=6)
    parser.add_argument('--samples', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--pictures', type=Path)
    parser.add_argument('--profile', metavar='SIDE', help='one of the sides, e.g. "fast, memory cache"')
    options = parser.parse_args()

    register_all_modules()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    found = [recipe for model in options.model for recipe in recipes(model, options.size)]
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures:
            for recipe in found:
                name = '-'.join([options.pictures.stem, *recipe.name.replace(',', '').split()])
                path = options.pictures.with_stem(options.pictures.stem if len(found) == 1 else name)
                draw_pictures(path, Path(folder), recipe)
            return
        data, bits = write_data(Path(folder), options.images, options.copies)
        count = options.images * options.copies
        for recipe in found:
            room = cache_size(count, count * 3 * recipe.max_size**2)
            caches = {'memory cache': ImageCache.create(room, count)}
            if not options.quick:
                caches['disk cache'] = ImageCache.create(room, count, folder)
            compare(recipe, options, data, caches, bits)


if __name__ == '__main__':
    main()
