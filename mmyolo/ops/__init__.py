"""Operators that otherwise need a compiler: importing this package gives `mmcv._ext` a stand-in where it is absent."""
from .mmcv_ext import install_mmcv_ext
from .nms import batched_nms

install_mmcv_ext()

__all__ = ['batched_nms', 'install_mmcv_ext']
