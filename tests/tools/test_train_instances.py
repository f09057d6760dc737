"""Instance models learn a few drawn images by heart from the command line: masks, not only boxes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from tests.tools.running import run_tool

ROOT = Path(__file__).resolve().parents[2]
SIDE = 160
CLASSES = ('round', 'cornered')
# x, y of the middle, radius, corners (0: a circle), degrees it is turned by; of each image.
SHAPES = (
    ((45, 50, 32, 0, 0), (110, 105, 38, 3, 10)),
    ((110, 45, 34, 4, 30), (45, 110, 36, 3, 70)),
    ((50, 45, 30, 3, 40), (108, 108, 40, 0, 0)),
    ((112, 48, 33, 0, 0), (48, 112, 36, 4, 12)),
)
TRAININGS = {
    'rtmdet/rtmdet-ins_tiny_syncbn_fast_8xb32-300e_coco': {'lr': 0.002, 'epochs': 150},
    'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance': {'lr': 0.004, 'epochs': 300},
}

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(3600)]


def outline(x, y, radius, corners, degrees):
    """(n, 2) points of a shape."""
    angles = np.radians(degrees) + np.linspace(0, 2 * np.pi, corners or 60, endpoint=False)
    return np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)


def write_images(folder):
    """Draws shapes on noise; a mask covers 47 to 78 % of its box."""
    images, annotations = [], []
    for number, shapes in enumerate(SHAPES):
        rng = np.random.default_rng(number)
        image = rng.integers(60, 110, (SIDE, SIDE, 3), dtype=np.uint8)
        for shape in shapes:
            points = outline(*shape)
            colour = rng.integers(140, 255, 3).tolist()
            cv2.fillPoly(image, [points.round().astype(np.int32)], colour)
            low, size = points.min(0), np.ptp(points, 0)
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': number,
                    'category_id': 1 + (shape[3] > 0),
                    'bbox': [*low.tolist(), *size.tolist()],
                    'area': cv2.contourArea(points.astype(np.float32)),
                    'iscrowd': 0,
                    'segmentation': [points.flatten().tolist()],
                }
            )
        name = f'{number}.png'
        cv2.imwrite(str(folder / name), image)
        images.append({'id': number, 'file_name': name, 'width': SIDE, 'height': SIDE})
    categories = [{'id': 1 + index, 'name': name} for index, name in enumerate(CLASSES)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (folder / 'coco.json').write_text(json.dumps(content))


def shrink(node):
    """Make images of a pipeline as small as the drawn ones; all sizes in it are those of 640 x 640 or of its double."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ('scale', 'img_scale', 'size', 'crop_size'):
                node[key] = tuple(side * SIDE // 640 for side in value)
            elif key == 'border':
                node[key] = tuple(side * SIDE // 640 for side in value)
            else:
                shrink(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            shrink(value)


def small_config(name, folder, lr, epochs):
    """The config with its own pipelines, losses and metrics, for the drawn images and a short run."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.model.backbone.pop('init_cfg', None)
    cfg.model.bbox_head.head_module.num_classes = len(CLASSES)
    if 'assigner' in (cfg.model.get('train_cfg') or {}):
        cfg.model.train_cfg.assigner.num_classes = len(CLASSES)
    last = [hook for hook in cfg.custom_hooks if 'switch_pipeline' in hook]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=f'{folder}/', ann_file='coco.json', data_prefix={'img': ''}, metainfo={'classes': CLASSES}
        )
        loader.dataset.pop('batch_shapes_cfg', None)
        shrink(loader.dataset.pipeline)
    shrink(last)
    for hook in last:
        hook.switch_epoch = epochs // 3
    cfg.custom_hooks = last  # an average of weights needs a longer run
    # Every image four times, so that an epoch has several steps.
    cfg.train_dataloader.dataset = {'type': 'RepeatDataset', 'times': 4, 'dataset': cfg.train_dataloader.dataset}
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = f'{folder}/coco.json'
    cfg.train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': epochs, 'val_interval': epochs}
    cfg.default_hooks.checkpoint.interval = epochs
    cfg.default_hooks.param_scheduler = {'type': 'ParamSchedulerHook'}
    cfg.param_scheduler = [
        {'type': 'LinearLR', 'start_factor': 0.01, 'by_epoch': False, 'begin': 0, 'end': 40},
        {'type': 'CosineAnnealingLR', 'eta_min': lr / 50, 'T_max': epochs, 'convert_to_iter_based': True},
    ]
    cfg.optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': lr, 'weight_decay': 0.0001}}
    cfg.randomness = {'seed': 0}
    return cfg


def measured(work):
    """What the validation at the end of the run gave."""
    lines = [json.loads(line) for file in work.glob('*/vis_data/*.json') for line in file.read_text().splitlines()]
    return next(line for line in lines if 'coco/segm_mAP' in line)


@pytest.mark.parametrize('name', TRAININGS)
def test_masks_are_learnt(name, tmp_path):
    write_images(tmp_path)
    small_config(name, tmp_path, **TRAININGS[name]).dump(tmp_path / 'small.py')
    run_tool('train', tmp_path / 'small.py', '--work-dir', tmp_path / 'work', cwd=tmp_path, timeout=3600)
    found = measured(tmp_path / 'work')
    assert found['coco/segm_mAP'] > 0.8 and found['coco/bbox_mAP'] > 0.5
