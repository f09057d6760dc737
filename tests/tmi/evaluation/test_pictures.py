"""Pictures of a validation and of the curves: what they show, how large they are, and names that no font can write."""

import json
import os

import matplotlib
import numpy as np
import pytest

from mmyolo.evaluation.validation_result import ClassCurves, ValidationResult
from mmyolo.tools.demo import fonts
from tests.tmi.evaluation import sets
from tmi.evaluation import curves, plots, samples
from tmi.evaluation.accuracy import Accuracy, ClassAccuracy, Threshold, measure
from tmi.training.metrics import metric_names


@pytest.fixture(autouse=True)
def former_settings():
    with matplotlib.rc_context():
        yield


def made_up(num_classes):
    """Return numbers of many classes without a validation: the higher a class, the worse."""
    best = Threshold(0.5, 0.5, 0.5, 0.5, 1, 1, 1)
    values = np.linspace(0.9, 0.1, num_classes).tolist()
    classes = [ClassAccuracy(f'class {k}', 2, value, value, value, best) for k, value in enumerate(values)]
    matrix = np.diag(np.arange(num_classes + 1, 0, -1))
    matrix[:, -1] = np.arange(num_classes + 1)
    shape = (101, num_classes)
    return Accuracy(classes, best, matrix, np.full(shape, 0.5), np.full(shape, 0.25), np.full(101, 0.25))


@pytest.mark.parametrize('num_classes', [1, 10, pytest.param(80, marks=pytest.mark.slow), 1000])
def test_pictures_stay_readable(num_classes):
    accuracy = made_up(num_classes)
    left, right = plots.draw_curves(accuracy).axes
    for axis, title in ((left, 'Precision over recall at IoU 0.5'), (right, 'F1 over the score threshold at IoU 0.5')):
        assert axis.get_title() == title and axis.get_xlabel() and axis.get_ylabel()
        assert len(axis.lines) <= 2 + plots.FAINT + plots.BEST + plots.WORST + 2
        texts = [text.get_text() for text in axis.get_legend().get_texts()]
        named = [text for text in texts if text.startswith('class ')]
        assert len(named) == min(num_classes, 8 if num_classes > 10 else 10)
        assert named[0].startswith('class 0,') and named[-1].startswith(f'class {num_classes - 1},')
    figure = plots.draw_confusion(accuracy)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == min(num_classes + 1, 82) and names[-1] == 'background'
    assert (names[-2] == '920 other classes') is (num_classes == 1000)
    assert max(figure.get_size_inches()) * plots.DPI < 5500
    assert figure.axes[0].get_xlabel() == 'Prediction' and figure.axes[0].get_ylabel() == 'Ground truth'


def test_classes_with_the_most_mistakes_are_shown_and_every_count_stays(monkeypatch):
    monkeypatch.setattr(plots, 'MAX_MATRIX', 2)
    matrix = np.array([[9, 1, 0, 0, 0], [0, 5, 0, 3, 0], [0, 0, 8, 0, 0], [0, 0, 0, 7, 1], [0, 0, 0, 2, 0]])
    shown, names = plots.shown_classes(matrix, ['a', 'b', 'c', 'd'])
    assert names == ['b', 'd', '2 other classes']
    assert shown.tolist() == [[5, 3, 0, 0], [0, 7, 0, 1], [1, 0, 17, 0], [0, 2, 0, 0]]
    assert plots.shown_classes(matrix[:3, :3], ['a', 'b'])[1] == ['a', 'b']


def test_names_that_no_font_can_write_are_numbered(monkeypatch):
    monkeypatch.setattr(fonts, '_other_fonts', list)
    names = ['cat', '\U000f0000\U000f0001', 'x' * 40, '\U000f0000' + 'y' * 40]
    assert plots.legible_names(names) == ['cat', 'class 1', 'x' * 31 + '…', 'class 3']


def logged(folder, name, lines, modified):
    path = folder / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    os.utime(path, (modified, modified))


def test_curves_of_all_parts_of_a_training(tmp_path):
    step = {'lr': 0.01, 'loss': 4.0, 'loss_cls': 1.5, 'epoch': 1, 'iter': 5, 'step': 5, 'memory': 7}
    val = {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_s': -1.0, 'data_time': 0.5, 'step': 1}
    logged(tmp_path, '1_earlier', [dict(step, step=1)], 90)
    logged(tmp_path, '2_first', [step, val, dict(step, loss=3.0, epoch=2, step=10), '{"lr": 0.0'], 110)
    logged(tmp_path, '3_resumed', [dict(step, loss=2.0, epoch=2, step=10), dict(val, step=2)], 120)
    found = curves.read_curves(tmp_path, 100, {'coco/bbox_': 'mAP'})
    assert {key: row['loss'] for key, row in found.steps.items()} == {5: 4.0, 10: 2.0}
    assert found.epochs == {1: {'mAP': 0.25}, 2: {'mAP': 0.25}}
    lines = curves.curves_table(found).splitlines()
    assert lines[0] == 'epoch,step,lr,loss,loss_cls,memory,mAP'
    assert lines[1:] == ['1,5,0.01,4.0,1.5,7,', '2,10,0.01,2.0,1.5,7,', '1,,,,,,0.25', '2,,,,,,0.25']
    losses, accuracy, rate = curves.draw_curves(found, 2).axes
    assert [line.get_label() for line in losses.lines] == ['loss', 'loss_cls']
    assert losses.lines[0].get_xydata().tolist() == [[5, 4], [10, 2]]
    assert [line.get_label() for line in accuracy.lines] == ['mAP', 'best epoch 2, mAP 0.250']
    assert rate.lines[0].get_ydata().tolist() == [0.01, 0.01]
    empty = curves.draw_curves(curves.read_curves(tmp_path, 1000, {'coco/bbox_': 'mAP'}))
    assert [axis.texts[0].get_text() for axis in empty.axes] == ['nothing was logged'] * 3


def test_curves_of_masks_and_of_boxes_are_called_so(tmp_path):
    val = {'coco/segm_mAP': 0.25, 'coco/segm_mAP_50': 0.5, 'coco/bbox_mAP': 0.375, 'coco/bbox_mAP_50': 0.75, 'step': 1}
    logged(tmp_path, '1', [val], 110)
    found = curves.read_curves(tmp_path, 100, metric_names('coco/segm_'))
    assert curves.curves_table(found).splitlines()[0] == 'epoch,step,maskAP,maskAP_50,boxAP,boxAP_50'
    lines = curves.draw_curves(found, 1).axes[1].lines
    assert [line.get_label() for line in lines] == ['maskAP', 'maskAP_50', 'boxAP', 'best epoch 1, maskAP 0.250']
    assert [line.get_ydata().tolist() for line in lines] == [[0.25], [0.5], [0.375], [0.25]]


def test_smoothed_curves_keep_their_level():
    values = np.arange(100.0)
    np.testing.assert_allclose(curves.smoothed(values)[2:-2], values[2:-2])
    np.testing.assert_allclose(curves.smoothed([3.0] * 70), 3.0)


def seen(objects, predictions):
    """A validation: objects (image, xyxy) and predictions (image, xyxy, score) of one class."""
    images = sorted({item[0] for item in (*objects, *predictions)})
    found = [
        {
            'img_id': image,
            'bboxes': [box for owner, box, _ in predictions if owner == image],
            'scores': [score for owner, _, score in predictions if owner == image],
            'labels': [0 for owner, _, _ in predictions if owner == image],
        }
        for image in images
    ]
    annotations = [
        {'image_id': image, 'category_id': 3, 'bbox': [x, y, right - x, bottom - y], 'iscrowd': 0}
        for image, (x, y, right, bottom) in objects
    ]
    return ValidationResult.of(found, annotations, {3: 0}, ClassCurves(np.zeros((101, 1)), *np.zeros((3, 1))))


def test_images_are_chosen_evenly_those_with_labels_first():
    result = seen([(image, (1, 1, 5, 5)) for image in (2, 4, 6, 8)], [])
    files = {image: f'/{image}.jpg' for image in range(10)}
    assert samples.choose_images(result, files, 2) == [4, 8]
    assert samples.choose_images(result, files, 4) == [2, 4, 6, 8]
    assert samples.choose_images(result, files, 7) == [1, 2, 4, 5, 6, 8, 9]
    assert samples.choose_images(result, files, 99) == list(range(10))


def test_labels_stand_beside_predictions_at_their_places():
    """Grey images of 200 x 100 pixels, drawn with a side of 420: x and y are 2.1 times as large."""
    result = seen([(0, (20, 20, 60, 60))], [(0, (100, 30, 180, 90), 0.75), (0, (5, 70, 30, 95), 0.125)])

    def read(path):
        if path == '/b.jpg':
            raise OSError('broken')
        return np.full((100, 200, 3), 128, np.uint8)

    page = samples.draw_samples(result, {0: '/a.jpg', 1: '/b.jpg'}, ['one'], 0.5, read)
    assert page.shape == (samples.GAP + 210 + samples.LINE + samples.GAP, 2 * (420 + samples.GAP) + samples.GAP, 3)
    top = samples.GAP + samples.LINE
    sides = [page[top : top + 210, left : left + 420] for left in (samples.GAP, 2 * samples.GAP + 420)]
    for side, box, other in ((sides[0], (20, 20, 60, 60), (100, 30)), (sides[1], (100, 30, 180, 90), (20, 20))):
        x, y, right, bottom = (round(2.1 * value) for value in box)
        edge = np.ptp(side.astype(int), axis=2) > 30  # colour on grey
        assert (
            edge[y + 20 : bottom - 4, x - 1 : x + 2].any(1).all()
            and edge[bottom - 1 : bottom + 2, x:right].any(0).all()
        )
        assert not edge[round(2.1 * other[1]) + 30, round(2.1 * other[0]) - 3 : round(2.1 * other[0]) + 3].any()
    assert not (np.ptp(sides[1][150:205, 8:66].astype(int), axis=2) > 30).any()  # below the score
    assert samples.draw_samples(result, {1: '/b.jpg'}, ['one'], 0.5, read) is None


def test_a_whole_validation_becomes_pictures(tmp_path):
    truth, found = sets.drawn(3)
    accuracy = measure(sets.validate(tmp_path, truth, found, 3, 30), ['one', 'two', 'three'])
    left, right = plots.draw_curves(accuracy).axes
    line = next(line for line in left.lines if line.get_label().startswith('two'))
    np.testing.assert_array_equal(line.get_ydata(), accuracy.curves[:, 1])
    assert f'{accuracy.classes[1].ap50:.3f}' in line.get_label()
    marker = right.lines[-1]
    assert (marker.get_xdata()[0], marker.get_ydata()[0]) == (accuracy.best.score, accuracy.best.f1)
    image = plots.draw_confusion(accuracy).axes[0].images[0].get_array()
    np.testing.assert_allclose(image[:3].sum(1), 100)
    assert image[0, 0] == pytest.approx(100 * accuracy.confusion[0, 0] / accuracy.confusion[0].sum())
