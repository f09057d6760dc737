"""The first lines of a page: what is good, what is wrong, what to do next."""

import re

import numpy as np
import pytest
import yaml

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import report
from ymir_local.report import summary
from ymir_local.report.evaluation import BoxTable, evaluate
from ymir_local.report.summary import FAULTS, NEXT, QUALITY

TRUTH = [(k, k % 2, 0, 0, 10, 10, 1) for k in range(10)]  # one object in each of ten images, of two classes in turn


def sentences(answers, question):
    return [item.text.en for item in answers.get(question, [])]


@pytest.mark.parametrize(
    'part, whole, words',
    [
        (0, 3, 'none'),
        (1, 9, 'few'),
        (1, 4, 'fewer than half'),
        (1, 2, 'half'),
        (6, 10, 'more than half'),
        (3, 4, 'most'),
        (19, 20, 'nearly all'),
        (5, 5, 'all'),
        (0, 0, 'none'),
    ],
)
def test_shares_in_words(part, whole, words):
    assert summary.share_of(part, whole).en == words


def answers_for(found):
    return summary.labelled_inference(evaluate(BoxTable.of(found), BoxTable.of(TRUTH), 2, 10), ['cat', 'dog'])


def test_missed_objects():
    answers = answers_for([(*row[:6], 0.9) for row in TRUTH if row[1] == 0][:4])
    assert sentences(answers, QUALITY)[0].startswith(
        'Of the labelled objects fewer than half are found (4 of 10); of the boxes all are right (4 of 4). Counted are '
        'boxes with a score of 0.90 or more'
    )
    assert sentences(answers, QUALITY)[1:] == [
        'mAP50 0.401, mAP (IoU 0.5 to 0.95) 0.401; 1 is perfect.',  # recall 0.8 of cats: 81 of 101, and no dogs
        'With only 10 labelled objects these numbers are rough.',
    ]
    assert sentences(answers, FAULTS) == ['6 missed', 'Weakest by AP50: dog (0.000)']
    assert sentences(answers, NEXT) == [
        'Missed objects are the most common mistake: label more images with dog (5 of 5 missed), those that look like '
        'the missed ones first.'
    ]


@pytest.mark.parametrize(
    'change, fault, advice',
    [
        (lambda row: (*row[:6], 0.9), 'There are no mistakes on these images.', 'Try images that are harder'),
        (
            lambda row: (row[0], 1 - row[1], *row[2:6], 0.9) if row[0] else (*row[:6], 0.9),
            '9 of the wrong class',
            'check the labels of dog and cat, then label more of both',
        ),
        (
            lambda row: (row[0], row[1], 5, 0, 10, 10, 0.9) if row[0] else (*row[:6], 0.9),
            '9 badly placed',
            'check how tightly the labels are drawn',
        ),
    ],
)
def test_faults_and_advice(change, fault, advice):
    answers = answers_for([change(row) for row in TRUTH])
    assert sentences(answers, FAULTS)[0] == fault and advice in sentences(answers, NEXT)[0]


def test_boxes_on_background_and_found_twice():
    right = [(*row[:6], 0.9) for row in TRUTH]
    background = answers_for(right + [(k, 0, 50, 50, 5, 5, 0.95) for k in range(3)])
    assert sentences(background, FAULTS)[0] == '3 on background'
    assert 'add its missing label' in sentences(background, NEXT)[0]
    twice = answers_for(right + [(k, k % 2, 1, 0, 10, 10, 0.9) for k in range(3)])
    assert sentences(twice, FAULTS)[0] == '3 found twice' and 'lower iou_threshold' in sentences(twice, NEXT)[0]


def test_nothing_found_and_nothing_labelled():
    assert sentences(answers_for([]), QUALITY) == ['None of the 10 labelled objects is found.']
    empty = summary.labelled_inference(evaluate(BoxTable.of([(0, 0, 0, 0, 9, 9, 0.5)]), BoxTable.of([]), 1, 1), ['cat'])
    assert sentences(empty, QUALITY) == ['No object is labelled, so there is no accuracy.']


@pytest.mark.parametrize(
    'curve, told',
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 'still rising'),
        ([0.1, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6], 'levelled off'),
        ([0.1, 0.4, 0.6, 0.6, 0.6, 0.6, 0.5, 0.4], 'fell from 0.600 to 0.400'),
        ([0.0, 0.0, 0.001, 0.0], 'next to nothing'),
        ([0.1, 0.2], ''),
    ],
)
def test_the_course_of_a_training(curve, told):
    answers = summary.training({'mAP': max(curve)}, 3, np.array(curve), 50, [(200, 100)], ['cat'])
    assert told in ' '.join(sentences(answers, FAULTS)) and bool(told) == bool(sentences(answers, FAULTS))
    assert sentences(answers, QUALITY) == [
        f'The best model has mAP {max(curve):.3f}, reached in epoch 3; 1 is perfect.'
    ]


def test_classes_with_few_training_objects():
    answers = summary.training({'mAP': 0.5}, '', None, 9, [(2000, 50), (150, 9), (49, 2)], ['cat', 'dog', 'cow'])
    assert sentences(answers, NEXT)[0].endswith('few training objects: cow (49), dog (150)')
    assert 'measured on 9 images with 61 objects' in sentences(answers, QUALITY)[1]
    assert sentences(summary.training({}, '', None, 0, (), []), QUALITY) == ['No model was saved.']


def test_mining_says_where_to_begin(tmp_path, images, class_names):
    objects = [[('star', 0.5, 1, 1, 9, 9)] * (k + 1) for k in range(len(images))]
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    runs.write_detections(task, objects)
    runs.write_ranking(task, objects)
    runs.finish(task)
    page = report(task, tmp_path).html
    assert (
        'the first 6 of 6 are shown below, with a list of files. Scores fall from 3 at the top to 1.75 in the middle.'
    ) in page
    assert '21 boxes in 6 of 6 images' in page and 'ymir mine ranks' not in page
    config = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump(dict(config, mining_algorithm='random')))
    assert 'The order is random' in report(task, tmp_path).html


def test_what_a_sentence_points_to_is_there(inference, training, tmp_path, images, class_names):
    for task, options in ((inference, {'labels': runs.dataset(images, class_names)}), (inference, {}), (training, {})):
        html = report(task, tmp_path, **options).html
        targets = set(re.findall(r'<a href="#([^"]+)"', html))
        assert targets and targets <= set(re.findall(r' id="([^"]+)"', html))
