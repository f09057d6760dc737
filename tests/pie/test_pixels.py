"""Segmentation and change detection: labels, numbers worked out by hand, networks, and what is left out."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pie.labels import read_labels
from pie.models import network_of
from pie.networks import NETWORKS
from pie.parameter_source import Source
from pie.parameters import make_parameters
from pie.pixel_data import prepare_pixels
from pie.pixel_labels import paint, read_label
from pie.pixel_metrics import count_pixels, mean_iou, pixel_rows
from pie.pixel_training import PixelDataset, PixelJob, augmented, class_weights, pixel_loss, rate_factor, take_weights
from pie.storage import Storage
from pie.texts import PieError
from tests.pie.store import Store
from tests.pie.test_dataset import picture
from tmi.errors import ModelError

ENTRIES = (('background', 0, '0,0,0'), ('road', 255, '255,0,0'), ('water', 7, '0,0,255'))
LABELS = read_labels([dict(class_name=name, class_value=value, class_color=color) for name, value, color in ENTRIES])


def saved(path, array, mode=None):
    Image.fromarray(np.asarray(array, np.uint8), mode).save(path)
    return path


def test_values_colours_and_unknown_ones(tmp_path):
    values, unknown = read_label(saved(tmp_path / 'a.png', [[0, 255, 7, 9]]), LABELS)
    assert values.tolist() == [[0, 1, 2, 0]] and unknown == ['9'] and values.dtype == np.uint8
    colors = [[[255, 0, 0], [0, 0, 255], [0, 0, 0], [1, 2, 3]]]
    values, unknown = read_label(saved(tmp_path / 'b.png', colors), LABELS)
    assert values.tolist() == [[1, 2, 0, 0]] and unknown == ['1,2,3']


def test_other_forms_of_label_pictures(tmp_path):
    grey = np.repeat(np.array([[[255], [7], [0]]]), 3, axis=2)  # values, written three times
    assert read_label(saved(tmp_path / 'grey.png', grey), LABELS)[0].tolist() == [[1, 2, 0]]
    palette = Image.fromarray(np.array([[1, 2, 0]], np.uint8), 'P')
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / 'palette.png')
    assert read_label(tmp_path / 'palette.png', LABELS)[0].tolist() == [[1, 2, 0]]
    palette = Image.fromarray(np.array([[255, 7, 0]], np.uint8), 'P')
    palette.putpalette([9, 9, 9] * 256)
    palette.save(tmp_path / 'values.png')
    assert read_label(tmp_path / 'values.png', LABELS)[0].tolist() == [[1, 2, 0]]
    tifffile.imwrite(tmp_path / 'deep.tif', np.array([[255, 7, 300]], np.uint16))
    assert read_label(tmp_path / 'deep.tif', LABELS)[0].tolist() == [[1, 2, 0]]
    Image.fromarray(np.array([[255, 0]], np.uint8)).convert('1').save(tmp_path / 'one.png')
    assert read_label(tmp_path / 'one.png', LABELS)[0].tolist() == [[1, 0]]


def test_a_red_class_is_painted_red(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / 'x.png'), paint(np.array([[0, 1, 2]]), LABELS))
    assert np.asarray(Image.open(tmp_path / 'x.png')).tolist() == [[[0, 0, 0], [255, 0, 0], [0, 0, 255]]]


def test_numbers_by_hand():
    """Road: 3 labelled, 2 predicted, 1 right. Background: 3 labelled, 4 predicted, 2 right. Water: none."""
    labelled = np.array([[1, 1, 1], [0, 0, 0]])
    predicted = np.array([[1, 0, 0], [0, 0, 1]])
    rows = pixel_rows(count_pixels(predicted, labelled, 3), ['b', 'r', 'w'], 1.5)
    assert rows['r'] == pytest.approx({'precision': 1 / 2, 'recall': 1 / 3, 'score': 2 / 5, 'IoU': 1 / 4})
    assert rows['b'] == pytest.approx({'precision': 2 / 4, 'recall': 2 / 3, 'score': 4 / 7, 'IoU': 2 / 5})
    assert rows['w'] == {'precision': 0, 'recall': 0, 'score': 0, 'IoU': 0}
    assert rows['all'] == pytest.approx(
        {'precision': 1 / 3, 'recall': 1 / 3, 'score': (2 / 5 + 4 / 7) / 3, 'IoU': (1 / 4 + 2 / 5) / 3, 'loss': 1.5}
    )
    assert mean_iou(count_pixels(predicted, labelled, 3)) == pytest.approx((1 / 4 + 2 / 5) / 2)


def test_identities():
    generator = np.random.default_rng(0)
    labelled = generator.integers(0, 4, (50, 50))
    predicted = np.where(generator.random((50, 50)) < 0.6, labelled, generator.integers(0, 4, (50, 50)))
    counts = sum(count_pixels(*pair, 4) for pair in zip(predicted, labelled))  # row by row, as batch by batch
    assert (counts == count_pixels(predicted, labelled, 4)).all()
    rows = pixel_rows(counts, 'abcd', 0.0)
    for name in 'abcd':
        p, r, f, iou = (rows[name][key] for key in ('precision', 'recall', 'score', 'IoU'))
        assert f == pytest.approx(2 * p * r / (p + r), abs=1e-12) and iou == pytest.approx(f / (2 - f), abs=1e-12)


@pytest.mark.parametrize('name', ['fpn_n', pytest.param('linknet34', marks=pytest.mark.slow), 'siam_fpn_n'])
def test_networks(name):
    torch.manual_seed(0)
    kind = NETWORKS[name]
    network = kind.build(3)
    pictures = torch.rand(2, kind.pictures, 3, 64, 96)
    logits = network(pictures)
    assert logits.shape == (2, 3, 64, 96)
    logits.mean().backward()
    assert all(value.grad is not None for value in network.parameters() if value.requires_grad)
    if kind.pictures == 2:  # which picture came first does not matter to a change
        network.eval()
        with torch.no_grad():
            torch.testing.assert_close(network(pictures), network(pictures.flip(1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'name, task, found',
    [
        ('LinkNet34', 'segmentation', 'linknet34'),
        ('fpn_s', 'segmentation', 'fpn_s'),
        ('deeplabv3+', 'segmentation', 'fpn_n'),
        ('siam_linknet34', 'change', 'siam_linknet34'),
        ('siam-unet', 'change', 'siam_fpn_n'),
    ],
)
def test_names(name, task, found):
    content = dict(model_name=name, label='[]', load_size='64,64', epochs=1, batch_size=1)
    found_task, network = network_of(make_parameters(Source(content, 'a test')))
    assert (found_task, network.name) == (task, found)
    with pytest.raises(PieError, match=f'type is 2 .detection., but model_name .* is for {task}'):
        network_of(make_parameters(Source({**content, 'type': 2}, 'a test')))


def test_a_sample_is_changed_as_a_whole():
    """What happens to the pictures happens to the label, whatever is drawn."""
    torch.manual_seed(0)
    values = (np.indices((32, 32)).sum(axis=0) > 25).astype(np.uint8)
    values[:6, :20] = 1
    image = np.repeat(np.where(values, 220, 30).astype(np.uint8)[:, :, None], 3, axis=2)
    seen = set()
    for _ in range(20):
        (first, second), changed = augmented([image, image], values)
        assert first.shape == image.shape and changed.shape == values.shape
        for one in (first, second):
            right = (one[:, :, 0] > (int(one.max()) + int(one.min())) / 2) == (changed > 0)
            assert right.mean() > 0.93  # but for the pixels of the border, which are mixed
        seen.add(changed.tobytes())
    assert len(seen) > 10


def test_the_loss_counts_rare_classes():
    weights = class_weights([9900, 100, 0])
    assert weights[1] / weights[0] == pytest.approx(99**0.5, rel=1e-5)
    assert float(weights[0] * 0.99 + weights[1] * 0.01) == pytest.approx(1)
    values = torch.zeros(1, 8, 8, dtype=torch.long)
    values[0, 0, 0] = 1
    right = torch.nn.functional.one_hot(values, 3).movedim(-1, 1) * 20.0
    nothing = torch.zeros_like(right)
    nothing[:, 0] = 20
    assert float(pixel_loss(right, values, weights)) < 0.01 < 1 < float(pixel_loss(nothing, values, weights))


def test_the_learning_rate():
    factors = [rate_factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.2) and max(factors) == factors[4] == 1 and factors[-1] < 0.02
    assert rate_factor(0, 1) == 1


def test_weights_of_other_classes_and_networks(tmp_path):
    torch.manual_seed(0)
    first, second = NETWORKS['fpn_n'].build(2), NETWORKS['fpn_n'].build(3)
    torch.save(first.state_dict(), tmp_path / 'x.th')
    take_weights(second, tmp_path / 'x.th')
    assert torch.equal(first.encoder.stem.conv.weight, second.encoder.stem.conv.weight)
    torch.save({'x': torch.zeros(1)}, tmp_path / 'y.th')
    with pytest.raises(ModelError, match='do not belong to this network'):
        take_weights(second, tmp_path / 'y.th')


def test_a_job_goes_through_a_file(tmp_path):
    job = PixelJob('fpn_n', LABELS, (64, 32), 2, 4, 0.1, True, 0, [['a', 'b']], [['c', 'd']], [1, 2], 'out', 'm', {})
    job.write(tmp_path / 'job.json')
    assert PixelJob.read(tmp_path / 'job.json') == job


def label_picture(values):
    import io

    stream = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(stream, 'png')
    return stream.getvalue()


def test_a_data_set(tmp_path, caplog, capsys):
    half = np.zeros((30, 40))
    half[:, :10] = 255
    half[0, 0] = 9
    objects = {
        'train/images/a.jpg': picture(suffix='.jpg'),
        'train/labels/a.png': label_picture(half),
        'train/images/small.png': picture(20, 30),
        'train/labels/small.png': label_picture(half),
        'train/images/broken.png': b'x',
        'train/labels/broken.png': label_picture(half),
        'train/images/alone.png': picture(),
    }
    storage = Storage(Store({f'd/{key}': body for key, body in objects.items()}), 'b')
    splits = prepare_pixels(storage, 's3://b/d/', LABELS, tmp_path, tmp_path / 'run', 'segmentation', 'fpn_n')
    (sample,) = splits['train'].samples
    assert splits['valid'].samples == [sample]  # there is no valid part, and one sample only
    pictures, values = PixelDataset([sample], (40, 30), False).load(0)
    assert pictures[0].shape == (30, 40, 3) and values.sum() == 299 and splits['train'].pixels.tolist() == [901, 299, 0]
    for words in ('small.png: its size is 20 x 30, that of the label 40 x 30', 'broken.png: not a readable picture'):
        assert words in caplog.text
    assert 'they count as background: 9' in caplog.text and 'of the classes: water' in caplog.text
    assert '1: alone' in capsys.readouterr().out


def test_labels_with_one_class(tmp_path):
    objects = {'d/train/A/a.png': picture(), 'd/train/B/a.png': picture()}
    objects['d/train/labels/a.png'] = label_picture(np.full((30, 40), 1))
    with pytest.raises(PieError, match='show one class only .1.; check'):
        prepare_pixels(
            Storage(Store(objects), 'b'), 's3://b/d/', LABELS, tmp_path, tmp_path / 'run', 'change', 'siam_fpn_n'
        )
