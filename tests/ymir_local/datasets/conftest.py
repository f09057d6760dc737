from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def draw(tmp_path):
    """Writes an image of noise, different from all others, and gives its path."""
    generator = np.random.default_rng(0)

    def write(path, width=64, height=48):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 255, (height, width, 3), np.uint8)
        done, data = cv2.imencode(Path(path).suffix, pixels)
        assert done
        path.write_bytes(data.tobytes())
        return path

    return write


@pytest.fixture
def put(tmp_path):
    """Writes a text file below the folder of the test."""

    def write(path, text):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
        return path

    return write
