"""Time and peak memory of the order of many images.

    python benchmarks/mining/order_speed.py [--counts 100000 1000000] [--classes 10] [--threads 2]

The data are as large and as clustered as those of a pool of videos: scenes of about ten frames each, a third without
boxes, embeddings and class vectors on disk in the form in which mining keeps them. Each count is a process of its own,
whose peak memory is the greatest resident set size that the kernel noted, mapped pages of the files included.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tmi.inference.embeddings import EMBEDDING_SIZE, Embeddings, embeddings_path
from tmi.mining.order import order
from tmi.mining.parameters import PARAMETERS

LIMITS = {100_000: (60.0, 1000.0)}  # images to seconds and MB
FRAMES = 10  # of a scene
BLOCK = 50_000  # images that are made at a time
SETTINGS = {item.name: item.default for item in PARAMETERS}


def make_pool(folder: Path, count: int, num_classes: int) -> None:
    """Write uncertainties, class vectors and embeddings of images into a folder."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(200, EMBEDDING_SIZE)) * 0.97 ** np.arange(EMBEDDING_SIZE)
    common = 2 * generator.normal(size=EMBEDDING_SIZE)
    frequency = 1 / np.arange(1, num_classes + 1)
    with (
        open(embeddings_path(folder, 0), 'wb') as rows_file,
        open(folder / 'terms', 'wb') as terms_file,
        open(folder / 'mass', 'wb') as mass_file,
    ):
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            scene = np.arange(size) // FRAMES
            num_scenes = scene[-1] + 1
            base = centres[generator.integers(len(centres), size=num_scenes)]
            base = base + generator.normal(size=base.shape) * 0.5
            rows = base[scene] + generator.normal(size=(size, EMBEDDING_SIZE)) * 0.06 + common
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            rows_file.write(rows.astype('<f2').tobytes())
            boxes = generator.poisson(2 * frequency, (num_scenes, num_classes))
            boxes *= generator.random((num_scenes, 1)) > 0.33
            terms = (boxes * generator.gamma(1, 0.4, boxes.shape))[scene] * generator.uniform(0.8, 1.2, (size, 1))
            terms_file.write(terms.astype('<f2').tobytes())
            mass_file.write(np.minimum(boxes[scene] * 0.6, 3).astype('<f2').tobytes())


def peak_memory() -> float:
    """Return the peak of this process in MB; unlike getrusage, without what its parent held."""
    status = Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) * 1024 / 1e6


def measure(folder: Path, count: int, num_classes: int) -> dict[str, float]:
    """Order the pool of a folder in this process."""
    shape = (count, num_classes)
    terms, mass = (np.memmap(folder / name, '<f2', 'r', shape=shape) for name in ('terms', 'mass'))
    uncertainty = np.concatenate(
        [terms[start : start + BLOCK].sum(axis=1, dtype=np.float64) for start in range(0, count, BLOCK)]
    )
    embeddings = Embeddings(folder, 1, count)
    labelled = embeddings.rows(np.arange(512) * (count // 512))
    boxes = 5000 / np.arange(1, num_classes + 1)
    readable = np.ones(count, bool)
    before = peak_memory()
    start = time.perf_counter()
    found = order(uncertainty, terms, mass, embeddings, readable, labelled, boxes, SimpleNamespace(**SETTINGS))
    return {
        'seconds': time.perf_counter() - start,
        'before': before,
        'peak': peak_memory(),
        'picks': len(found.distance),
        'near_duplicates': found.near_duplicates,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--counts', type=int, nargs='+', default=[100_000, 1_000_000])
    parser.add_argument('--classes', type=int, default=10)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure(Path(options.folder), options.counts[0], options.classes)))
        return
    failed = False
    print(f'{options.classes} classes, {options.threads} threads, {SETTINGS["mining_order_size"]} picks\n')
    print('|    images | seconds | peak memory, MB | of it before, MB | picks | near-duplicates |')
    print('|----------:|--------:|----------------:|-----------------:|------:|----------------:|')
    environ = dict(os.environ)
    for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
        environ[name] = str(options.threads)
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            make_pool(Path(folder), count, options.classes)
            command = [sys.executable, __file__, '--folder', folder, '--counts', str(count)]
            command += ['--classes', str(options.classes)]
            row = json.loads(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout)
        print(
            f'| {count:9} | {row["seconds"]:7.1f} | {row["peak"]:15.0f} | {row["before"]:16.0f} '
            f'| {row["picks"]:5} | {row["near_duplicates"]:15} |'
        )
        seconds, megabytes = LIMITS.get(count, (float('inf'), float('inf')))
        failed |= row['seconds'] >= seconds or row['peak'] >= megabytes
    sys.exit(failed)


if __name__ == '__main__':
    main()
