"""YOLO detectors on mmengine and mmdet, compatible with the public mmyolo 0.6.0."""

from mmengine.utils import digit_version

from .standins import mmcv as _mmcv  # noqa: F401  stands in for mmcv._ext before anything imports mmdet
from .standins.late_imports import install_late_imports
from .utils.checkpoint_loader import guard_mmengine
from .version import __version__, version_info

install_late_imports()
guard_mmengine()  # before anything loads a checkpoint

__all__ = ['__version__', 'version_info', 'digit_version']
