"""Every test starts alike, whatever ran before it, so that each file can be run alone and in any order."""

import pytest
from mmengine.registry import DefaultScope

import mmyolo  # noqa: F401  before mmdet, whose modules ask for the operators that it brings

# isort: split


@pytest.fixture(autouse=True)
def default_scope():
    """Names without a prefix are mmyolo's; what a test changes about that ends with it."""
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield
