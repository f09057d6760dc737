"""Images per second of each mining algorithm beside those of the inference task, from files to lines of results.

    python benchmarks/mining/extraction_speed.py [--images 64] [--size 640] [--config CONFIG]

One process does with each batch what a predicting process does: inference first, then each algorithm, in turn, so that
a busy machine slows all alike. The time to decode and letterbox is part of each. Ratios are medians over the batches.
The boxes above inference's threshold are compared: they must be the same, bit for bit.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.inference_speed import CLASS_NAMES, CONFIG, SCORE_THR, make_model  # noqa: E402
from mmyolo.utils import register_all_modules  # noqa: E402
from tmi.families.dense_predictor import DensePredictor  # noqa: E402
from tmi.families.image_size import pixel_transforms  # noqa: E402
from tmi.inference.embeddings import EmbeddingWriter  # noqa: E402
from tmi.inference.image_list import write_image_list  # noqa: E402
from tmi.inference.images import Batch, ImageBatches, Letterbox  # noqa: E402
from tmi.inference.model import build_model  # noqa: E402
from tmi.inference.package import read_package  # noqa: E402
from tmi.inference.plan import CPU_BATCH  # noqa: E402
from tmi.inference.shards import Prediction, ShardWriter  # noqa: E402
from tmi.inference.worker import predict_batch  # noqa: E402
from tmi.mining import ALGORITHMS, Algorithm  # noqa: E402
from tmi.settings import MiningSettings  # noqa: E402
from tmi.zoo.weights import InferenceModel  # noqa: E402
from ymir_local.demo.sample_data import generate  # noqa: E402

WARM_UP = 1  # batches
# The least share of inference's speed: that of all algorithms of one pass but aldd, which reads all class maps, and
# those of five passes.
LEAST = 0.9
LEAST_OF = {'aldd': 0.5, 'cald': 0.2, 'cald_legacy': 0.1}


class Side:
    """Inference or an algorithm, with the predictor, files and times of its own.

    Args:
        name: Of the row.
        algorithm: None for inference.
        predictor: The model at the threshold that the task would have.
        folder: Where lines and embeddings are written.
    """

    def __init__(self, name: str, algorithm: Algorithm | None, predictor: DensePredictor, folder: Path) -> None:
        self.name, self.algorithm, self.predictor = name, algorithm, predictor
        folder.mkdir()
        self._shard = ShardWriter(folder, 0)
        self._embeddings = EmbeddingWriter(folder, 0) if algorithm else None
        self.seconds: list[float] = []
        self.predictions: list[Prediction] = []

    def run(self, batch: Batch) -> None:
        """Do with a batch what a predicting process does."""
        start = time.perf_counter()
        predictions, features = predict_batch(self.predictor, batch, CPU_BATCH, self.algorithm)
        if self._embeddings is not None:
            self._embeddings.write(features)
        self._shard.write(predictions)
        self.seconds.append(time.perf_counter() - start)
        self.predictions += predictions


def make_sides(folder: Path, files: InferenceModel) -> list[Side]:
    """Return inference and every algorithm that runs the network."""
    package = read_package(files)
    device = torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')

    def predictor(score_thr: float) -> DensePredictor:
        return DensePredictor(build_model(package, CLASS_NAMES), device, score_thr, 0.65)

    sides = [Side('inference', None, predictor(SCORE_THR), folder / 'inference')]
    for name, kind in ALGORITHMS.items():
        if kind.passes:
            algorithm = kind(MiningSettings(class_names=CLASS_NAMES, mining_algorithm=name))
            algorithm.letterbox = Letterbox(pixel_transforms(package.pipeline))
            sides.append(Side(name, algorithm, predictor(algorithm.score_thr), folder / name))
    return sides


def fault(side: Side, expected: list[Prediction]) -> str:
    """Return how the boxes of a side differ from those of inference; empty if they don't."""
    threshold = max(SCORE_THR, side.algorithm.score_thr) if side.algorithm else SCORE_THR
    for one, other in zip(side.predictions, expected, strict=True):
        one, other = one.above(threshold), other.above(threshold)
        if (one.boxes, one.scores, one.labels) != (other.boxes, other.scores, other.labels):
            return f'differ in {Path(one.path).name}'
    return ''


def main() -> int:
    """Measure and print; return 1 if an algorithm is too slow or finds other boxes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=64)
    parser.add_argument('--size', type=int, default=640, help='side of the network input')
    parser.add_argument('--config', default=str(CONFIG))
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    register_all_modules()
    loading: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = max(options.images, (WARM_UP + 2) * CPU_BATCH)
        images = [str(item.path) for item in generate(folder / 'images', num_images=count, size_range=(480, 1280))]
        files = InferenceModel(*make_model(folder, options.config, options.size, images))
        sides = make_sides(folder, files)
        write_image_list(images, folder)
        steps = pixel_transforms(read_package(files).pipeline)
        batches = iter(ImageBatches(folder, 0, 1, steps, CPU_BATCH))
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            loading.append(time.perf_counter() - start)
            if batch is None:
                break
            for side in sides:
                side.run(batch)
    table = Table(
        title=f'{Path(options.config).stem}, {options.size} px, {count} JPEG files, {sides[0].predictor.device}, '
        f'{options.threads} thread(s) of {len(os.sched_getaffinity(0))} cores'
    )
    for column in ('', 'images/s', 'of inference', 'least', 'boxes'):
        table.add_column(column, justify='left' if column in ('', 'boxes') else 'right')
    failed = False
    base = [load + own for load, own in zip(loading, sides[0].seconds)][WARM_UP:]
    for side in sides:
        seconds = [load + own for load, own in zip(loading, side.seconds)][WARM_UP:]
        ratio = statistics.median(first / own for first, own in zip(base, seconds))
        least = LEAST_OF.get(side.name, LEAST) if side.algorithm else 1.0
        difference = fault(side, sides[0].predictions)
        failed = failed or ratio < least or bool(difference)
        speed = f'{CPU_BATCH / statistics.median(seconds):.2f}'
        table.add_row(side.name, speed, f'{ratio:.2f}', f'{least:g}', difference or 'the same')
    Console().print(table)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
