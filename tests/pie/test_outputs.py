"""What an epoch leaves: the log, the weights, the picture, whole whenever the process ends."""

import json
import math
import os
import random
import signal
import time

import cv2
import numpy as np
import pytest
import torch

from pie.description import read_description
from pie.metrics import Boxes
from pie.outputs import Outputs
from pie.pictures import best_image, draw_boxes, write_picture
from pie.termination import EPOCHS_WITHOUT_GAIN, Termination
from pie.trainlog import TrainLog

METRICS = {'P': 0.5, 'R': 0.25, 'F1_score': 1 / 3, 'mAP': 0.2}


def rows(mean_ap=0.2, **more):
    values = {**METRICS, 'mAP': mean_ap}
    return {'all': {**values, **more}, 'a': dict(values)}


def test_the_log(tmp_path):
    path = tmp_path / 'trainlog.json'
    log = TrainLog.start(path, 'id', 'detection')
    assert json.loads(path.read_text())['best'] == ''
    assert log.add_epoch(1, rows(loss=2.5), rows(0.3, loss=math.nan))
    assert not TrainLog.read(path).add_epoch(2, rows(), rows(0.3))
    content = json.loads(path.read_text(encoding='utf-8'))
    assert list(content) == ['training_id', 'create_time', 'description', 'epochs', 'best', 'end_time']
    assert content['training_id'] == 'id' and content['end_time'] == ''
    assert content['description'] == {
        'P': '精确度',
        'R': '召回率',
        'F1_score': 'F1分数',
        'mAP': 'mAP',
        'loss': '损失率',
    }
    assert [epoch['epoch'] for epoch in content['epochs']] == ['1', '2']
    assert content['epochs'][0]['train'] == [
        {'class': 'all', 'values': {**METRICS, 'loss': 2.5}},
        {'class': 'a', 'values': METRICS},
    ]
    assert content['epochs'][0]['valid'][0]['values']['loss'] == 0  # JSON has no NaN
    assert content['best'] == {**METRICS, 'mAP': 0.3}
    for key in ('create_time', 'end_time'):
        TrainLog.read(path).finish()
        time.strptime(json.loads(path.read_text())[key], '%Y-%m-%d %H:%M:%S')


def test_the_best_epoch(tmp_path):
    log = TrainLog.start(tmp_path / 'x.json', '', 'detection')
    assert [log.add_epoch(epoch, rows(), rows(value)) for epoch, value in enumerate((0.1, 0.3, 0.2), 1)] == [
        True,
        True,
        False,
    ]
    assert log.content['best']['mAP'] == 0.3


def test_weights_are_a_plain_state_dict_under_two_names(tmp_path):
    outputs = Outputs(tmp_path / 'output', 'yolov4')
    outputs.prepare()
    for value in (1.0, 2.0):
        outputs.write_weights(torch.nn.Linear(2, 3).state_dict() | {'bias': torch.full((3,), value)}, {'type': value})
        assert read_description(outputs.weights) == {'type': value}
        for path in (outputs.weights, tmp_path / 'output/yolov4.th'):
            state = torch.load(path, weights_only=True)
            assert type(state) is dict and state['bias'].tolist() == [value] * 3
    assert sorted(path.name for path in outputs.weights.parent.iterdir()) == ['yolov4.json', 'yolov4.th']


def write_for_ever(outputs):
    log = TrainLog.start(outputs.log, 'id', 'detection')
    for epoch in range(1, 100000):
        write_picture(outputs.picture('pred'), np.full((64, 64, 3), epoch % 256, np.uint8))
        outputs.write_weights({'weight': torch.full((20000,), float(epoch))}, {})
        log.add_epoch(epoch, rows(), rows())


@pytest.mark.slow
def test_whole_at_every_instant(tmp_path):
    """A writer killed at 50 random instants leaves whole files; what it left half written goes at the next start."""
    outputs = Outputs(tmp_path, 'm')
    generator = random.Random(0)
    for _ in range(50):
        outputs.prepare()
        child = os.fork()
        if not child:
            try:
                write_for_ever(outputs)
            finally:
                os._exit(1)
        time.sleep(generator.uniform(0.0, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if outputs.log.exists():
            assert json.loads(outputs.log.read_text(encoding='utf-8'))['training_id'] == 'id'
        for path in (outputs.weights, tmp_path / 'm.th'):
            if path.exists():
                weight = torch.load(path, weights_only=True)['weight']
                assert len(weight) == 20000 and (weight == weight[0]).all()
        if outputs.picture('pred').exists():
            assert len(np.unique(cv2.imread(str(outputs.picture('pred'))))) == 1
    assert outputs.weights.exists()
    outputs.prepare()
    assert sorted(path.name for path in tmp_path.rglob('*') if path.is_file()) == [
        'm.json',
        'm.th',
        'm.th',
        'pred.png',
        'trainlog.json',
    ]


def boxes(*found):
    values = np.array(found, float).reshape(-1, 6)
    return Boxes(values[:, :4], values[:, 4].astype(int), values[:, 5])


def test_a_red_class_is_red(tmp_path):
    picture = draw_boxes(
        np.zeros((600, 800, 3), np.uint8), boxes((100, 200, 500, 400, 0, 0.9)), ['plane'], [(255, 0, 0)], 0.5
    )
    write_picture(tmp_path / 'x.png', picture)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / 'x.png')), cv2.COLOR_BGR2RGB)
    assert read.shape == (600, 800, 3)
    for x, y in ((100, 300), (500, 300), (300, 400)):  # on the sides of the box
        assert read[y, x].tolist() == [255, 0, 0]
    assert read[300, 300].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    'shape, size',
    [
        ((48, 96), (240, 480)),
        ((1000, 3200), (500, 1600)),
        ((500, 700), (500, 700)),
        ((1, 4800), (1, 1600)),
        ((4800, 1), (1600, 1)),
    ],
)
def test_the_size_of_a_picture(shape, size):
    picture = draw_boxes(np.zeros((*shape, 3), np.uint8), boxes(), [], [], 0.5)
    assert picture.shape[:2] == size


def test_weak_predictions_are_not_drawn():
    found = boxes((100, 100, 400, 400, 0, 0.4))
    picture = draw_boxes(np.zeros((500, 500, 3), np.uint8), found, ['a'], [(255, 0, 0)], 0.5)
    assert not picture.any()


def test_the_picture_of_the_best_image():
    truth = boxes((0, 0, 10, 10, 0, 1), (20, 20, 30, 30, 0, 1))
    one = boxes((0, 0, 10, 10, 0, 0.9))
    images = [('empty', boxes(), boxes()), ('half', one, truth), ('right', one, one), ('more', truth, truth)]
    assert best_image(images, 0.5) == 3
    assert best_image(images[:3], 0.5) == 2
    assert best_image([('x', boxes(), truth), ('y', boxes(), truth)], 0.5) == 0


def test_early_end():
    """More than 6 epochs without a better mAP end it; while nothing is detected the loss counts."""
    termination = Termination()
    assert not any(termination.add(0.0, loss) for loss in (9, 8, 7, 6, 5, 4, 3, 2, 1))
    assert not any(termination.add(value, 5) for value in (0.1, 0.2))
    ends = [termination.add(0.2, 0.1) for _ in range(EPOCHS_WITHOUT_GAIN + 1)]
    assert ends == [False] * EPOCHS_WITHOUT_GAIN + [True]
    stuck = Termination()
    assert [stuck.add(0.0, 1.0) for _ in range(8)] == [False] * 7 + [True]
