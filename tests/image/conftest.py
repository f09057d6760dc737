"""Builds the image once for all tests of this folder; they are skipped where that cannot be."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = 'det/mmyolo:test'


def _engine_answers() -> bool:
    if not shutil.which('docker'):
        return False
    try:
        return subprocess.run(['docker', 'info'], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@pytest.fixture(scope='session')
def base_image() -> str:
    """The name of the image to build from, where an engine can do that."""
    if not _engine_answers():
        pytest.skip('no Docker engine answers')
    base = os.environ.get('YMIR_TEST_BASE_IMAGE')
    if not base:
        pytest.skip('YMIR_TEST_BASE_IMAGE does not name a base image (with Python 3.10 to 3.12, pip and bash)')
    return base


def _build(base_image: str, name: str, *arguments: str) -> str:
    command = ['docker', 'build', '--network=host', '--build-arg', f'BASE_IMAGE={base_image}', *arguments]
    command += ['-t', name, '-f', 'ymir/Dockerfile', '.']
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-4000:]
    return name


@pytest.fixture(scope='session')
def image(base_image) -> str:
    """The name of the freshly built image."""
    return _build(base_image, IMAGE)


@pytest.fixture(scope='session')
def full_image(base_image) -> str:
    """The name of an image with everything that a build argument can add."""
    arguments = ('ENGINES=onnxruntime openvino ray', 'FONTS=fonts-wqy-zenhei')
    options = [option for argument in arguments for option in ('--build-arg', argument)]
    return _build(base_image, f'{IMAGE}-full', *options)
