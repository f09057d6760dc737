"""Pictures for the runs of all tests of this folder."""

import pytest

from ymir_local.demo.sample_data import generate


@pytest.fixture(scope='package')
def images(tmp_path_factory):
    return generate(
        tmp_path_factory.mktemp('pictures'), num_images=4, num_classes=2, size_range=(32, 48), objects_range=(1, 2)
    )
