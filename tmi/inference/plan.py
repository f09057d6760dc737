"""What the predicting processes are to do, decided once by their parent and handed over as a JSON file.

On GPUs there is one process for each, with loader processes beside it. On a CPU the forward pass takes nearly all the
time and gains little from a second thread, so there each core gets a process of one thread, which decodes its own
images: all cores stay busy and nobody waits for anybody. It stays one thread where there are fewer processes than
cores, because convolutions round differently with two: the files are the same for any number of processes. The
environment variable YMIR_CPU_PROCESSES sets their number.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tmi.devices import available_cpus, cpu_processes
from tmi.inference.engines import TORCH, usable_engine
from tmi.inference.ray_packages import check_ray
from tmi.settings import MiningSettings, PredictionSettings
from tmi.zoo.weights import choose_inference_model

PLAN_FILE = 'plan.json'
CPU_BATCH = 8  # images that are loaded together
THREADS = 1  # of each predicting process
MAX_CPU_PROCESSES = 16  # each has its own copy of the model and the libraries, about half a GB
IMAGES_PER_CPU_PROCESS = 32  # fewer do not repay the seconds that a process needs to start
DEFAULT_WORKERS = 4  # of a GPU, that load images
BLOCKS = 256  # of a cluster, where that gives sizes between these two
LEAST_BLOCK, MOST_BLOCK = 32, 1024  # images; what a lost machine costs, and what starting on a block does not


@dataclass(frozen=True)
class PredictionPlan:
    """All that decides what comes out, and how the work is shared.

    Args:
        source: What lists the images, to know a plan for the same ones again.
        num_images: How many images there are.
        checkpoint: Weights.
        config: Config of the model, None if the package has none.
        class_names: Names of the model's classes in order.
        score_thr: Boxes need a score above this.
        iou_thr: Threshold of NMS.
        image_size: (width, height) of the network's input, None for the model's own.
        precision: 'auto', 'fp32', 'fp16' or 'bf16'.
        batch_size: Images that are loaded together; `samples_per_gpu` on a GPU.
        gpu_ids: GPUs of the task, none for the CPU.
        world_size: Predicting processes.
        workers: Loader processes beside each.
        log_level: From which level on the processes log.
        mining: `MiningSettings` as JSON values if mining looks at the images too, None for boxes alone.
        engine: What runs the network: 'torch', 'onnxruntime', 'openvino', or 'auto' for the fastest.
        ray_address: Of the Ray cluster whose machines predict, '' for processes of this one.
        block_size: Images that a machine of the cluster predicts together, 0 without a cluster.
        identity: Hash of the weights, the config and the list of images, set by `predict`: files of the same names may
            hold something else by the time a task is started again.
        masks: Whether the mask of each object is predicted too.
    """

    source: str
    num_images: int
    checkpoint: str
    config: str | None
    class_names: list[str]
    score_thr: float
    iou_thr: float
    image_size: tuple[int, int] | None
    precision: str
    batch_size: int
    gpu_ids: list[int]
    world_size: int
    workers: int
    log_level: str = 'info'
    mining: dict[str, Any] | None = None
    engine: str = TORCH
    ray_address: str = ''
    block_size: int = 0
    identity: str = ''
    masks: bool = False

    def covers(self, other: 'PredictionPlan') -> bool:
        """Return whether the predictions of this plan hold those of another, which asks for no more."""
        shared = {
            'score_thr': 0,
            'batch_size': 0,
            'gpu_ids': [],
            'world_size': 0,
            'workers': 0,
            'log_level': '',
            'mining': None,
            'masks': False,
            'ray_address': '',
            'block_size': 0,
        }
        if other.mining not in (None, self.mining) or other.masks and not self.masks:
            return False
        return self.score_thr <= other.score_thr and replace(self, **shared) == replace(other, **shared)

    def continued_by(self, other: 'PredictionPlan') -> bool:
        """Return whether another plan gives the same predictions, so that it can go on with what this one left.

        Machines may differ in cores, for the number of processes that began is kept; GPUs must be as many. On a GPU
        the size of a batch counts, as it changes boxes by rounding.
        """
        return len(self.gpu_ids) == len(other.gpu_ids) and self._as_decided() == other._as_decided()

    def _as_decided(self) -> 'PredictionPlan':
        """Return the plan without what changes no prediction and not which images a process has."""
        free = {'workers': 0, 'log_level': '', 'gpu_ids': [], 'ray_address': ''}
        if not self.gpu_ids:
            free.update(world_size=0, batch_size=0)
        return replace(self, **free)

    def key(self) -> str:
        """Return a hash of what decides the predictions and which images belong together."""
        values = json.dumps([len(self.gpu_ids), asdict(self._as_decided())], sort_keys=True)
        return hashlib.sha256(values.encode('ascii')).hexdigest()

    def with_processes(self, world_size: int) -> 'PredictionPlan':
        """Return the plan for another number of processes."""
        return replace(self, world_size=world_size)

    def save(self, path: Path) -> None:
        """Write the plan as JSON, whole or not at all."""
        temporary = path.with_name(f'{path.name}.tmp')
        temporary.write_text(json.dumps(asdict(self)), encoding='ascii')
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> 'PredictionPlan':
        """Read what `save` wrote."""
        return cls.of(json.loads(path.read_text(encoding='ascii')))

    @classmethod
    def of(cls, values: dict[str, Any]) -> 'PredictionPlan':
        """Make a plan of its fields as JSON holds them."""
        size = values['image_size']
        return cls(**{**values, 'image_size': tuple(size) if size else None})


def predicting_processes(num_images: int) -> int:
    """Return how many processes predict where there is no GPU.

    Args:
        num_images: How many images there are.
    """
    return cpu_processes(min(available_cpus(), MAX_CPU_PROCESSES, 1 + num_images // IMAGES_PER_CPU_PROCESS))


def block_size(num_images: int) -> int:
    """Return how many images a machine of a cluster predicts together; the same for any cluster.

    Args:
        num_images: How many images there are.
    """
    return min(max(num_images // BLOCKS, LEAST_BLOCK), MOST_BLOCK)


def make_plan(
    params: PredictionSettings,
    source: str,
    num_images: int,
    models_dir: str,
    score_thr: float,
    mining: MiningSettings | None = None,
    masks: bool = False,
) -> PredictionPlan:
    """Decide what to predict and with how many processes.

    Args:
        params: Of the task.
        source: What lists the images.
        num_images: How many images there are.
        models_dir: Where model files with relative paths lie.
        score_thr: The lowest score that anyone needs.
        mining: For embeddings and what an algorithm measures, besides boxes.
        masks: Whether the mask of each object is wanted too.

    Returns:
        The plan.

    Raises:
        TaskError: ModelError without weights, SettingError for a Ray cluster without Ray.
    """
    if params.ray_address:
        check_ray(params.ray_address)
    model = choose_inference_model(params.model_params_path, models_dir)
    size = params.img_size
    if isinstance(size, int):
        size = (size, size) if size else None
    if params.gpu_ids:
        world_size, workers = len(params.gpu_ids), params.workers_per_gpu
        if workers == 'auto':
            workers = DEFAULT_WORKERS
        batch_size = params.samples_per_gpu
    else:
        world_size = predicting_processes(num_images)
        workers, batch_size = 0, CPU_BATCH
    if params.ray_address:  # its machines have their own cores and GPUs
        world_size = 1
    return PredictionPlan(
        source=source,
        num_images=num_images,
        checkpoint=str(model.checkpoint),
        config=str(model.config) if model.config else None,
        class_names=params.class_names,
        score_thr=score_thr,
        iou_thr=params.iou_threshold,
        image_size=size,
        precision=params.precision,
        batch_size=batch_size,
        gpu_ids=params.gpu_ids,
        world_size=world_size,
        workers=workers,
        log_level=params.log_level,
        mining=mining.model_dump(mode='json', exclude={'ray_address'}) if mining else None,
        engine=usable_engine(params.engine, params.gpu_ids, params.precision),
        masks=masks,
        ray_address=params.ray_address,
        block_size=block_size(num_images) if params.ray_address else 0,
    )
