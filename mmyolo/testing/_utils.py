"""Configs and boxes for tests."""

import copy
from pathlib import Path

from mmdet.testing._utils import _rand_bboxes
from mmengine.config import Config, ConfigDict

__all__ = ['get_detector_cfg', '_get_config_directory', '_get_config_module', '_rand_bboxes']


def _get_config_directory() -> str:
    """Find the folder `configs`: beside the package in a checkout, else in the package as `mim` installs it."""
    package = Path(__file__).resolve().parents[1]
    for directory in (package.parent / 'configs', package / '.mim' / 'configs'):
        if (directory / '_base_').is_dir():
            return str(directory)
    raise FileNotFoundError(
        f'There is no folder `configs` beside {package} and none in {package / ".mim"}; '
        'work from a checkout of the repository, or install it with `mim install -e .`'
    )


def _get_config_module(fname: str) -> Config:
    """Read a config of the repository.

    Args:
        fname: Path below `configs`, such as 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'.
    """
    return Config.fromfile(Path(_get_config_directory()) / fname)


def get_detector_cfg(fname: str) -> ConfigDict:
    """Give the detector of a config, to change and build.

    Args:
        fname: Path below `configs`.

    Returns:
        A copy of `model` of the config.
    """
    return copy.deepcopy(_get_config_module(fname).model)
