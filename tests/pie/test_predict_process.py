"""Predictions in a process of their own: memory that does not follow from the picture, and an end at any instant."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from pie.description import describe
from pie.networks import NETWORKS
from pie.outputs import Outputs
from tests.pie.large_pictures import LABELS, ROTATED, UTM, smooth, write_tiff

pytestmark = [pytest.mark.slow, pytest.mark.integration]
ROOT = Path(__file__).resolve().parents[2]
# Prints the bytes of memory that the process has held at most before and after it predicts.
MEASURE = """
import resource, sys
from pathlib import Path
from pie.merge_boxes import Boxes
from pie.predict_boxes import predict_boxes
from pie.predict_pixels import PixelPredictor, predict_pixels
import pie.scene
from pie.scene import Scene, open_environment
from pie.tiles import Grid
from tests.pie.large_pictures import LABELS, RedSquares, Threshold

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

pie.scene.CACHE_MEGABYTES = 32
predictor, detector = PixelPredictor(Threshold(1), (512, 512)), RedSquares()
for path in sys.argv[2:]:
    with open_environment(), Scene(Path(path)) as scene:
        grid = Grid(scene.size, (512, 512), 32)
        predict_pixels([scene], predictor, grid, LABELS, Path(sys.argv[1]))
        predict_boxes(scene, detector, grid)
    print(peak(), flush=True)
"""


def empty_picture(path: Path, width: int, height: int) -> Path:
    """Write a picture of 16 bits whose pixels are 0 but for a corner; the disk holds no more than that."""
    profile = {'driver': 'GTiff', 'count': 3, 'dtype': 'uint16', 'crs': UTM, 'transform': ROTATED, 'tiled': True}
    with rasterio.open(path, 'w', width=width, height=height, sparse_ok=True, bigtiff='yes', **profile) as file:
        file.write(smooth(512, 512, high=3000).astype(np.uint16), window=((0, 512), (0, 512)))
    return path


def test_memory_does_not_follow_from_the_picture(tmp_path):
    """A picture of 400 MB takes no more than one of 25 MB."""
    small = empty_picture(tmp_path / 'small.tif', 2048, 2048)
    large = empty_picture(tmp_path / 'large.tif', 16384, 4096)
    shown = subprocess.run(
        [sys.executable, '-c', MEASURE, str(tmp_path / 'result.tif'), str(small), str(large)],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    grown = int(shown[1]) - int(shown[0])
    assert grown < 150e6, f'{grown / 1e6:.0f} MB'
    with rasterio.open(tmp_path / 'result.tif') as file:
        assert file.shape == (4096, 16384)


@pytest.fixture
def base(tmp_path):
    """A package with weights, and a picture that takes a while."""
    folder = tmp_path / 'network'
    (folder / 'output').mkdir(parents=True)
    for name in ('train.py', 'Predict.py'):
        (folder / name).write_bytes((ROOT / 'pie' / name).read_bytes())
    for name in ('pie', 'tmi', 'mmyolo', 'vidt'):
        (folder / name).symlink_to(ROOT / name)
    torch.manual_seed(0)
    description = describe('fpn_n', 'segmentation', LABELS, (64, 64), [(64, 64)])
    Outputs(folder / 'output', 'fields').write_weights(NETWORKS['fpn_n'].build(3).state_dict(), description)
    write_tiff(tmp_path / 'land.tif', smooth(1500, 2000).astype(np.uint8))
    return folder


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_prediction_that_is_stopped_leaves_the_result_before(base, number):
    earlier = base / 'output/picture/land_pred.tif'
    earlier.parent.mkdir()
    earlier.write_text('the result of before')
    process = subprocess.Popen(
        [sys.executable, 'Predict.py'],
        cwd=base,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding='utf-8',
    )
    process.stdin.write(json.dumps({'image_path': '../land.tif', 'gpu_num': 0}) + '\n')
    process.stdin.flush()  # and stays open, as the platform's may
    deadline = time.monotonic() + 300
    while len(list(earlier.parent.iterdir())) < 2 and time.monotonic() < deadline:  # the new one, half written
        time.sleep(0.05)
    process.send_signal(number)
    shown = process.communicate(timeout=300)[0]
    assert earlier.read_text() == 'the result of before' and '[Process' not in shown
    if number == signal.SIGTERM:
        assert process.returncode == 128 + number and 'no result was written' in shown
        assert [path.name for path in earlier.parent.iterdir()] == [earlier.name]
