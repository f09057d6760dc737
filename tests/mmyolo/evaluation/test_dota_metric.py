"""Average precision of rotated boxes against hand-computed values and the definition."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmyolo.evaluation import DOTAMetric
from mmyolo.standins.mmcv import box_iou_rotated
from mmyolo.standins.mmrotate.rotated_map import average_precision
from mmyolo.standins.mmrotate.structures import RotatedBoxes


@pytest.mark.parametrize(
    'recall, precision, eleven, area',
    [
        ([], [], 0, 0),
        ([1.0], [1.0], 1, 1),
        ([0.5, 0.5, 1.0], [1.0, 0.5, 2 / 3], (6 + 5 * 2 / 3) / 11, 0.5 + 0.5 * 2 / 3),
        ([0.3], [0.6], 4 * 0.6 / 11, 0.18),
        ([0.0, 0.5], [0.0, 0.5], 6 * 0.5 / 11, 0.25),
    ],
)
def test_average_precision(recall, precision, eleven, area):
    recall, precision = np.array(recall), np.array(precision)
    assert average_precision(recall, precision, '11points') == pytest.approx(eleven)
    assert average_precision(recall, precision, 'area') == pytest.approx(area)


def sample(img_id, boxes, scores, labels, gt_boxes, gt_labels, ignored=(), as_type=True):
    """A data sample as a dictionary; the last objects can be ignored ones."""
    rows = torch.tensor(gt_boxes, dtype=torch.float).reshape(-1, 5)
    gt_labels = torch.tensor(gt_labels, dtype=torch.long)
    kept = len(rows) - len(ignored)
    pred = torch.tensor(boxes, dtype=torch.float).reshape(-1, 5)
    return {
        'img_id': img_id,
        'pred_instances': {
            'bboxes': RotatedBoxes(pred) if as_type else pred,
            'scores': torch.tensor(scores, dtype=torch.float),
            'labels': torch.tensor(labels, dtype=torch.long),
        },
        'gt_instances': InstanceData(bboxes=rows[:kept], labels=gt_labels[:kept]).to_dict(),
        'ignored_instances': InstanceData(bboxes=rows[kept:], labels=gt_labels[kept:]).to_dict(),
    }


def evaluate(samples, classes=('a', 'b'), **kwargs):
    metric = DOTAMetric(**kwargs)
    metric.dataset_meta = {'classes': classes}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


A, B, C = [20, 20, 16, 8, 0.3], [60, 20, 16, 8, 1.2], [20, 60, 16, 8, -0.6]


@pytest.mark.parametrize('as_type', [True, False])
def test_by_hand(as_type):
    """Class a: right, twice the same, wrong class; class b: an ignored object and one that is missed."""
    samples = [
        sample(0, [A, A, B], [0.9, 0.8, 0.7], [0, 0, 0], [A, C], [0, 0], as_type=as_type),
        sample(1, [C, A], [0.95, 0.6], [1, 1], [A, B, C], [1, 1, 1], ignored=[2], as_type=as_type),
        sample(2, [], [], [], [], []),
    ]
    values = evaluate(samples, iou_thrs=[0.5], eval_mode='area')
    # a: right, wrong, wrong of 2 objects; b: (ignored), right of 2 objects
    assert values['dota/AP50'] == pytest.approx((0.5 + 0.5) / 2)
    values = evaluate(samples, eval_mode='11points')
    assert values == pytest.approx({'dota/mAP': 6 / 11, 'dota/AP50': 6 / 11})


def test_against_the_definition():
    random = np.random.RandomState(0)

    def boxes(count):
        return random.uniform((0, 0, 8, 4, -3), (60, 60, 20, 12, 3), (count, 5))

    samples = []
    for index in range(12):
        truth = boxes(6)
        found = np.concatenate((truth[:5] + random.normal(0, 1, (5, 5)) * (1, 1, 1, 1, 0.05), boxes(4), truth[:2]))
        samples.append(sample(index, found, random.rand(11), [0] * 11, truth, [0] * 6, ignored=[5]))
    for iou_thr in (0.3, 0.5, 0.7):
        rows, total = [], 0
        for one in samples:
            pred = one['pred_instances']
            truth = torch.cat((one['gt_instances']['bboxes'], one['ignored_instances']['bboxes']))
            total += 5
            iou, taken = box_iou_rotated(pred['bboxes'].tensor, truth), set()
            for index in pred['scores'].argsort(descending=True).tolist():
                best = int(iou[index].argmax())
                hit = iou[index, best] >= iou_thr
                if hit and best == 5:
                    continue
                rows.append((float(pred['scores'][index]), hit and best not in taken))
                taken |= {best} if hit else set()
        rows.sort(reverse=True)
        right = np.cumsum([hit for _, hit in rows])
        recall, precision = right / total, right / np.arange(1, len(rows) + 1)
        eleven = np.mean([max(precision[recall >= t / 10 - 1e-9], default=0) for t in range(11)])
        found = evaluate(samples, ('a',), iou_thrs=iou_thr)
        assert found['dota/mAP'] == pytest.approx(eleven) and 0.1 < eleven < 1


def test_without_objects():
    values = evaluate([sample(0, [A], [0.9], [0], [], [])])
    assert values['dota/mAP'] == -1
    assert evaluate([sample(0, [], [], [], [A], [0])])['dota/mAP'] == 0


def test_merged_patches():
    metric = DOTAMetric(format_only=True, outfile_prefix='unused', merge_patches=True)
    near = [A[0] + 100 + 1, *A[1:]]
    samples = [
        sample('P_1__128__0___0', [[120, 20, 16, 8, 0.3]], [0.7], [0], [], []),
        sample('P_1__128__100___0', [A, B], [0.9, 0.4], [0, 0], [], []),
        sample('P_1__128__100___0', [A], [0.6], [1], [], []),
        sample('whole', [near], [0.5], [0], [], []),
    ]
    metric.process({}, samples)
    joined = {one['img_id']: one for one in metric.merged(metric.results)}
    assert set(joined) == {'P_1', 'whole'}
    assert joined['P_1']['scores'].tolist() == pytest.approx([0.9, 0.6, 0.4])
    assert joined['P_1']['labels'].tolist() == [0, 1, 0]
    torch.testing.assert_close(joined['P_1']['bboxes'][0], torch.tensor([120, *A[1:]], dtype=torch.float))


@pytest.mark.parametrize(
    'kwargs', [{'metric': 'AR'}, {'eval_mode': '12points'}, {'format_only': True}, {'predict_box_type': 'hbox'}]
)
def test_wrong_settings(kwargs):
    with pytest.raises((KeyError, ValueError), match='allowed|outfile_prefix'):
        DOTAMetric(**kwargs)
