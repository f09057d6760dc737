"""The commands of the documents about demos, as they stand there, with seeded weights for CHECKPOINT."""

import runpy
import shlex
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmyolo.tools.random_weights import calibrate_batch_norms, set_score_distribution
from tests.demo.detector import ROOT

CONFIG = 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'


def commands():
    """Every line of a document that starts a demo, once, without the interpreter."""
    lines = []
    for document in ('README.md', 'README_zh-CN.md', 'demo/README.md'):
        for line in (ROOT / document).read_text(encoding='utf-8').splitlines():
            words = shlex.split(line) if 'python demo/' in line else []
            if words and words[1:] not in lines:
                lines.append(words[1:])
    return lines


@pytest.fixture(scope='module')
def seeded(tmp_path_factory):
    init_default_scope('mmyolo')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(ROOT / CONFIG).model)
    image = cv2.resize(cv2.imread(str(ROOT / 'demo/demo.jpg')), (320, 320))[..., ::-1] / 255
    images = torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)[None]
    calibrate_batch_norms(model, images)
    set_score_distribution(model, images)
    path = tmp_path_factory.mktemp('weights') / 'seeded.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return str(path)


def test_there_are_commands():
    assert {words[0] for words in commands()} == {
        f'demo/{name}_demo.py' for name in ('image', 'video', 'large_image', 'featmap_vis')
    }


@pytest.mark.slow
@pytest.mark.parametrize('words', commands(), ids=lambda words: words[0])
def test_command(words, seeded, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = [word.replace('CHECKPOINT', seeded).replace('output', str(tmp_path / 'output')) for word in words]
    monkeypatch.setattr(sys, 'argv', [*words, '--device', 'cpu'])
    runpy.run_path(words[0], run_name='__main__')
    (source,) = (tmp_path / 'output').iterdir()
    assert source.name == Path(words[1]).name and source.stat().st_size > 10_000
    if source.suffix == '.jpg':
        assert (cv2.imread(str(source)) != cv2.resize(cv2.imread(words[1]), cv2.imread(str(source)).shape[1::-1])).any()
