"""Helpers for tests, of this package and of others that build on it."""

from ._utils import get_detector_cfg

__all__ = ['get_detector_cfg']
