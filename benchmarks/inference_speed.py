"""Images per second from JPEG files to boxes, of the executor and of a loop of one `inference_detector` call per image.

    python benchmarks/inference_speed.py [--images 200] [--size 640] [--config CONFIG] [--trained WEIGHTS CONFIG]

All run the same random but seeded model, whose scores and boxes are spread as a trained one's, in fp32 on the CPU, over
the same files, in one go. None is charged for importing libraries and loading the model. Boxes above 0.2 are compared,
each box of the loop, or of torch, with that of its class nearest to it. The second table has a row for each engine that
is installed, in one thread, as each process of the executor runs it, by processor time and in turn with the others.
Random weights make more of rounding than trained ones: `--trained` names a model for that table.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmyolo.registry import MODELS
from mmyolo.tools.random_weights import calibrate_batch_norms, set_score_distribution, temper_boxes
from mmyolo.utils import register_all_modules
from tmi.families.dense_predictor import DensePredictor, Normalize
from tmi.families.image_size import pixel_transforms
from tmi.inference.engines import installed_engines
from tmi.inference.engines.choice import as_array, export_network
from tmi.inference.engines.sessions import SESSIONS, Session
from tmi.inference.images import Letterbox
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.inference.plan import make_plan
from tmi.inference.run import predict
from tmi.inference.shards import Prediction
from tmi.zoo.weights import InferenceModel
from ymir.params import InferParams, load_params
from ymir_local.demo.sample_data import generate

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'
CLASS_NAMES = ['a', 'b', 'c', 'd', 'e']
SCORE_THR = 0.2
WARM_UP = 10
PASSES = 8


def make_model(folder: Path, config: str, size: int, images: list[str], **above: float) -> tuple[Path, Path]:
    """Write config and checkpoint of the seeded model, with so many boxes `above` a score; returns their paths."""
    cfg = Config.fromfile(config)
    cfg.model.bbox_head.head_module.num_classes = len(CLASS_NAMES)
    cfg.model.train_cfg = None
    cfg.model.test_cfg.nms.iou_threshold = load_params(InferParams, {'class_names': ['a']}).iou_threshold
    for step in cfg.test_dataloader.dataset.pipeline:
        if 'scale' in step:
            step.scale = (size, size)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    letterbox = Letterbox(pixel_transforms(cfg.test_dataloader.dataset.pipeline))
    pixels = torch.stack([torch.from_numpy(letterbox(0, path)[1]) for path in images[:8]])
    inputs = Normalize(model.data_preprocessor)(pixels)
    calibrate_batch_norms(model, inputs)
    set_score_distribution(model, inputs, **above)
    temper_boxes(model, inputs)
    cfg.dump(folder / 'model.py')
    meta = {'dataset_meta': {'classes': tuple(CLASS_NAMES)}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'model.pth')
    return folder / 'model.pth', folder / 'model.py'


Boxes = dict[str, list[tuple[list[float], float, int]]]


def run_loop(checkpoint: Path, config: Path, images: list[str]) -> tuple[float, Boxes]:
    """One call per image; returns images/s and the boxes of each."""
    cfg = Config.fromfile(config)
    model = init_detector(cfg, str(checkpoint), device='cpu', palette='random')
    found: Boxes = {}
    for number, path in enumerate(images):
        if number == WARM_UP:
            start = time.perf_counter()
        instances = inference_detector(model, path).pred_instances
        instances = instances[instances.scores > SCORE_THR]
        found[path] = list(zip(instances.bboxes.tolist(), instances.scores.tolist(), instances.labels.tolist()))
    return (len(images) - WARM_UP) / (time.perf_counter() - start), found


def run_predictor(folder: Path, checkpoint: Path, config: Path, images: list[str]) -> tuple[float, float, Boxes]:
    """Run the executor's inference; return images/s from the first batch on, seconds in all and the boxes."""
    params = load_params(InferParams, {'class_names': CLASS_NAMES, 'model_params_path': [str(checkpoint), str(config)]})
    plan = make_plan(params, 'benchmark', len(images), str(folder), SCORE_THR)
    marks: list[tuple[float, int]] = []

    def on_progress(done: int) -> None:
        if done >= WARM_UP and (not marks or done > marks[-1][1]):
            marks.append((time.perf_counter(), done))

    start = time.perf_counter()
    predictions: list[Prediction] = list(predict(plan, images, folder / 'predictions', on_progress))
    seconds = time.perf_counter() - start
    speed = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
    return speed, seconds, {item.path: list(zip(item.boxes, item.scores, item.labels)) for item in predictions}


def run_bare_forward(checkpoint: Path, config: Path, size: int, seconds: float = 5) -> float:
    """Return the network alone on all cores, image by image, made ready as the predictor does; returns images/s."""
    model = build_model(read_package(InferenceModel(checkpoint, config)), CLASS_NAMES)
    model = DensePredictor(model, torch.device('cpu'), SCORE_THR, 0.65).model
    image = torch.rand(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    count, start = -3, time.perf_counter()  # warm-up
    with torch.inference_mode():
        while count <= 0 or time.perf_counter() - start < seconds:
            if count == 0:
                start = time.perf_counter()
            model.bbox_head(model.extract_feat(image))
            count += 1
    return count / (time.perf_counter() - start)


def seconds_of(run: Callable[[], object]) -> float:
    """Return the processor time of a call in one thread: what else the machine does changes it little."""
    start = time.process_time()
    run()
    return time.process_time() - start


def time_networks(network: nn.Module, inputs: Tensor, sessions: dict[str, Session]) -> dict[str, float]:
    """Return images/s of the network alone, by torch and by each engine, pass by pass in turn."""
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    array = inputs.contiguous().numpy()
    runs = {'torch': partial(network, inputs), **{name: partial(run, array) for name, run in sessions.items()}}
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(2 + PASSES):
            for name, run in runs.items():
                times[name].append(seconds_of(run))
    return {name: len(inputs) / median(seconds[2:]) for name, seconds in times.items()}


def engine_table(folder: Path, checkpoint: Path, config: Path, size: int, images: list[str]) -> Table:
    """Return a row per engine, all in one thread: the network alone, from files to boxes, and how boxes differ."""
    torch.set_num_threads(1)
    package = read_package(InferenceModel(checkpoint, config))
    predictor = DensePredictor(build_model(package, package.class_names), torch.device('cpu'), SCORE_THR, 0.65)
    letterbox = Letterbox(pixel_transforms(package.pipeline, (size, size)))
    network, file = predictor.network(with_features=False), folder / 'network.onnx'
    inputs = torch.rand(8, 3, size, size)
    export_network(network, inputs[:1], file)
    sessions = {engine: SESSIONS[engine](file, 1) for engine in installed_engines()}
    networks = [time_networks(network, inputs[:batch], sessions) for batch in (1, 8)]
    times: dict[str, list[float]] = {engine: [] for engine in networks[0]}
    boxes: dict[str, Boxes] = {engine: {} for engine in times}

    def predict(engine: str, path: str) -> None:
        session = sessions.get(engine)
        predictor.engine = session and (lambda inputs: list(map(torch.from_numpy, session(as_array(inputs)))))
        image, pixels = letterbox(0, path)
        (found,) = predictor.predict(torch.from_numpy(pixels)[None], [image.meta])
        boxes[engine][path] = list(zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist()))

    for path in images:
        for engine, seconds in times.items():
            seconds.append(seconds_of(partial(predict, engine, path)))
    table = Table(title=f'{config.stem}, {size} px, images/s of one thread; in brackets beside torch')
    table.add_column('engine')
    for column in ('network, batch 1', 'network, batch 8', 'files to boxes', 'boxes', 'without partner', 'difference'):
        table.add_column(column, justify='right')
    speeds = [*networks, {engine: 1 / median(seconds) for engine, seconds in times.items()}]
    for engine, found in boxes.items():
        count, lost, difference, _ = compare(found, boxes['torch'])
        cells = [f'{one[engine]:.1f} ({one[engine] / one["torch"]:.2f})' for one in speeds]
        table.add_row(engine, *cells, f'{count}', f'{lost}', f'{difference:.4f} px')
    return table


def compare(ours: Boxes, theirs: Boxes) -> tuple[int, int, float, float]:
    """Return boxes of the loop, those without partner, and the largest difference of a coordinate and of a score."""
    count = lost = 0
    box_difference = score_difference = 0.0
    for path, boxes in theirs.items():
        rest = list(ours[path])
        count += len(boxes)
        lost += abs(len(rest) - len(boxes))
        for box, score, label in boxes:
            near = [
                (max(abs(a - b) for a, b in zip(box, other[0])), abs(score - other[1]), other)
                for other in rest
                if other[2] == label
            ]
            if not near:
                lost += 1
                continue
            distance, score_distance, partner = min(near, key=lambda item: item[0] + item[1])
            rest.remove(partner)
            box_difference = max(box_difference, distance)
            score_difference = max(score_difference, score_distance)
    return count, lost, box_difference, score_difference


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=200)
    parser.add_argument('--size', type=int, default=640, help='side of the network input')
    parser.add_argument('--config', default=str(CONFIG))
    parser.add_argument('--trained', nargs=2, type=Path, metavar=('WEIGHTS', 'CONFIG'), help='for the table of engines')
    options = parser.parse_args()
    os.environ['PYTHONPATH'] = str(ROOT)
    register_all_modules()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = generate(folder / 'images', num_images=options.images, size_range=(480, 1280))
        images = [str(item.path) for item in data]
        checkpoint, config = make_model(folder, options.config, options.size, images)
        ours, seconds, our_boxes = run_predictor(folder, checkpoint, config, images)
        bare = run_bare_forward(checkpoint, config, options.size)
        loop, loop_boxes = run_loop(checkpoint, config, images)
        engines = engine_table(folder, *(options.trained or (checkpoint, config)), options.size, images)
    count, lost, box_difference, score_difference = compare(our_boxes, loop_boxes)
    table = Table(
        title=f'{Path(options.config).stem}, {options.size} px, fp32, {options.images} JPEG files, '
        f'{len(os.sched_getaffinity(0))} cores'
    )
    for column in ('', 'images/s'):
        table.add_column(column, justify='left' if not column else 'right')
    table.add_row('loop of inference_detector', f'{loop:.2f}')
    table.add_row('predictor', f'{ours:.2f}')
    table.add_row('ratio', f'{ours / loop:.2f}')
    table.add_row('bare forward of the network', f'{bare:.2f}')
    table.add_row('whole task of the predictor, seconds', f'{seconds:.1f}')
    table.add_row(f'boxes above {SCORE_THR:g}', f'{count}')
    table.add_row('boxes without partner', f'{lost}')
    table.add_row('largest difference of a coordinate, pixels', f'{box_difference:.4f}')
    table.add_row('largest difference of a score', f'{score_difference:.6f}')
    Console().print(table)
    Console().print(engines)


if __name__ == '__main__':
    main()
