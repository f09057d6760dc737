"""One predicting process: the road that inference and mining share (`python -m ymir.predictor FOLDER RANK`).

Loader processes decode and letterbox -> the device normalises, runs the network, decodes and suppresses boxes -> the results go to
this process's shard file. Queues between them are short, so memory does not grow with the number of images.

An image gets the same boxes whatever the number of processes, loader processes or images in a batch. To that end a
batch on a GPU is always full, as libraries choose their algorithms by its size: the last one repeats its last image. On a CPU a
batch is cut into pieces that fit into the caches.
"""
import logging
import sys
from pathlib import Path
from typing import Iterable, List, Sequence

import torch
from torch import Tensor

from ymir.detector import Detections, Detector, build_model, read_package
from ymir.errors import TaskError, run_task
from ymir.images import Batch, CandidateBatches, Image, make_loader, pixel_transforms
from ymir.prediction_plan import PLAN_FILE, PredictionPlan
from ymir.shards import Prediction, ShardWriter
from ymir.weights import InferenceModel
from ymir_exc.code import ExecutorReturnCode

# Pixels of input that one forward pass on a CPU takes: larger ones spill out of the caches.
CPU_PIXELS_PER_PASS = 640 * 640


def predict_batch(detector: Detector, batch: Batch, pass_size: int) -> List[Prediction]:
    """Predict all images of a batch.

    Args:
        detector: The model.
        batch: From the loader.
        pass_size: Images per forward pass; 0 means as many as `CPU_PIXELS_PER_PASS` allows.

    Returns:
        One prediction per image, in the order of the batch.
    """
    found = {}
    for places, pixels in batch.groups:
        pixels = torch.as_tensor(pixels)
        size = pass_size or max(1, CPU_PIXELS_PER_PASS // (pixels.shape[1] * pixels.shape[2]))
        for first in range(0, len(places), size):
            part = places[first:first + size]
            metas = [batch.images[place].meta for place in part]
            chunk = pixels[first:first + size]
            if pass_size:
                chunk, metas = _fill(chunk, metas, size)
            found.update(zip(part, detector.predict(chunk, metas)))
    return [_to_prediction(image, found.get(place)) for place, image in enumerate(batch.images)]


def _fill(pixels: Tensor, metas: Sequence[dict], size: int) -> tuple:
    """Repeat the last image until there are `size`."""
    lacking = size - len(metas)
    return torch.cat([pixels, pixels[-1:].expand(lacking, -1, -1, -1)]), [*metas, *metas[-1:] * lacking]


def _to_prediction(image: Image, detections: Detections) -> Prediction:
    if detections is None:
        return Prediction(image.index, image.path, problem=image.problem)
    height, width = image.meta['ori_shape']
    return Prediction(
        index=image.index,
        path=image.path,
        size=(width, height),
        boxes=detections.boxes.double().numpy().round(3).tolist(),
        scores=detections.scores.double().numpy().round(6).tolist(),
        labels=detections.labels.tolist())


def choose_device(plan: PredictionPlan) -> torch.device:
    """The device of a process; its parent has hidden all GPUs but its own.

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
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_NO_GPU,
            f'The task was given the GPUs {", ".join(map(str, plan.gpu_ids))}, and this container sees none: start it with them, '
            'or with gpu_count 0 for the CPU.')
    return torch.device('cuda:0')


def predict_shard(plan: PredictionPlan, folder: Path, rank: int) -> None:
    """Predict the images of one process.

    Args:
        plan: Of the task.
        folder: Where the shard files lie.
        rank: Number of the process.
    """
    torch.set_num_threads(plan.threads)
    device = choose_device(plan)
    package = read_package(InferenceModel(Path(plan.checkpoint), Path(plan.config) if plan.config else None))
    model = build_model(package, plan.class_names)
    steps = pixel_transforms(package.pipeline, plan.image_size)
    batches = CandidateBatches(plan.index_file, rank, plan.world_size, steps, plan.batch_size)
    loader: Iterable[Batch] = iter(make_loader(batches, plan.workers, device.type == 'cuda'))
    detector = Detector(model, device, plan.score_thr, plan.iou_thr, plan.precision)
    shard = ShardWriter(folder, rank)
    for batch in loader:
        shard.write(predict_batch(detector, batch, plan.batch_size if device.type == 'cuda' else 0))
    shard.close()


def main() -> None:
    """Read the plan and predict."""
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format='%(asctime)s %(levelname)s %(message)s',
        stream=sys.stdout)
    predict_shard(PredictionPlan.load(folder / PLAN_FILE), folder, rank)


if __name__ == '__main__':
    run_task(f'prediction, process {sys.argv[2]}', main)
