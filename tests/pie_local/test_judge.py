"""The judge of `output/`: what is right passes, and each fault is one sentence with file and key."""

import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pie_local.judge import ClassOfLabel, Expected, check_output
from pie_local.judge.trainlog import judge_log

HERE = Path(__file__).parent
CLASSES = (ClassOfLabel('background', 0, (0, 0, 0)), ClassOfLabel('road', 255, (255, 0, 0)))
EXPECTED = Expected('segmentation', 'id-1', 'net', CLASSES, epoch=2, epochs=3, running=True)


def row(name: str, precision: float, recall: float) -> dict[str, Any]:
    f1 = 2 * precision * recall / (precision + recall)
    return {'class': name, 'values': {'precision': precision, 'recall': recall, 'score': f1, 'IoU': f1 / (2 - f1)}}


def rows() -> list[dict[str, Any]]:
    classes = [row('background', 0.9, 0.8), row('road', 0.25, 0.5)]
    metrics = classes[0]['values']
    means = {metric: sum(one['values'][metric] for one in classes) / 2 for metric in metrics}
    return [{'class': 'all', 'values': {**means, 'loss': 1.5}}, *classes]


def right_log() -> dict[str, Any]:
    return {
        'training_id': 'id-1',
        'create_time': '2026-01-02 03:04:05',
        'description': {'recall': '召回率', 'precision': '精度', 'score': '得分', 'IoU': 'IoU', 'loss': '损失率'},
        'epochs': [{'epoch': str(k), 'train': rows(), 'valid': rows()} for k in (1, 2)],
        'best': {'IoU': 0.5},
        'end_time': '',
    }


@pytest.fixture
def output(tmp_path: Path, weights: Path) -> Path:
    folder = tmp_path / 'output'
    for name in ('files', 'picture'):
        (folder / name).mkdir(parents=True)
    shutil.copyfile(weights, folder / 'files/net.th')
    mask = np.zeros((8, 10, 3), np.uint8)
    mask[2:5] = (255, 0, 0)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, mask.shape, np.uint8)).save(folder / 'picture/image.png')
    Image.fromarray(mask).save(folder / 'picture/label.png')
    Image.fromarray(mask).save(folder / 'picture/pred.png')
    (folder / 'trainlog.json').write_text(json.dumps(right_log()), encoding='utf-8')
    return folder


def sentences(output: Path, expected: Expected = EXPECTED) -> list[str]:
    return [finding.sentence().en for finding in check_output(output, expected)]


def test_a_right_output_passes(output):
    assert sentences(output) == [] == sentences(output, Expected())


def test_the_log_of_the_document_passes(output):
    shutil.copyfile(HERE / 'document_trainlog.json', output / 'trainlog.json')
    assert sentences(output, Expected(running=False)) == []


ALL = 'trainlog.json epochs[0].valid[0].values'
ROAD = 'trainlog.json epochs[1].train[2].values'
LOG_FAULTS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ('no key', lambda log: log.pop('best'), 'trainlog.json best: the key is missing'),
    ('strange key', lambda log: log.update(Best=1), 'trainlog.json Best: the key is unknown; allowed: training_id, '),
    ('number as id', lambda log: log.update(training_id=7), 'trainlog.json training_id: is 7; allowed: a text'),
    ('other id', lambda log: log.update(training_id='x'), 'trainlog.json training_id: is x; the parameters'),
    (
        'time',
        lambda log: log.update(create_time='2026-1-2T3'),
        "trainlog.json create_time: is '2026-1-2T3'; allowed: Y",
    ),
    ('ended', lambda log: log.update(end_time='2026-01-02 03:04:06'), 'trainlog.json end_time: is filled in while'),
    ('description', lambda log: log.update(description=['P']), "trainlog.json description: is ['P']; allowed: metric"),
    ('epochs', lambda log: log.update(epochs={}), 'trainlog.json epochs: is {}; allowed: a list'),
    ('behind', lambda log: log['epochs'].pop(), 'trainlog.json epochs: holds 1 epochs at the line [Process: 2/3]'),
    ('gap', lambda log: log['epochs'][1].update(epoch='3'), 'trainlog.json epochs[1].epoch: is \'3\'; expected "2"'),
    ('float epoch', lambda log: log['epochs'][0].update(epoch=1.0), 'trainlog.json epochs[0].epoch: is 1.0; allowed'),
    ('part', lambda log: log['epochs'][0].pop('valid'), 'trainlog.json epochs[0].valid: the key is missing'),
    ('rows', lambda log: log['epochs'][0].update(valid=[{'class': 'all'}]), 'trainlog.json epochs[0].valid: is [{'),
    (
        'no all',
        lambda log: log['epochs'][0]['valid'][0].update({'class': 'mean'}),
        'trainlog.json epochs[0].valid[0].c',
    ),
    ('order', lambda log: log['epochs'][0]['valid'].reverse(), 'trainlog.json epochs[0].valid: the rows are of'),
    ('undescribed', lambda log: log['description'].pop('IoU'), f'{ALL}.IoU: the metric IoU is not in description'),
    (
        'text',
        lambda log: log['epochs'][0]['valid'][0]['values'].update(IoU='0.5'),
        f"{ALL}.IoU: is '0.5'; allowed: a f",
    ),
    (
        'percent',
        lambda log: log['epochs'][0]['valid'][0]['values'].update(IoU=50),
        f'{ALL}.IoU: is 50; allowed: 0 to 1',
    ),
    ('no loss', lambda log: log['epochs'][0]['valid'][0]['values'].pop('loss'), f'{ALL}: the metric loss is missing'),
    ('F1', lambda log: log['epochs'][1]['train'][2]['values'].update(score=0.34), f'{ROAD}.score: is 0.34; from the'),
    (
        'IoU',
        lambda log: log['epochs'][1]['train'][2]['values'].update(IoU=0.21),
        f'{ROAD}.IoU: is 0.21; from the other',
    ),
    (
        'mean',
        lambda log: log['epochs'][0]['valid'][0]['values'].update(score=0.6),
        f'{ALL}.score: is 0.6; the plain me',
    ),
    ('best text', lambda log: log.update(best=''), 'trainlog.json best: is "" although there are epochs'),
    ('best loss', lambda log: log['best'].update(loss=1), 'trainlog.json best.loss: loss does not belong there'),
    ('best list', lambda log: log.update(best=[1]), 'trainlog.json best: is [1]; allowed: "" or {metric: number}'),
]


@pytest.mark.parametrize('change, sentence', [fault[1:] for fault in LOG_FAULTS], ids=[one[0] for one in LOG_FAULTS])
def test_faults_of_the_log(output, change, sentence):
    log = right_log()
    change(log)
    (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
    found = sentences(output)
    assert found and any(one.startswith(sentence) for one in found), found


def test_a_number_that_is_none_is_no_json(output):
    log = right_log()
    log['epochs'][0]['train'][0]['values']['loss'] = math.nan
    (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
    assert sentences(output)[0].startswith('trainlog.json: not JSON: NaN is no JSON number; rewrite the whole file')


def test_no_content_of_a_log_ends_the_judge(output):
    """Values put anywhere: each is named or harmless, and none raises an error."""
    rng = random.Random(0)
    odd = [None, True, -1, 1e308, '', 'x', [], {}, [1], {'a': 1}, '9' * 300, {'class': 'all'}]

    def places(tree):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            if isinstance(tree[key], (dict, list)):
                yield from places(tree[key])

    for _ in range(150):
        log = right_log()
        for _ in range(rng.randint(1, 3)):
            tree, key = rng.choice(list(places(log)))
            tree[key] = rng.choice(odd)
        (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
        for expected in (EXPECTED, Expected()):
            found, read = judge_log(output, expected)
            assert read == log and all(len(finding.sentence().en) < 600 for finding in found)


def test_ends_of_the_log(output):
    log = right_log()
    over = Expected('segmentation', running=False)
    assert sentences(output, over) == ['trainlog.json end_time: is "" although the training has ended']
    (output / 'trainlog.json').write_text(json.dumps({**log, 'end_time': '2026-01-02 03:04:04'}), encoding='utf-8')
    assert sentences(output, over) == ['trainlog.json end_time: is 2026-01-02 03:04:04, before create_time']
    log['epochs'] *= 3
    for index, epoch in enumerate(log['epochs']):
        log['epochs'][index] = {**epoch, 'epoch': str(index + 1)}
    (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
    assert sentences(output)[0].startswith('trainlog.json epochs: already holds 6 epochs at the line [Process: 2/3]')


def test_rows_of_boxes(output):
    log = right_log()
    log['description'] = {'P': '精确度', 'R': '召回率', 'F1_score': 'F1分数', 'mAP': 'mAP'}
    values = {'P': 0.5, 'R': 0.25, 'F1_score': 1 / 3, 'mAP': 0.5}
    only_all = [{'class': 'all', 'values': values}]
    both = [*only_all, {'class': 'road', 'values': values}]
    log['epochs'] = [{'epoch': 1, 'train': only_all, 'valid': only_all}, {'epoch': 2, 'train': both, 'valid': both}]
    log['best'] = {'mAP': 0.5}
    (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
    assert sentences(output, Expected('detection', classes=CLASSES)) == [] == sentences(output, Expected())
    both[1] = {'class': 'road', 'values': {**values, 'F1_score': 0.4}}
    (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
    assert len(sentences(output, Expected())) == 2  # train and valid


def test_faults_of_weights(output, weights, tmp_path):
    import torch

    file = output / 'files/net.th'
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    cut_off = [finding.sentence() for finding in check_output(output, EXPECTED)]
    assert [one.en[:43] for one in cut_off] == ['files/net.th: cannot be loaded: it is cut o']
    assert [one.zh[:18] for one in cut_off] == ['files/net.th: 无法加载']
    file.write_bytes(b'')
    assert [finding.sentence() for finding in check_output(output, EXPECTED)] == cut_off
    file.unlink()
    file.mkdir()
    assert sentences(output)[0].startswith('files/net.th: cannot be opened; it must be a file')
    file.rmdir()

    for content, words in (
        ({'path': tmp_path}, 'files/net.th: holds Python objects besides tensors'),
        ([1, 2], 'it holds list of 2; allowed is a state_dict'),
        ({'epoch': 3}, 'epoch: it holds int; allowed is a state_dict'),
        ({'a': torch.tensor([1.0, math.inf])}, 'the tensor a holds values that are no numbers'),
    ):
        torch.save(content, file)
        found = sentences(output)
        assert len(found) == 1 and words in found[0], found
        assert 'weights_only' not in found[0] and len(found[0]) < 200
    file.write_bytes(whole)
    (output / 'net.th').write_bytes(whole[:-1])
    assert sentences(output)[0].startswith('net.th: it differs from output/files/net.th')
    (output / 'net.th').write_bytes(whole)
    assert sentences(output) == []
    file.rename(output / 'files/other.th')
    assert sentences(output)[0].startswith(
        'files/other.th: the weights are named other.th; the platform looks for net.'
    )
    (output / 'files/other.th').unlink()
    assert sentences(output)[0].startswith('files/: no weights')


def test_a_task_that_is_not_known_is_named_once_and_not_guessed(output):
    for name in ('image.png', 'label.png'):
        (output / 'picture' / name).unlink()
    unknown = 'trainlog.json: does not tell the task, so that neither the metrics nor which pictures'
    (output / 'trainlog.json').write_text('{"training_id": ', encoding='utf-8')
    found = sentences(output, Expected())
    assert [one[: len(unknown)] for one in found[1:]] == [unknown] and found[0].startswith('trainlog.json: not JSON')
    (output / 'picture/pred.png').write_bytes(b'no picture')
    assert sentences(output, Expected())[2].startswith('picture/pred.png: not a readable PNG')
    log = right_log()
    log['epochs'] = [{'epoch': '1', 'train': [{'class': 'all', 'values': {'accuracy': 0.5}}] * 2, 'valid': []}]
    log.update(description={'accuracy': '精度'}, best={'accuracy': 0.5})
    (output / 'trainlog.json').write_text(json.dumps(log), encoding='utf-8')
    (output / 'picture/pred.png').unlink()
    found = sentences(output, Expected(classes=CLASSES))
    assert found[0].startswith('trainlog.json epochs[0].valid: the first row is of class -')
    assert [one[: len(unknown)] for one in found[1:]] == [unknown]


def test_faults_of_pictures(output):
    picture = output / 'picture/pred.png'
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-30])
    assert sentences(output)[0].startswith('picture/pred.png: not a readable PNG')
    Image.new('RGB', (10, 8)).save(picture, 'JPEG')
    assert 'the format is JPEG' in sentences(output)[0]
    Image.new('RGB', (10, 8), (0, 0, 255)).save(picture)  # red and blue exchanged
    assert sentences(output) == [
        'picture/pred.png: holds the colour (0, 0, 255), which is the class_color of no class; '
        'allowed: (0, 0, 0), (255, 0, 0)'
    ]
    Image.new('RGB', (8, 10)).save(picture)
    assert sentences(output)[0].startswith('picture/pred.png: is 8x10 pixels large, image.png is 10x8')
    picture.unlink()
    assert sentences(output) == [
        'picture/pred.png: the file is missing; it must be written before the line [Process: x/y]'
    ]
    missing = [one.split(':')[0] for one in sentences(output, Expected('change'))]
    assert missing == ['picture/A.png', 'picture/B.png', 'picture/pred.png']
