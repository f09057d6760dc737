"""YOLO detectors on mmengine and mmdet, compatible with the public mmyolo 0.6.0."""
from mmengine.utils import digit_version

from . import ops  # noqa: F401  stands in for mmcv._ext before anything imports mmdet
from .version import __version__, version_info

__all__ = ['__version__', 'version_info', 'digit_version']
