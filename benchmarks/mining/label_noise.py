"""How many spoilt labels the check of labels finds, on generated scenes, with a training as of the template.

    python benchmarks/mining/label_noise.py --out FOLDER [--seeds 0 1 2] [--scenes clear|crowded] [--quick]

For each seed 400 scenes are drawn and 5 % of their boxes spoilt, in equal parts: the class swapped, the box dropped,
moved by half its size, or invented. The executor trains on 320 of them and validates on 80; then the model looks at all
400. What is spoilt, labels and predictions are kept in FOLDER/seed_N.json, so that another run only scores.

The table says, of as many entries as boxes were spoilt, how many name a spoilt box, each counted once, and what share
of each kind of damage is among them. An entry names a spoilt box when it is about this very label; a dropped one when
it is of the kind 'missing' and the predicted box overlaps it by an IoU of 0.5.
"""

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from tmi.inference.shards import Prediction
from tmi.labels.check import MISSING, Doubt, check_labels
from tmi.mining.matching import iou_matrix
from tmi.training.data import TrainingData
from tmi.training.examination import ChosenImages, ExaminedImage, Labels, examine
from ymir.params import TrainingParams, load_params
from ymir_local.demo.sample_data import CLASS_NAMES, generate
from ymir_local.platform.labels import LabelledBox, LabelledImage
from ymir_local.platform.prepare import ModelStage, Task, asset_id, hyper_parameters, prepare_training
from ymir_local.platform.run import run_as_process

NUM_IMAGES = 400
VALIDATION_SHARE = 0.2
SPOILT_SHARE = 0.05
SWAPPED, DROPPED, SHIFTED, INVENTED = DAMAGES = ('swapped', 'dropped', 'shifted', 'invented')
SCENES = {
    'clear': {'num_classes': 5, 'objects_range': (1, 6), 'scale_range': (0.15, 0.45), 'clutter': 8},
    'crowded': {'num_classes': 8, 'objects_range': (0, 9), 'scale_range': (0.08, 0.4), 'clutter': 16},
}
SIDES = (192, 288)  # of an image, in pixels
# What differs from the template (640 pixels, 100 epochs, 4 loaders), so that one CPU core trains in ten minutes.
TRAINING = {'img_size': 192, 'max_epochs': 40, 'val_interval': 5, 'workers_per_gpu': 0}
QUICK = {'img_size': 192, 'max_epochs': 20, 'val_interval': 5, 'workers_per_gpu': 1}
MATCH_IOU = 0.5
FEWEST_HITS, FEWEST_OF_KIND = 0.6, 0.7  # what is expected: of all entries; of the swapped and of the dropped
Row = list[int]  # class, x, y, w, h


def spoil(
    images: Sequence[LabelledImage], num_classes: int, rng: np.random.Generator
) -> tuple[list[LabelledImage], list[dict[str, Any]]]:
    """Damage a share of the labels.

    Args:
        images: With true labels.
        num_classes: Of the scenes.
        rng: Decides which labels and how.

    Returns:
        The images with damaged labels; and of each damage the position of its `image`, its `kind` and its `box`: the
        damaged label, or the dropped one.
    """
    places = [(k, j) for k, image in enumerate(images) for j in range(len(image.boxes))]
    boxes: list[list[LabelledBox | None]] = [list(image.boxes) for image in images]
    damages = []
    for number, chosen in enumerate(rng.permutation(len(places))[: round(SPOILT_SHARE * len(places))]):
        k, j = places[chosen]
        kind, box = DAMAGES[number % len(DAMAGES)], images[k].boxes[j]
        if kind == SWAPPED:
            others = [label for label in range(num_classes) if label != box.class_index]
            spoilt = boxes[k][j] = replace(box, class_index=int(rng.choice(others)))
        elif kind == DROPPED:
            spoilt, boxes[k][j] = box, None
        elif kind == SHIFTED:
            spoilt = boxes[k][j] = _shifted(box, images[k], rng)
        else:
            k = int(rng.integers(len(images)))
            spoilt = _invented(box, images[k], boxes[k], num_classes, rng)
            boxes[k].append(spoilt)
        damages.append({'image': k, 'kind': kind, 'box': _row(spoilt)})
    kept = (tuple(box for box in row if box is not None) for row in boxes)
    return [replace(image, boxes=row) for image, row in zip(images, kept)], damages


def _shifted(box: LabelledBox, image: LabelledImage, rng: np.random.Generator) -> LabelledBox:
    """Move a box by half its width or height to a random side with room for it."""
    moves = [(box.w // 2, 0), (-(box.w // 2), 0), (0, box.h // 2), (0, -(box.h // 2))]
    for dx, dy in (moves[k] for k in rng.permutation(4)):
        if 0 <= box.x + dx <= image.width - box.w and 0 <= box.y + dy <= image.height - box.h:
            return replace(box, x=box.x + dx, y=box.y + dy)
    raise ValueError('an object is larger than half its image')


def _invented(
    like: LabelledBox,
    image: LabelledImage,
    labels: Sequence[LabelledBox | None],
    num_classes: int,
    rng: np.random.Generator,
) -> LabelledBox:
    """Return a box of the size of another and of any class, at a place where little or nothing is labelled."""
    w, h = min(like.w, image.width - 1), min(like.h, image.height - 1)
    tries = [
        LabelledBox(
            int(rng.integers(num_classes)),
            int(rng.integers(image.width - w)),
            int(rng.integers(image.height - h)),
            w,
            h,
        )
        for _ in range(50)
    ]
    taken = _corners([_row(box) for box in [*image.boxes, *filter(None, labels)]])
    overlaps = iou_matrix(_corners([_row(box) for box in tries]), taken).max(axis=1, initial=0.0)
    return tries[int((overlaps > 0.1).argmin())]  # the first that is free; else the first


def _row(box: LabelledBox) -> Row:
    return [box.class_index, box.x, box.y, box.w, box.h]


def _corners(rows: Sequence[Row]) -> np.ndarray:
    """Return (n, 4) xyxy."""
    boxes = np.array(rows, float).reshape(-1, 5)[:, 1:]
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def study(folder: Path, seed: int, scenes: str, training: dict[str, Any]) -> dict[str, Any]:
    """Draw and spoil the scenes, train on them and let the model look at them.

    Args:
        folder: For everything that is written.
        seed: Of scenes, damage and training.
        scenes: Which, of `SCENES`.
        training: Hyper-parameters that differ from the template's.

    Returns:
        What `score` needs, as JSON has it.
    """
    settings = SCENES[scenes]
    names = CLASS_NAMES[: settings['num_classes']]
    clean = generate(folder / 'images', num_images=NUM_IMAGES, seed=seed, size_range=SIDES, **settings)
    images, damages = spoil(clean, len(names), np.random.default_rng((seed, 1)))
    num_train = NUM_IMAGES - round(VALIDATION_SHARE * NUM_IMAGES)
    edits = hyper_parameters('training', {**training, 'seed': seed})
    task = prepare_training(folder / 'training', names, images[:num_train], images[num_train:], edits)
    run_as_process(task).raise_for_failure('training')
    model = ModelStage.of_training(task)
    place = {asset_id(image.path): k for k, image in enumerate(images)}
    found = [(place[Path(path).stem], path, values) for path, values in _look(task, model, folder / 'predictions')]
    return {
        'seed': seed,
        'mAP': model.metric,
        'num_train': num_train,
        'class_names': names,
        'damages': damages,
        'labels': [[_row(box) for box in image.boxes] for image in images],
        'sizes': [[image.width, image.height] for image in images],
        'predictions': [values for _, _, values in sorted(found)],
    }


def _look(task: Task, model: ModelStage, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and prediction of each image, by the pass that follows a training."""
    data = [task.out_dir / 'ymir_dataset' / f'ymir_{part}.json' for part in ('train', 'val')]
    files = [file for file in model.files if file.suffix in ('.pth', '.py')]
    params = load_params(TrainingParams, yaml.safe_load((task.in_dir / 'config.yaml').read_text()))
    chosen = ChosenImages(TrainingData(*data, ()))
    for _, _, prediction in examine(params, files, chosen, folder, lambda done: None):
        names = ('boxes', 'scores', 'labels', 'support', 'spread')
        yield prediction.path, {name: list(getattr(prediction, name)) for name in names}
    shutil.rmtree(folder)


def examined(content: dict[str, Any]) -> list[ExaminedImage]:
    """Return what the model saw in the scenes of a study; the path of an image is its position."""
    images = []
    for k, (rows, size, values) in enumerate(zip(content['labels'], content['sizes'], content['predictions'])):
        labels = Labels(_corners(rows), np.array([row[0] for row in rows], int), np.zeros(len(rows), bool))
        images.append(ExaminedImage(k < content['num_train'], labels, Prediction(k, str(k), size, **values)))
    return images


def score(content: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Return which share of as many entries as boxes were spoilt is about different spoilt boxes, and which share of
    each kind of damage is among them.

    Args:
        content: What `study` gives.
    """
    damages = content['damages']
    doubts = check_labels(examined(content), len(content['class_names']), least=0.0)[: len(damages)]
    found = [any(_names(doubt, damage) for doubt in doubts) for damage in damages]
    kinds = np.array([damage['kind'] for damage in damages])
    return sum(found) / len(damages), {kind: float(np.mean(np.array(found)[kinds == kind])) for kind in DAMAGES}


def _names(doubt: Doubt, damage: dict[str, Any]) -> bool:
    if int(doubt.path) != damage['image'] or (doubt.kind == MISSING) != (damage['kind'] == DROPPED):
        return False
    box = _corners([damage['box']])
    if doubt.kind == MISSING:
        return bool(iou_matrix(np.array([doubt.prediction.xyxy]), box)[0, 0] >= MATCH_IOU)
    return doubt.label.label == damage['box'][0] and np.array_equal(doubt.label.xyxy, box[0])


def print_table(console: Console, contents: Sequence[dict[str, Any]]) -> None:
    """Print what was found, by seed and on average."""
    table = Table(title='Spoilt labels found, of as many entries as boxes were spoilt')
    for name in ('seed', 'mAP', 'spoilt', 'found', *DAMAGES):
        table.add_column(name, justify='right')
    scores = [score(content) for content in contents]
    for content, (hits, kinds) in zip(contents, scores):
        shares = [f'{value:.2f}' for value in (hits, *kinds.values())]
        table.add_row(str(content['seed']), f'{content["mAP"]:.3f}', str(len(content['damages'])), *shares)
    means = np.mean([(hits, *kinds.values()) for hits, kinds in scores], axis=0)
    table.add_row('mean', '', '', *(f'{value:.2f}' for value in means))
    console.print(table)
    holds = all(hits >= FEWEST_HITS and min(kinds[SWAPPED], kinds[DROPPED]) >= FEWEST_OF_KIND for hits, kinds in scores)
    console.print(
        f'{"Holds" if holds else "Does not hold"} for each seed: at least {FEWEST_HITS:.0%} of the entries, at least '
        f'{FEWEST_OF_KIND:.0%} of the swapped and of the dropped.',
        highlight=False,
    )


def main() -> None:
    """Read the command line, train what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for everything that is written')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--scenes', choices=SCENES, default='clear')
    parser.add_argument('--quick', action='store_true', help='one short training: five minutes on two cores')
    options = parser.parse_args()
    console = Console()
    contents = []
    for seed in options.seeds[:1] if options.quick else options.seeds:
        file = options.out / f'seed_{seed}.json'
        if not file.exists():
            folder = options.out / f'seed_{seed}'
            shutil.rmtree(folder, ignore_errors=True)
            content = study(folder, seed, options.scenes, QUICK if options.quick else TRAINING)
            file.write_text(json.dumps(content))
        contents.append(json.loads(file.read_text()))
    print_table(console, contents)


if __name__ == '__main__':
    main()
