"""One small model for all tests of inference and mining."""

from pathlib import Path

import pytest

from .sandbox import write_images, write_model


@pytest.fixture(scope='session')
def model_files(tmp_path_factory) -> list[Path]:
    return write_model(tmp_path_factory.mktemp('models') / 'best')


@pytest.fixture(scope='session')
def images(tmp_path_factory) -> list[Path]:
    return write_images(tmp_path_factory.mktemp('assets'), 70)
