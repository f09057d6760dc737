"""Images per second that one loader worker prepares for a training, public transforms beside the fast form.

    python benchmarks/training_pipeline.py [--model yolov8_n] [--size 640] [--images 300] [--rounds 5]

The images are drawn, with structure of all sizes as photographs have, and written as JPEG files of 640x480 to 1920x1080
pixels with about 3 bits per pixel. Sides, measured in turn in one process with one thread, `--rounds` times; medians
are printed. A round is `--samples` samples of an epoch's order, collated in batches, in seconds of the CPU:

- public: the transforms of the model's config, one by one;
- public, memory cache: the same, images decoded once and kept in memory;
- fast, cold: FastMosaic, images decoded when they are needed;
- fast, memory cache: the same, images decoded once and kept in memory;
- ..., colour on the device: the part of the worker where colour is left to the device.

`--pictures FILE` writes samples of the public transforms above the same ones of the fast form; `--profile SIDE` prints
where the time of a side goes.
"""

import argparse
import copy
import cProfile
import json
import pstats
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import COLLATE_FUNCTIONS
from rich.console import Console
from rich.table import Table

from mmyolo.registry import DATASETS
from mmyolo.utils import register_all_modules
from tmi.families.dense import use_image_cache
from tmi.families.fast_pipeline import fast_pipeline
from tmi.families.image_size import scale_train_size
from tmi.zoo.models import find_model

SIZES = ((640, 480), (480, 640), (1024, 768), (1280, 720), (1280, 960), (1920, 1080))  # width, height
QUALITY = 92
NUM_CLASSES = 3
BATCH = 16


def photograph(width: int, height: int, generator: np.random.Generator) -> np.ndarray:
    """Draw (height, width, 3) uint8 whose contrast falls with the size of the structures, as that of photographs."""
    image = np.full((height, width, 3), 120, dtype=np.float32)
    for parts in (4, 16, 64, 256):
        rows, columns = max(height * parts // 1000, 2), max(width * parts // 1000, 2)
        noise = generator.normal(0, 60 / parts**0.4, (rows, columns, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image += generator.standard_normal(image.shape, dtype=np.float32) * 8
    return np.clip(image, 0, 255).astype(np.uint8)


def write_data(folder: Path, num_images: int) -> tuple[Path, float]:
    """Write images with seven objects each and a COCO file; give its path and the bits per pixel of the images."""
    generator = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    bits = pixels = 0
    for number in range(num_images):
        width, height = SIZES[number % len(SIZES)]
        path = folder / f'{number}.jpg'
        cv2.imwrite(str(path), photograph(width, height, generator), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        bits, pixels = bits + 8 * path.stat().st_size, pixels + width * height
        images.append({'id': number, 'file_name': path.name, 'width': width, 'height': height})
        for k in range(7):
            w, h = generator.uniform(0.05, 0.5, 2) * (width, height)
            x, y = generator.uniform(0, 1, 2) * (width - w, height - h)
            annotations.append(
                {
                    'id': len(annotations),
                    'image_id': number,
                    'category_id': k % NUM_CLASSES,
                    'bbox': [x, y, w, h],
                    'area': w * h,
                    'iscrowd': 0,
                }
            )
    categories = [{'id': k, 'name': str(k)} for k in range(NUM_CLASSES)]
    path = folder / 'coco.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    return path, bits / pixels


class Worker:
    """What one loader worker does with a pipeline.

    Args:
        data: COCO file, beside its images.
        pipeline: Configs of the transforms.
    """

    def __init__(self, data: Path, pipeline: list[dict[str, Any]]) -> None:
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
        self._collate = COLLATE_FUNCTIONS.get('yolov5_collate')
        self._order = self._indexes()

    def _indexes(self) -> Iterator[int]:
        generator = np.random.default_rng(0)
        while True:
            yield from map(int, generator.permutation(len(self.dataset)))

    def load_all(self) -> None:
        """Go through an epoch, so that whatever is kept is there."""
        for _ in range(len(self.dataset)):
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


def pipelines(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Return the pipelines to compare, the first of them the one to compare with."""
    cfg = Config.fromfile(find_model(options.model).config)
    public = copy.deepcopy(cfg.train_dataloader.dataset.pipeline)
    scale_train_size(public, cfg.img_scale, (options.size, options.size))
    cached = {'type': 'LoadCachedImage', 'max_size': options.size, 'cache_bytes': options.images * 3 * options.size**2}
    cold = fast_pipeline(use_image_cache(public, dict(cached, cache_bytes=0)))
    warm = fast_pipeline(use_image_cache(public, cached))
    return {
        'public': public,
        'public, memory cache': use_image_cache(public, cached),
        'fast, cold': cold,
        'fast, memory cache': warm,
        'fast, cold, colour on the device': [dict(cold[0], hsv=None), *cold[1:]],
        'fast, memory cache, colour on the device': [dict(warm[0], hsv=None), *warm[1:]],
    }


def draw_pictures(path: Path, data: Path, sides: dict[str, list[dict[str, Any]]], count: int = 4) -> None:
    """Write samples of the public transforms above those that the fast form makes of the same random numbers."""
    public = Worker(data, sides['public']).dataset
    fast = Worker(data, [dict(sides['fast, cold'][0], buffer_images=0), *sides['fast, cold'][1:]]).dataset
    rows = []
    for dataset in (public, fast):
        row = []
        for index in range(count):
            np.random.seed(index + 1)
            sample = dataset[index]
            image = np.ascontiguousarray(sample['inputs'].numpy().transpose(1, 2, 0))
            for x1, y1, x2, y2 in sample['data_samples'].gt_instances.bboxes.numpy().round().astype(int).tolist():
                cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 255), 2)
            row.append(image)
        rows.append(np.hstack(row))
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='yolov8_n')
    parser.add_argument('--size', type=int, default=640)
    parser.add_argument('--images', type=int, default=300)
    parser.add_argument('--samples', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--pictures', type=Path)
    parser.add_argument('--profile', metavar='SIDE', help='one of the sides, e.g. "fast, memory cache"')
    options = parser.parse_args()

    register_all_modules()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data, bits = write_data(Path(folder), options.images)
        sides = pipelines(options)
        if options.pictures:
            draw_pictures(options.pictures, data, sides)
            return
        chosen = [options.profile] if options.profile else list(sides)
        workers = {name: Worker(data, sides[name]) for name in chosen}
        for name, worker in workers.items():
            if name != 'public':
                worker.load_all()
        if options.profile:
            with cProfile.Profile() as profile:
                workers[options.profile].prepare(4 * options.samples)
            pstats.Stats(profile).sort_stats('tottime').print_stats(25)
            return
        rates: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(options.rounds):
            for name, worker in workers.items():
                rates[name].append(worker.prepare(options.samples))

    table = Table(title=f'{options.model}, {options.size} px, one worker, JPEG of {bits:.1f} bits per pixel')
    for column in ('', 'images/s', 'all rounds', 'times public'):
        table.add_column(column, justify='left' if not column else 'right')
    public = statistics.median(rates['public'])
    for name, values in rates.items():
        middle = statistics.median(values)
        table.add_row(name, f'{middle:.0f}', f'{min(values):.0f} to {max(values):.0f}', f'{middle / public:.1f}')
    Console(width=110).print(table)


if __name__ == '__main__':
    main()
