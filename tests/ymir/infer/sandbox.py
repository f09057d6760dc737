"""A task's /in and /out in a temporary folder, with a small seeded model that finds boxes in anything."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmyolo.registry import MODELS
from mmyolo.tools.random_weights import calibrate_batch_norms, set_score_distribution
from mmyolo.utils import register_all_modules
from tests.warm_python import warm_python

PROJECT_ROOT = Path(__file__).resolve().parents[3]
CONFIG = PROJECT_ROOT / 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'
CLASS_NAMES = ['cat', 'dog', 'bird']
IMAGE_SIZE = 96


def write_model(
    folder: Path, num_classes: int = len(CLASS_NAMES), image_size: int = IMAGE_SIZE, config: Path = CONFIG
) -> list[Path]:
    """Write weights and dumped config as a training leaves them; returns their paths."""
    register_all_modules()
    init_default_scope('mmyolo')
    cfg = Config.fromfile(config)
    cfg.model.bbox_head.head_module.num_classes = num_classes
    cfg.model.train_cfg = None
    for step in cfg.test_dataloader.dataset.pipeline:
        if 'scale' in step:
            step.scale = (image_size, image_size)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    smooth = torch.nn.functional.interpolate(torch.rand(16, 3, 16, 16), IMAGE_SIZE, mode='bicubic').clamp(0, 1)
    smooth[:, :, : IMAGE_SIZE // 8] = smooth[:, :, -IMAGE_SIZE // 8 :] = 114 / 255  # as the letterbox pads
    calibrate_batch_norms(model, smooth)
    set_score_distribution(model, smooth, above_02=6, above_0001=40)
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'model.py')
    torch.save({'state_dict': model.state_dict(), 'meta': {'cfg': cfg.pretty_text, 'epoch': 3}}, folder / 'epoch_3.pth')
    return [folder / 'epoch_3.pth', folder / 'model.py']


def write_image(path: Path, width: int, height: int, seed: int) -> Path:
    """Write an image of smooth noise."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(height // 8, 2), max(width // 8, 2), 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    return path


def write_images(folder: Path, count: int) -> list[Path]:
    """Write images of different sizes and formats."""
    sizes = ((160, 120), (90, 130), (64, 64), (200, 80), (96, 96))
    suffixes = ('.jpg', '.png', '.bmp')
    return [
        write_image(folder / f'{number:04d}{suffixes[number % 3]}', *sizes[number % len(sizes)], seed=number)
        for number in range(count)
    ]


class Task:
    """One container run.

    Args:
        root: Folder for in/ and out/.
        lines: Of candidate-index.tsv; None leaves the file out.
        models: `model_params_path`.
        flags: `run_mining` and `run_infer`.
        params: Further keys of config.yaml.
    """

    def __init__(
        self,
        root: Path,
        lines: Sequence[Any] | None,
        models: Sequence[Path],
        flags: Sequence[str] = ('infer',),
        **params: Any,
    ) -> None:
        self.root = root
        self.out = root / 'out'
        for folder in (root / 'in', self.out / 'tensorboard'):
            folder.mkdir(parents=True, exist_ok=True)
        index = root / 'in' / 'candidate-index.tsv'
        if lines is not None:
            index.write_text(''.join(f'{line}\n' for line in lines))
        config = {
            'class_names': CLASS_NAMES,
            'gpu_id': '',
            'gpu_count': 0,
            'object_type': 2,
            'task_id': 't0',
            'model_params_path': [str(path) for path in models],
        }
        config.update(params)
        (root / 'in' / 'config.yaml').write_text(yaml.safe_dump(config))
        env = {
            'task_id': 't0',
            'protocol_version': '1.1.0',
            'run_training': False,
            'run_mining': 'mining' in flags,
            'run_infer': 'infer' in flags,
            'input': {
                'root_dir': str(root / 'in'),
                'models_dir': str(root / 'in/models'),
                'candidate_index_file': str(index),
                'config_file': str(root / 'in/config.yaml'),
            },
            'output': {
                'root_dir': str(self.out),
                'infer_result_file': str(self.out / 'infer-result.json'),
                'mining_result_file': str(self.out / 'result.tsv'),
                'monitor_file': str(self.out / 'monitor.txt'),
                'models_dir': str(self.out / 'models'),
                'tensorboard_dir': str(self.out / 'tensorboard'),
            },
        }
        self.env_file = root / 'in' / 'env.yaml'
        self.env_file.write_text(yaml.safe_dump(env))

    def start(self, cores: int | None = None, python: str = '') -> subprocess.CompletedProcess:
        """Run `python ymir/start.py` as the image does, on so many cores; its imports are done before, unless a Python
        is named.
        """
        environ = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(self.env_file))
        chosen = sorted(os.sched_getaffinity(0))[:cores]
        return subprocess.run(
            [python or warm_python(), 'ymir/start.py'],
            cwd=PROJECT_ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        )

    def detections(self) -> dict[str, list[dict]]:
        """The boxes of every image name in infer-result.json."""
        content = json.loads((self.out / 'infer-result.json').read_text())
        return {name: value['boxes'] for name, value in content['detection'].items()}

    def ranking(self) -> list[list[str]]:
        """The rows of result.tsv."""
        return [line.split('\t') for line in (self.out / 'result.tsv').read_text().splitlines()]

    def monitor(self) -> list[str]:
        """The columns of the first line of monitor.txt."""
        return (self.out / 'monitor.txt').read_text().splitlines()[0].split('\t')
