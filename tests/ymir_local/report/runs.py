"""Work directories of finished runs, written without an executor."""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from ymir_exc.label_check import KINDS, LABELS_TO_CHECK_FILE, LabelToCheck, write_labels_to_check
from ymir_exc.mining_summary import LABELLED, MAX_FIRST, FirstImage, MiningSummary, PoolMap, write_mining_summary
from ymir_exc.reading import read_index
from ymir_local.platform.labels import Dataset, LabelledImage
from ymir_local.platform.prepare import ModelStage, Task, hyper_parameters, prepare_candidates, prepare_training

Object = tuple[str, float, int, int, int, int]  # class name, score, x, y, w, h


def dataset(images: Sequence[LabelledImage], class_names: Sequence[str]) -> Dataset:
    return Dataset(tuple(class_names), {'all': tuple(images)})


def candidates(work_dir: Path, paths: Sequence[Path], class_names: Sequence[str], mining: bool = False) -> Task:
    weights = work_dir.parent / 'weights.pth'
    weights.write_bytes(b'0')
    model = ModelStage('best', (weights,), {'class_names': list(class_names)})
    return prepare_candidates(work_dir, paths, model, mining=mining, infer=True)


def finish(
    task: Task, percent: float = 1.0, state: int = 2, code: int = 0, message: str = '', log: str = 'done\n'
) -> None:
    columns = [
        task.task_id,
        f'{time.time():.6f}',
        f'{percent:.2f}',
        str(state),
        str(code),
        *([message] if message else []),
    ]
    task.monitor_file.write_text(
        '\t'.join(columns) + '\n' + ('Traceback\n  File x\n' if code else ''), encoding='utf-8'
    )
    task.log_file.write_text(log, encoding='utf-8')


def write_detections(task: Task, objects: Sequence[Sequence[Object]]) -> None:
    """Writes the objects of each candidate, in the order of the index."""
    assets = (task.in_dir / 'candidate-index.tsv').read_text().split()
    detection = {
        Path(asset).name: {
            'boxes': [
                {'class_name': name, 'score': score, 'box': dict(zip('xywh', box))} for name, score, *box in items
            ]
        }
        for asset, items in zip(assets, objects)
    }
    (task.out_dir / 'infer-result.json').write_text(json.dumps({'detection': detection}), encoding='utf-8')


def write_ranking(task: Task, objects: Sequence[Sequence[Object]]) -> None:
    """Ranks the candidates by the entropy of their objects."""
    assets = (task.in_dir / 'candidate-index.tsv').read_text().split()
    scores = [math.fsum(-item[1] * math.log2(item[1]) for item in items) for items in objects]
    rows = sorted(zip(assets, scores), key=lambda row: -row[1])
    (task.out_dir / 'result.tsv').write_text(''.join(f'{asset}\t{score:.7g}\n' for asset, score in rows))


def write_hybrid_ranking(task: Task, objects: Sequence[Sequence[Object]], class_names: Sequence[str]) -> MiningSummary:
    """Ranks the candidates by uncertainty and writes what the algorithm hybrid writes, with a made-up map."""
    assets = (task.in_dir / 'candidate-index.tsv').read_text().split()
    points = np.random.default_rng(0).normal(0, 1, (len(assets), 2))
    points[:, 0] += 6 * (np.arange(len(assets)) % 3 == 0)
    shares = [[-math.log(max(item[1], 1 - item[1])) for item in items] for items in objects]
    order = sorted(range(len(assets)), key=lambda k: -sum(shares[k]))
    total, first = len(assets), []
    for rank, k in enumerate(order[:MAX_FIRST]):
        gaps = np.linalg.norm(points[order[:rank]] - points[k], axis=1) / 10
        nearest = order[int(gaps.argmin())] if rank else None
        first.append(
            FirstImage(
                assets[k],
                sum(shares[k]),
                [[*item[2:], class_names.index(item[0]), item[1], share] for item, share in zip(objects[k], shares[k])],
                min(float(gaps.min()), 1.0) if rank else 0.8,
                assets[nearest] if rank % 5 else LABELLED if rank else None,
                0.6 + 0.4 * math.cos(rank),
                rank % 10 == 9,
            )
        )
    summary = MiningSummary(
        'hybrid',
        ['uncertain images, each unlike those before it, rare classes first', '不确定、彼此不同且偏重稀有类别的图像'],
        {'mining_seed': 0, 'mining_aggregate': 'sum', 'mining_diversity': 1.0},
        total,
        0,
        sum(not items for items in objects),
        total // 5,
        ['No labelled images are known: images are compared with each other alone.'],
        list(class_names),
        first,
        PoolMap(points[order].tolist(), list(range(total))),
    )
    (task.out_dir / 'result.tsv').write_text(
        ''.join(f'{assets[k]}\t{(total - rank) / total:.9g}\n' for rank, k in enumerate(order))
    )
    write_mining_summary(task.out_dir, summary)
    return summary


def jittered(images: Sequence[LabelledImage], class_names: Sequence[str], seed: int = 0) -> list[list[Object]]:
    """Predictions as a fair detector makes them: most right, some shifted, confused, doubled, missed or invented."""
    rng = np.random.default_rng(seed)
    result = []
    for image in images:
        items: list[Object] = []
        for box in image.boxes:
            if rng.random() < 0.15:
                continue
            shift = 0.45 if rng.random() < 0.12 else 0.04
            x, y = (int(start + rng.normal(0, shift) * side) for start, side in ((box.x, box.w), (box.y, box.h)))
            name = (
                class_names[int(rng.integers(len(class_names)))]
                if rng.random() < 0.15
                else class_names[box.class_index]
            )
            items.append((name, round(float(rng.beta(5, 2)), 4), x, y, box.w, box.h))
            if rng.random() < 0.08:
                items.append((name, round(float(rng.beta(2, 2)), 4), x + 2, y + 1, box.w, box.h))
        for _ in range(int(rng.poisson(0.6))):
            w, h = (int(side) for side in rng.integers(8, max(image.width // 3, 10), 2))
            items.append(
                (
                    class_names[int(rng.integers(len(class_names)))],
                    round(float(rng.beta(2, 4)), 4),
                    int(rng.integers(0, max(image.width - w, 1))),
                    int(rng.integers(0, max(image.height - h, 1))),
                    w,
                    h,
                )
            )
        result.append(items)
    return result


def training(
    work_dir: Path,
    images: Sequence[LabelledImage],
    class_names: Sequence[str],
    edits: Mapping[str, object] | None = None,
) -> Task:
    half = max(len(images) // 2, 1)
    return prepare_training(work_dir, class_names, images[:half], images[half:], hyper_parameters('training', edits))


def write_events(task: Task, scalars: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Writes tensorboard events as mmengine does."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str((task.out_dir / 'tensorboard').resolve()))
    for tag, points in scalars.items():
        for step, value in points:
            writer.add_event(
                Event(
                    step=step,
                    wall_time=time.time(),
                    summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]),
                )
            )
    writer.close()


def write_stages(task: Task, stages: dict[str, float], best: str) -> None:
    models = task.out_dir / 'models'
    content = {}
    for name, value in stages.items():
        (models / f'{name}.pth').write_bytes(b'0' * 2048)
        content[name] = {
            'stage_name': name,
            'files': [f'{name}.pth'],
            'timestamp': int(time.time()),
            'mAP': value,
            'mAP_50': value * 1.5,
        }
    (models / 'result.yaml').write_text(
        yaml.safe_dump({'best_stage_name': best, 'mAP': stages[best], 'model_stages': content})
    )


def move_out(task: Task, target: Path) -> Path:
    """Copies `out` alone, as a user does who has lost the rest."""
    shutil.copytree(task.out_dir, target, symlinks=False, ignore_dangling_symlinks=True)
    return target


def label_rows(task: Task, images: Sequence[LabelledImage], class_names: Sequence[str]) -> list[LabelToCheck]:
    """One row of each kind, about the first object of four images; the last is of the validation set."""
    lines = [(part, line) for part in ('train', 'val') for line in read_index(task.in_dir / f'{part}-index.tsv')]
    rows = []
    for kind, image, (part, line) in zip(KINDS, images[-4:], lines[-4:]):
        box = image.boxes[0]
        xywh, name = (box.x, box.y, box.w, box.h), class_names[box.class_index]
        other = class_names[box.class_index - 1] if kind == 'class' else name
        label = ('', None) if kind == 'missing' else (name, xywh)
        found = ('', None) if kind == 'extra' else (other, (box.x + 1, box.y, box.w, box.h))
        part = {'train': 'training', 'val': 'validation'}[part]
        score = 0.9 - 0.2 * len(rows)
        rows.append(LabelToCheck(line.image, part, kind, label[0], found[0], label[1], found[1], score))
    return rows


def store_label_rows(task: Task, rows: Sequence[LabelToCheck], name: str = LABELS_TO_CHECK_FILE) -> Path:
    """Writes labels-to-check.csv and names it in each stage of the result."""
    path = task.out_dir / 'models' / name
    write_labels_to_check(path, rows)
    result = yaml.safe_load((task.out_dir / 'models' / 'result.yaml').read_text())
    for stage in result['model_stages'].values():
        stage['files'].append(name)
    (task.out_dir / 'models' / 'result.yaml').write_text(yaml.safe_dump(result))
    return path
