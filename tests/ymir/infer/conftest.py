"""Small models for all tests of inference and mining."""

from pathlib import Path

import pytest
from mmengine.config import Config

from .sandbox import PROJECT_ROOT, write_images, write_model
from .test_families import write_package


@pytest.fixture(scope='session')
def model_files(tmp_path_factory) -> list[Path]:
    return write_model(tmp_path_factory.mktemp('models') / 'best')


@pytest.fixture(scope='session')
def instance_files(images, tmp_path_factory) -> list[Path]:
    """A model with masks."""
    config = Config.fromfile(PROJECT_ROOT / 'configs/rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco.py')
    for part in (config.model.backbone, config.model.neck, config.model.bbox_head.head_module):
        part.widen_factor = 0.25
    return write_package(tmp_path_factory.mktemp('instance'), 'instance', images[:4], config)


@pytest.fixture(scope='session')
def images(tmp_path_factory) -> list[Path]:
    return write_images(tmp_path_factory.mktemp('assets'), 70)
