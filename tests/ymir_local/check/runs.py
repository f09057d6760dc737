"""Finished runs that obey the contract, to be damaged in one place by a test."""

import json
from pathlib import Path

import yaml

from ymir_local.platform.prepare import Host, ModelStage, prepare_candidates, prepare_training

CLASSES = ('target', 'crate')
NOW = 1700000456
DETECTION_KINDS = ('training', 'mining', 'infer', 'mining+infer')
KINDS = (*DETECTION_KINDS, 'segmentation')


def finish(task, seconds=NOW + 0.125):
    """Writes the last line that an executor writes."""
    task.monitor_file.write_text(f'{task.task_id}\t{seconds}\t1.00\t2\t0\n')
    task.log_file.write_text('all done\n')


def stage_of(name, metric, timestamp):
    return {
        'stage_name': name,
        'files': [f'{name}.pth', 'config.py'],
        'timestamp': timestamp,
        'mAP': metric,
        'mAR': 0.5,
        'tp': 4,
        'fp': 1,
        'fn': 2,
    }


def train(work_dir, images):
    """A finished training of two stages: one with its own folder, one beside result.yaml."""
    task = prepare_training(
        work_dir, CLASSES, images[:2], images[2:4], {'export_format': 'ark:raw'}, host=Host(in_container=True)
    )
    models = task.out_dir / 'models'
    (models / 'epoch_2').mkdir()
    (models / 'attachments/plots').mkdir(parents=True)
    for name in ('epoch_1.pth', 'epoch_2/epoch_2.pth', 'config.py', 'attachments/plots/curve.png'):
        (models / name).write_bytes(b'content')
    write_result(
        task,
        {
            'best_stage_name': 'epoch_2',
            'mAP': 0.4,
            'evaluate_config': {'conf_thr': 0.005, 'iou_thr': 0.5},
            'attachments': {'plots': ['curve.png']},
            'model_stages': {'epoch_1': stage_of('epoch_1', 0.3, NOW), 'epoch_2': stage_of('epoch_2', 0.4, NOW + 9)},
        },
    )
    (task.out_dir / 'tensorboard/events.out.tfevents.1').write_bytes(b'events')
    finish(task)
    return task


def write_result(task, result):
    (task.out_dir / 'models/result.yaml').write_text(yaml.safe_dump(result))


def detect(work_dir, images, mining=False, infer=False):
    """A finished mining, inference or both over two images; the second has no objects."""
    model = work_dir.parent / 'model.pth'
    model.write_bytes(b'content')
    stage = ModelStage('best', (model,), {'class_names': list(CLASSES)})
    task = prepare_candidates(
        work_dir,
        [image.path for image in images[:2]],
        stage,
        {},
        mining=mining,
        infer=infer,
        host=Host(in_container=True),
    )
    paths = (task.in_dir / 'candidate-index.tsv').read_text().splitlines()
    if mining:
        (task.out_dir / 'result.tsv').write_text(f'{paths[1]}\t0.75\n{paths[0]}\t0.5\n')
    if infer:
        boxes = [
            {'class_name': 'Crate ', 'score': 0.9, 'box': {'x': 3, 'y': 4, 'w': 20, 'h': 10}},
            {'class_name': 'target', 'score': 0.2, 'box': {'x': 5, 'y': 6.0, 'w': '7', 'h': 8, 'rotate_angle': 0.0}},
        ]
        write_json(task, {'detection': {Path(paths[0]).name: {'boxes': boxes}, Path(paths[1]).name: {'boxes': []}}})
    finish(task)
    return task


def write_json(task, value):
    (task.out_dir / 'infer-result.json').write_text(json.dumps(value))


def segment(work_dir, images):
    """A finished inference of instance segmentation."""
    task = detect(work_dir, images, infer=True)
    config = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump(dict(config, object_type=4)))
    names = [Path(line).name for line in (task.in_dir / 'candidate-index.tsv').read_text().splitlines()]
    write_json(
        task,
        {
            'images': [
                {'id': number, 'file_name': name, 'width': 64, 'height': 64} for number, name in enumerate(names, 1)
            ],
            'categories': [{'id': number, 'name': name} for number, name in enumerate(CLASSES, 1)],
            'annotations': [
                {
                    'id': 1,
                    'image_id': 1,
                    'category_id': 2,
                    'bbox': [1, 2, 30.5, 40],
                    'area': 900,
                    'confidence': 0.7,
                    'iscrowd': 0,
                    'segmentation': {'size': [64, 64], 'counts': 'abc'},
                },
                {'id': 2, 'image_id': 1, 'category_id': 2, 'bbox': [9, 2, 30, 40], 'area': 900, 'confidence': 0.6},
            ],
        },
    )
    return task


def make(kind, work_dir, images):
    """Gives a good run of a kind."""
    if kind == 'training':
        return train(work_dir, images)
    if kind == 'segmentation':
        return segment(work_dir, images)
    return detect(work_dir, images, mining='mining' in kind, infer='infer' in kind)
