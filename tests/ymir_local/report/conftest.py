import pytest

from tests.ymir_local.report import runs
from ymir_exc.training_summary import TrainingSummary, write_training_summary


@pytest.fixture
def inference(tmp_path, images, class_names):
    """A finished inference whose predictions are the labels: the first moved off, the second of another class."""
    objects = [
        [(class_names[box.class_index], 0.9, box.x, box.y, box.w, box.h) for box in image.boxes] for image in images
    ]
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], class_names)
    runs.write_detections(task, objects)
    runs.finish(task)
    return task


@pytest.fixture
def training(tmp_path, images, class_names):
    task = runs.training(tmp_path / 'training', images, class_names, {'model_name': 'yolov8_s', 'max_epochs': 30})
    runs.write_events(
        task,
        {
            'loss': [(k, 10 / k) for k in range(1, 41)],
            'loss_cls': [(k, 4 / k) for k in range(1, 41)],
            'lr': [(k, 0.01 / k) for k in range(1, 41)],
            'coco/bbox_mAP': [(5, 0.1), (10, 0.25), (15, 0.2)],
            'coco/bbox_mAP_s': [(5, -1.0)],
        },
    )
    runs.write_stages(task, {'best': 0.25, 'last': 0.2}, 'best')
    runs.finish(task)
    write_training_summary(
        task.out_dir,
        TrainingSummary(
            model='yolov8_s',
            class_names=list(class_names),
            recipe=[['model', 'yolov8_s (x)'], ['warm-up', '50 steps']],
            data=[['images used', 3, 3], ['width (min, median, max)', '64, 64, 64', '']],
            class_objects=[[3, 4], [5, 6], [7, 0]],
            environment=[['Python', '3.11.7'], ['PyTorch', '2.13.0']],
            best_epoch=10,
            best_metrics={'mAP': 0.25},
            best_class_ap=[0.375, 0.125, None],
            throughput={'waiting_share': 0.414, 'workers': 4, 'workers_needed': 7, 'images_per_second': 182.5},
        ),
    )
    return task
