"""What the tests of demos share: a trained detector, and running a demo as its command line."""

import runpy
import sys
from pathlib import Path

import cv2
import pytest
import torch

from tests.demo.detector import ROOT, picture, train


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """Config and checkpoint of a detector of squares and discs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train(tmp_path_factory.mktemp('shapes'))
    torch.set_num_threads(threads)


@pytest.fixture
def run(shapes, tmp_path, monkeypatch):
    """Runs demo/<name>.py with a source and options, in an empty folder, on the CPU."""
    monkeypatch.chdir(tmp_path)

    def run_demo(name: str, source, *options) -> None:
        words = [f'demo/{name}.py', str(source), *shapes, '--device', 'cpu', *map(str, options)]
        monkeypatch.setattr(sys, 'argv', words)
        runpy.run_path(str(ROOT / words[0]), run_name='__main__')

    return run_demo


@pytest.fixture
def write_picture(tmp_path):
    """Writes a picture of shapes below the test's folder and gives its boxes."""

    def write(name: str, *args, **kwargs):
        image, boxes = picture(*args, **kwargs)
        path = Path(tmp_path / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
        return boxes

    return write
