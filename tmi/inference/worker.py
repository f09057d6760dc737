"""One predicting process: the path that inference and mining share (`python -m tmi.inference.worker FOLDER RANK`).

It goes on behind the images that its shard file holds. With a third argument it takes so many images one at a time and
says which one it is at, to find the image that a process before it was lost to (see `supervise.py`).

Loader processes decode and letterbox -> the device normalises, runs the network, decodes and suppresses boxes -> the
results go to this process's shard file. Queues between them are short, so memory does not grow with the number of
images.

An image gets the same boxes, bit for bit, whatever the number of processes and loader processes. Libraries choose
their algorithms by the number of images, so every forward pass has the same: where some are missing the last one is
repeated. On a CPU that number follows from the input size alone, as larger passes spill out of the caches; on a GPU it
is `samples_per_gpu`, and another value changes boxes by no more than rounding.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path

from tmi.errors import LOST_LOADER, MissingGpuError, ModelError, causes_of, one_line
from tmi.processes import end_with_parent, report_uncaught, run_task
from tmi.setting_names import advice

if __name__ == '__main__':
    end_with_parent()
    report_uncaught(f'prediction, process {sys.argv[2]}')  # also what goes wrong in the imports that follow

import numpy as np  # noqa: E402
import torch  # noqa: E402
from pycocotools import mask as mask_utils  # noqa: E402
from torch import Tensor  # noqa: E402

from mmyolo.utils.config_types import registered_only  # noqa: E402
from tmi.class_names import match_class_names  # noqa: E402
from tmi.families.base import Predictor  # noqa: E402
from tmi.families.detections import Detections, Evidence  # noqa: E402
from tmi.inference.embeddings import EmbeddingWriter  # noqa: E402
from tmi.inference.engines import TORCH  # noqa: E402
from tmi.inference.engines.choice import use_engine  # noqa: E402
from tmi.inference.finite_check import FiniteCheck, reject_unusable  # noqa: E402
from tmi.inference.heartbeat import Heartbeat  # noqa: E402
from tmi.inference.images import Batch, Image, ImageBatches, Letterbox, make_loader  # noqa: E402
from tmi.inference.model import build_model  # noqa: E402
from tmi.inference.package import fault_of_package, read_package  # noqa: E402
from tmi.inference.plan import PLAN_FILE, THREADS, PredictionPlan  # noqa: E402
from tmi.inference.shards import Finished, Prediction, ShardWriter  # noqa: E402
from tmi.inference.skipped import read_skipped  # noqa: E402
from tmi.inference.supervise import LOADER_LOST, finished_images  # noqa: E402
from tmi.log import configure_logging  # noqa: E402
from tmi.mining import ALGORITHMS, Algorithm  # noqa: E402
from tmi.settings import MiningSettings  # noqa: E402
from tmi.zoo.weights import InferenceModel  # noqa: E402

CPU_PIXELS_PER_PASS = 640 * 640
TEST_PICTURE = (120, 160)  # height and width

logger = logging.getLogger('tmi')


def images_per_pass(device: torch.device, batch_size: int, height: int, width: int) -> int:
    """Return how many images go through the network together.

    Args:
        device: Where it runs.
        batch_size: Images per batch of the loader.
        height: Of the network's input.
        width: Of the network's input.

    Returns:
        The whole batch on a GPU; on a CPU a power of two that is 1 for large inputs.
    """
    if device.type != 'cpu':
        return batch_size
    fitting = max(1, min(batch_size, CPU_PIXELS_PER_PASS // (height * width)))
    return 1 << (fitting.bit_length() - 1)


def predict_batch(
    predictor: Predictor, batch: Batch, batch_size: int, algorithm: Algorithm | None = None
) -> tuple[list[Prediction], list[np.ndarray | None]]:
    """Predict all images of a batch.

    Args:
        predictor: The model.
        batch: From the loader.
        batch_size: Images per full batch.
        algorithm: Of mining, None for boxes alone.

    Returns:
        One prediction per image, in the order of the batch, and for mining the features of each, None for an image that
        could not be read.
    """
    found: dict[int, Detections | Evidence] = {}
    most = min(batch_size, predictor.max_images or batch_size)
    for places, *filled in passes(batch, predictor.device, most):
        if algorithm is None:
            found.update(zip(places, predictor.predict(*filled)))
        else:
            found.update(zip(places, predictor.inspect(*filled, algorithm.measure, algorithm.with_class_maps)))
    predictions = [to_prediction(image, found.get(place)) for place, image in enumerate(batch.images)]
    if algorithm is None:
        return predictions, []
    return predictions, [
        found[place].embedding.numpy() if place in found else None for place in range(len(batch.images))
    ]


def passes(batch: Batch, device: torch.device, batch_size: int) -> Iterator[tuple[list[int], Tensor, list[dict]]]:
    """Yield what goes through the network together.

    Args:
        batch: From the loader.
        device: Where the network runs.
        batch_size: Images per full batch.

    Yields:
        Places in `batch.images`; for them, and as often again for the last one as an equal number needs, pixels
        (n, H, W, 3) uint8 BGR and metas.
    """
    for places, pixels in batch.groups:
        pixels = torch.as_tensor(pixels)
        size = images_per_pass(device, batch_size, *pixels.shape[1:3])
        for first in range(0, len(places), size):
            part = places[first : first + size]
            metas = [dict(batch.images[place].meta, img_path=batch.images[place].path) for place in part]
            yield part, *_fill(pixels[first : first + size], metas, size)


def _fill(pixels: Tensor, metas: Sequence[dict], size: int) -> tuple:
    """Repeat the last image until there are `size`."""
    lacking = size - len(metas)
    if not lacking:
        return pixels, metas
    return torch.cat([pixels, pixels[-1:].expand(lacking, -1, -1, -1)]), [*metas, *metas[-1:] * lacking]


def to_prediction(image: Image, found: Detections | Evidence | None) -> Prediction:
    """Bring what was found in an image into the form of the shard files.

    Args:
        image: The image.
        found: Boxes, or what mining asks besides; None if the image could not be read.

    Returns:
        Its prediction.
    """
    if found is None:
        return Prediction(image.index, image.path, problem=image.problem)
    detections = found.detections if isinstance(found, Evidence) else found
    height, width = image.meta['ori_shape']
    prediction = Prediction(
        index=image.index,
        path=image.path,
        size=(width, height),
        boxes=detections.boxes.double().numpy().round(3).tolist(),
        scores=detections.scores.double().numpy().round(6).tolist(),
        labels=detections.labels.tolist(),
        finite=detections.finite,
        masks=[mask['counts'].decode('ascii') for mask in detections.masks or ()],
        areas=[int(mask_utils.area(mask)) for mask in detections.masks or ()],
    )
    if found is detections:
        return prediction
    spread = found.spread.double().numpy().round(4).tolist()
    return prediction._replace(support=found.support.tolist(), spread=spread, value=found.value)


def try_model(predictor: Predictor, letterbox: Letterbox, source: Path) -> None:
    """Predict a picture of noise before any image, so that a model that cannot work is rejected at once.

    All its boxes count, whatever their scores: a setting of NMS that is wrong would else show at the first real image.

    Args:
        predictor: The model.
        letterbox: The transforms of its test pipeline.
        source: The weight file, for messages.

    Raises:
        TaskError: 300004 if it fails, or gives numbers that are not finite.
    """
    with fault_of_package(f'The model {source} with its config cannot predict a test picture'):
        image, pixels = _test_picture(letterbox)
        found = predictor.predict_any(torch.as_tensor(pixels)[None], [image.meta])
    reject_unusable(1, int(not found[0].finite), predictor.half_precision, source)


def _test_picture(letterbox: Letterbox) -> tuple[Image, np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (*TEST_PICTURE, 3), dtype=np.uint8)
    return letterbox.prepare(0, 'test picture', noise)


def first_pass(batch: Batch | None, device: torch.device, batch_size: int, letterbox: Letterbox) -> Tensor:
    """Return the pixels of what goes through the network first, the test picture if no image of the batch can be read.

    Args:
        batch: The first one of a process.
        device: Where the network runs.
        batch_size: Images per full batch.
        letterbox: Of the test pipeline.
    """
    for _, pixels, _ in passes(batch, device, batch_size) if batch else ():
        return pixels
    return torch.as_tensor(_test_picture(letterbox)[1])[None]


def choose_device(plan: PredictionPlan) -> torch.device:
    """Return the device of a process; its parent has hidden all GPUs but its own.

    Args:
        plan: Of the task.

    Returns:
        The device.

    Raises:
        TaskError: 300102 if the GPU cannot be seen.
    """
    if not plan.gpu_ids:
        return torch.device('cpu')
    if not torch.cuda.is_available():
        raise MissingGpuError(
            f'The task was given the GPUs {", ".join(map(str, plan.gpu_ids))}, and this container sees none: '
            f'{advice("start it with them", "set {gpu_count} to 0 for the CPU")}.'
        )
    return torch.device('cuda:0')


class ShardPredictor:
    """A model with all that predicts images of a list with it; loaded once, for one shard or for several blocks.

    Args:
        plan: Of the task.
        folder: Where the list of images and the engine lie.

    Raises:
        TaskError: 300004 if the model package cannot be used.
    """

    def __init__(self, plan: PredictionPlan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        torch.set_num_threads(THREADS)
        self._device = choose_device(plan)
        package = read_package(InferenceModel(Path(plan.checkpoint), Path(plan.config) if plan.config else None))
        self._source = package.source
        family = package.family
        model = build_model(package, plan.class_names)
        self._positions, self.warning = match_class_names(package.class_names, plan.class_names, package.source)
        with fault_of_package(f'The config of {package.source} cannot be used to predict'), registered_only():
            steps = family.pixel_transforms(package.pipeline, plan.image_size)
            family.check_input_size(model, steps, plan.image_size, package.source)
            self._letterbox = Letterbox(steps)
            self._predictor = family.predictor(model, self._device, plan.score_thr, plan.iou_thr, plan.precision)
        if plan.masks and not self._predictor.gives_masks:
            raise ModelError(
                f'The model {package.source} predicts boxes and no masks, which instance segmentation needs. Choose a '
                'model that was trained for it, or detect boxes with this one.'
            )
        self._predictor.with_masks = plan.masks
        try_model(self._predictor, self._letterbox, package.source)
        self._algorithm = _algorithm(plan, self._positions)
        if self._algorithm is not None:
            self._algorithm.letterbox = self._letterbox
        self.check = FiniteCheck(package.source, self._predictor.half_precision)
        self._has_engine = plan.engine == TORCH

    def batches(self, rank: int, world_size: int, skipped: Mapping[int, str]) -> ImageBatches:
        """Return the batches of one process.

        Args:
            rank: Number of the process.
            world_size: How many processes there are.
            skipped: Positions of images that are not read, with the reasons.
        """
        return ImageBatches(self._folder, rank, world_size, self._letterbox, self._plan.batch_size, skipped)

    def use_engine(self, batch: Batch | None, rank: int, on_wait: Callable[[], object]) -> None:
        """Let the engine of the task run the network from now on; process 0 chooses it.

        Args:
            batch: The first one of the process.
            rank: Number of the process.
            on_wait: Called again and again while it waits for process 0.
        """
        pixels = first_pass(batch, self._device, self._plan.batch_size, self._letterbox)
        with self._blamed():
            use_engine(self._predictor, self._plan, self._folder, rank, pixels, on_wait)
        self._has_engine = True

    def predict(
        self,
        batches: ImageBatches,
        output: Path,
        beat: Heartbeat,
        rank: int = 0,
        kept: Finished = Finished(),
        careful: int = 0,
    ) -> None:
        """Predict the images of a process.

        Args:
            batches: What to predict.
            output: The folder of its files, which may hold a beginning.
            beat: Told about each step.
            rank: The number in the names of the files.
            kept: What stays of them; its images are not predicted again.
            careful: How many images are taken one at a time.
        """
        loader = _load(batches, self._plan, self._device, kept.images, careful, beat)
        if not self._has_engine:
            first = next(loader, None)
            self.use_engine(first, rank, beat.step)
            loader = chain([first] if first else [], loader)
        shard = ShardWriter(output, rank, kept)
        embeddings = EmbeddingWriter(output, rank, kept.images) if self._algorithm else None
        for batch in loader:
            with self._blamed():
                predictions, features = predict_batch(self._predictor, batch, self._plan.batch_size, self._algorithm)
            self.check.add(
                sum(prediction.readable for prediction in predictions),
                sum(not prediction.finite for prediction in predictions),
            )
            logger.debug('Process %d on %s: %d images', rank, self._device, self.check.images)
            if embeddings is not None:
                embeddings.write(features)
            shard.write(
                [item._replace(labels=[self._positions[label] for label in item.labels]) for item in predictions]
            )
            beat.step()
        shard.close()
        if embeddings is not None:
            embeddings.close()

    def _blamed(self) -> AbstractContextManager[None]:
        return fault_of_package(f'The model {self._source} with its config cannot predict images')


def predict_shard(plan: PredictionPlan, folder: Path, rank: int, careful: int = 0) -> None:
    """Predict the images of one process that its shard file does not hold yet.

    Args:
        plan: Of the task.
        folder: Where the shard files lie.
        rank: Number of the process.
        careful: How many images are taken one at a time.
    """
    beat = Heartbeat(folder, rank)
    model = ShardPredictor(plan, folder)
    if model.warning and rank == 0:
        logger.warning('%s', model.warning)
    kept = finished_images(plan, folder, rank)
    batches = model.batches(rank, plan.world_size, read_skipped(folder))
    model.predict(batches, folder, beat, rank, kept, careful)
    check = model.check
    check.end()
    if check.unusable:
        logger.warning(
            'The model gave numbers that are not finite (NaN or inf) for %d of %d images of process %d; boxes '
            'with such numbers were left out',
            check.unusable,
            check.images,
            rank,
        )


def _load(
    batches: ImageBatches, plan: PredictionPlan, device: torch.device, kept: int, careful: int, beat: Heartbeat
) -> Iterator[Batch]:
    """Yield the batches behind the images that are kept; the heartbeat says what they are before they are loaded."""
    pin_memory = device.type == 'cuda'
    first, stop = batches.first + kept, batches.stop
    if careful:
        last = first + careful if stop is None else min(first + careful, stop)
        yield from make_loader(batches.part(first, last).one_by_one(beat.at_image), 0, pin_memory)
    beat.at_batch()
    for batch in make_loader(batches.part(first + careful, stop), plan.workers, pin_memory):
        beat.step()
        yield batch


def _algorithm(plan: PredictionPlan, positions: Sequence[int]) -> Algorithm | None:
    """Return the mining algorithm of a plan, whose classes are the outputs of the model here."""
    if plan.mining is None:
        return None
    settings = MiningSettings.model_validate(plan.mining)
    algorithm = ALGORITHMS[settings.mining_algorithm]
    weights = algorithm(settings).class_weights()[positions].tolist()
    return algorithm(settings.model_copy(update={'class_distribution_scores': weights}))


def main() -> None:
    """Read the plan and predict; a loader process that was killed is no error of this one, but ends it."""
    folder, rank, careful = Path(sys.argv[1]), int(sys.argv[2]), int((*sys.argv, 0)[3])
    plan = PredictionPlan.load(folder / PLAN_FILE)
    # What one process says all do; only a debug log is worth having it from each.
    configure_logging('warning' if rank and plan.log_level == 'info' else plan.log_level)
    try:
        predict_shard(plan, folder, rank, careful)
    except Exception as error:
        lost = next((cause for cause in causes_of(error) if LOST_LOADER in str(cause)), None)
        if lost is None:
            raise
        logger.warning('Process %d lost a loader process: %s', rank, one_line(str(lost)))
        raise SystemExit(LOADER_LOST) from error


if __name__ == '__main__':
    run_task(f'prediction, process {sys.argv[2]}', main)
