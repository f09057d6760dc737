"""Every test of ViDT starts alike."""

import pytest
from mmengine.registry import DefaultScope

import mmyolo  # noqa: F401  before mmdet, whose modules ask for the operators that it brings


@pytest.fixture(autouse=True)
def scope_of_mmdet():
    """Look detectors up in mmdet's registries, whatever scope a test before this one has left."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
