"""Scores that the published executor of ViDT gives for whole scenes, by the algorithm that repeats old rankings."""

import numpy as np
import pytest

from tests.vidt.recipe import recipe
from tmi.mining.cald_legacy import BETA, change_image, legacy_score

SCENES = recipe('mining')['scenes']
ORDER = ('flip', 'cutout', 'rotate', 'resize')  # of the changes


def rows(values):
    return np.array(values, dtype=np.float64).reshape(-1, 6)


@pytest.mark.parametrize('scene', [scene for scene in SCENES if scene['detections']], ids=lambda scene: scene['case'])
def test_published_score(scene):
    boxes = rows(scene['detections'])
    changes = [(np.array(scene['moved'][name]), *np.split(rows(scene['found'][name])[:, :5], [4], 1)) for name in ORDER]
    score = legacy_score(boxes[:, 4], [(moved, found, scores[:, 0]) for moved, found, scores in changes])
    assert score == pytest.approx(scene['score'], abs=1e-6)


@pytest.mark.parametrize('scene', [scene for scene in SCENES if scene['detections']], ids=lambda scene: scene['case'])
def test_published_changes_of_boxes(scene):
    height, width = scene['image']
    boxes = rows(scene['detections'])[:, :4].astype(np.int32)
    image = np.zeros((height, width, 3), np.uint8)
    changes = dict(zip(ORDER, change_image(image, boxes, np.random.default_rng(0))))
    for name in ('flip', 'cutout', 'resize'):
        assert changes[name].boxes.tolist() == pytest.approx(np.array(scene['moved'][name]), abs=1e-4), name
    assert changes['rotate'].boxes == pytest.approx(np.array(scene['moved']['rotate']), abs=1)  # whole pixels there


def test_scene_without_boxes():
    assert [scene['score'] for scene in SCENES if not scene['detections']] == [-BETA]
