import pytest

from ymir.local.sample_data import generate


@pytest.fixture
def images(tmp_path):
    """Six small labelled images of three classes."""
    return generate(tmp_path / 'source', num_images=6, num_classes=3, size_range=(64, 96), objects_range=(1, 2))


@pytest.fixture
def class_names():
    return ['target', 'crate', 'star']
