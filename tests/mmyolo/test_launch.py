"""Launching, test-time augmentation and the helpers of mmyolo.testing."""

import argparse
import os
import subprocess
import sys

import numpy as np
import pytest
from mmengine.config import Config

from mmyolo.testing import get_detector_cfg
from mmyolo.testing._utils import _get_config_directory, _get_config_module, _rand_bboxes
from mmyolo.tools.demo.tta import use_tta
from mmyolo.tools.launch import add_launch_options, config_from_options, use_gloo_without_gpu

YOLOV8 = 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'


def parse(*args):
    parser = argparse.ArgumentParser()
    add_launch_options(parser)
    return parser.parse_args(args)


@pytest.mark.parametrize(
    'args, in_file, expected',
    [
        ((), '', 'work_dirs/tiny'),
        ((), 'work_dir = "here"', 'here'),
        (('--work-dir', 'there'), 'work_dir = "here"', 'there'),
        (('--cfg-options', 'work_dir=elsewhere'), 'work_dir = "here"', 'elsewhere'),
    ],
)
def test_work_dir(tmp_path, args, in_file, expected):
    (tmp_path / 'tiny.py').write_text(in_file)
    assert config_from_options(str(tmp_path / 'tiny.py'), parse(*args)).work_dir == expected


def test_options_change_the_config(tmp_path, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    (tmp_path / 'tiny.py').write_text('a = dict(b=1, c=[1, 2])')
    cfg = config_from_options(
        str(tmp_path / 'tiny.py'), parse('--cfg-options', 'a.b=two words', 'a.c=[(3,4)]', '--local-rank', '3')
    )
    assert cfg.a == {'b': 'two words', 'c': [(3, 4)]}
    assert cfg.launcher == 'none'
    assert os.environ['LOCAL_RANK'] == '3'


def test_processes_without_gpu_meet_over_gloo(monkeypatch):
    joined = []
    monkeypatch.setattr('mmyolo.tools.launch.get_device', lambda: 'cpu')
    monkeypatch.setattr(
        'mmyolo.tools.launch.dist.init_process_group', lambda *args, **kwargs: joined.append((args, kwargs))
    )
    cfg = Config({'launcher': 'pytorch', 'find_unused_parameters': True, 'env_cfg': {'dist_cfg': {'timeout': 60}}})
    use_gloo_without_gpu(cfg)
    assert cfg.model_wrapper_cfg == {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': True,
        'device_ids': None,
    }
    ((args, kwargs),) = joined
    assert args == ('gloo',) and kwargs['timeout'].total_seconds() == 60

    with pytest.raises(ValueError, match="'slurm'.*torchrun"):
        use_gloo_without_gpu(Config({'launcher': 'slurm'}))
    for launcher, device in ('none', 'cpu'), ('pytorch', 'cuda'):
        monkeypatch.setattr('mmyolo.tools.launch.get_device', lambda device=device: device)
        alone = Config({'launcher': launcher})
        use_gloo_without_gpu(alone)
        assert alone.to_dict() == {'launcher': launcher}
    assert len(joined) == 1


LEAVING = """
import atexit
import torch.distributed as dist
from mmyolo.tools.launch import leave_processes

class Part:
    def __del__(self):
        print('torn down')

part = Part()
atexit.register(print, 'at exit')
leave_processes()
print('alone')
dist.init_process_group('gloo', init_method='file://{file}', rank=0, world_size=1)
leave_processes()
print('after')
"""


def test_python_is_not_torn_down_beside_the_threads_of_gloo(tmp_path):
    """They live on after the group, and one that still releases a tensor would abort the process."""
    done = subprocess.run(
        [sys.executable, '-c', LEAVING.format(file=tmp_path / 'store')], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ['alone', 'at exit']), done.stderr


def test_augmentation_replaces_model_and_pipeline():
    cfg = _get_config_module('yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py')
    model = cfg.model.to_dict()
    cfg.test_dataloader.dataset = {'type': 'RepeatDataset', 'times': 1, 'dataset': cfg.test_dataloader.dataset}
    use_tta(cfg)
    assert cfg.model.type == 'mmdet.DetTTAModel' and cfg.model.module.to_dict() == model
    inner = cfg.test_dataloader.dataset.dataset
    assert inner.pipeline == cfg.tta_pipeline and inner.batch_shapes_cfg is None
    with pytest.raises(ValueError, match='tta_model and tta_pipeline.*det_p5_tta.py'):
        use_tta(Config({'model': {}}))


def test_detectors_of_configs_are_copies():
    first, second = get_detector_cfg(YOLOV8), get_detector_cfg(YOLOV8)
    assert first.type == 'YOLODetector' and first == second
    first.backbone.widen_factor = 9
    assert second.backbone.widen_factor == 0.25
    assert _get_config_directory().endswith('configs')


def test_random_boxes_lie_in_the_image():
    boxes = _rand_bboxes(np.random.RandomState(0), 50, 320, 240)
    assert boxes.shape == (50, 4)
    assert (boxes[:, :2] <= boxes[:, 2:]).all() and (boxes >= 0).all()
    assert (boxes[:, 0::2] <= 320).all() and (boxes[:, 1::2] <= 240).all() and boxes[:, 2].max() > 240
