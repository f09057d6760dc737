"""Operators that otherwise need a compiler: importing this package gives `mmcv._ext` a stand-in where it is absent."""
from .mmcv_ext import install_mmcv_ext

install_mmcv_ext()
