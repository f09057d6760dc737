"""The first lines of the page: how good the model is, what goes wrong, what to do next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .charts import number
from .evaluation import KINDS, Evaluation
from .text import Text

QUALITY = Text('How good it is', '效果如何')
FAULTS = Text('What goes wrong', '问题在哪')
NEXT = Text('What to do next', '下一步')
QUESTIONS = (QUALITY, FAULTS, NEXT)
# At least this share, in words.
SHARES = (
    (1.0, Text('all', '全部')),
    (0.95, Text('nearly all', '几乎全部')),
    (0.75, Text('most', '大部分')),
    (0.5 + 1e-9, Text('more than half', '一半以上')),
    (0.5, Text('half', '一半')),
    (0.25, Text('fewer than half', '不到一半')),
    (1e-9, Text('few', '少数')),
    (0.0, Text('none', '零个')),
)
KIND_COUNTS = {
    'missed': Text('{} missed', '漏检 {}'),
    'background': Text('{} on background', '误检背景 {}'),
    'wrong class': Text('{} of the wrong class', '类别错误 {}'),
    'badly placed': Text('{} badly placed', '位置不准 {}'),
    'duplicate': Text('{} found twice', '重复检测 {}'),
}
FEW_OBJECTS = 100  # labels below which a number may be off by a tenth
FEW_EXAMPLES = 50  # training objects of a class
WEAKEST = 3
Answers = dict[Text, list['Sentence']]


class Sentence(NamedTuple):
    """A sentence, and the id of the part of the page that shows more."""

    text: Text
    anchor: str = ''


def share_of(part: int, whole: int) -> Text:
    """Return a share in words: 'most' for 8 of 10."""
    share = part / whole if whole else 0.0
    return next(words for least, words in SHARES if share >= least)


def labelled_inference(result: Evaluation, names: Sequence[str]) -> Answers:
    """Return the answers for an inference whose images have labels.

    Args:
        result: the comparison.
        names: class names.
    """
    num_truth = len(result.truth)
    found = int((result.matched >= 0).sum())
    shown = sum(item.num_predicted for item in result.classes)
    if not num_truth:
        return {
            QUALITY: [Sentence(Text('No object is labelled, so there is no accuracy.', '没有标注目标，无法计算精度。'))]
        }
    if not len(result.found):
        return {
            QUALITY: [
                Sentence(Text('None of the {} labelled objects is found.', '{} 个标注目标全部漏检。').format(num_truth))
            ],
            NEXT: [
                Sentence(
                    Text(
                        'Check that the model belongs to these images, or lower conf_threshold.',
                        '请确认模型适用于这些图像，或降低 conf_threshold。',
                    )
                )
            ],
        }
    quality = [
        Sentence(
            Text(
                'Of the labelled objects {} are found ({:,} of {:,}); of the boxes {} are right ({:,} of {:,}). '
                'Counted are boxes with a score of {} or more, where the balance is best.',
                '标注目标检出{}（{:,} / {:,}）；预测框{}正确（{:,} / {:,}）。'
                '只统计得分不低于 {} 的框（此时两者最均衡）。',
            ).format(
                share_of(found, num_truth),
                found,
                num_truth,
                share_of(found, shown),
                found,
                shown,
                f'{result.score:.2f}',
            ),
            'classes',
        ),
        Sentence(
            Text(
                'mAP50 {}, mAP (IoU 0.5 to 0.95) {}; 1 is perfect.',
                'mAP50 为 {}，mAP（IoU 0.5 至 0.95）为 {}；满分为 1。',
            ).format(f'{result.map50:.3f}', f'{result.map:.3f}')
        ),
    ]
    if num_truth < FEW_OBJECTS:
        quality.append(
            Sentence(
                Text(
                    'With only {} labelled objects these numbers are rough.', '标注目标仅 {} 个，以上数值仅供参考。'
                ).format(num_truth)
            )
        )
    return {QUALITY: quality, FAULTS: _faults(result, names), NEXT: _advice(result, names)}


def _faults(result: Evaluation, names: Sequence[str]) -> list[Sentence]:
    counts = _kind_counts(result)
    if not counts:
        return [Sentence(Text('There are no mistakes on these images.', '这些图像上没有错误。'))]
    listed = [KIND_COUNTS[kind].format(f'{count:,}') for kind, count in counts.items()]
    kinds = Text(', '.join(item.en for item in listed), '，'.join(item.zh for item in listed))
    sentences = [Sentence(kinds, 'mistakes')]
    known = [(item.ap50, name) for item, name in zip(result.classes, names) if item.num_truth]
    if len(known) > 1:
        weakest = ', '.join(f'{name} ({ap50:.3f})' for ap50, name in sorted(known)[: min(WEAKEST, len(known) - 1)])
        sentences.append(Sentence(Text('Weakest by AP50: {}', 'AP50 最低的类别：{}').format(weakest), 'classes'))
    if 'wrong class' in counts:
        label, prediction, count = _most_confused(result)
        sentences.append(
            Sentence(
                Text(
                    'Wrong class most often: {} where {} is labelled ({})',
                    '最常见的类别错误：预测为 {}，标注为 {}（{} 次）',
                ).format(names[prediction], names[label], count),
                'wrong-class',
            )
        )
    return sentences


def _advice(result: Evaluation, names: Sequence[str]) -> list[Sentence]:
    kind = next(iter(_kind_counts(result)), '')
    if kind == 'missed':
        missed = np.bincount(
            [result.truth.label[item.truth] for item in result.mistakes if item.kind == 'missed'], minlength=len(names)
        )
        worst = int(missed.argmax())
        text = Text(
            'Missed objects are the commonest mistake: label more images with {} ({} of {} missed), those that look '
            'like the missed ones first.',
            '最常见的错误是漏检：请优先标注更多含“{}”的图像（{} / {} 漏检），尤其是与漏检示例相似的图像。',
        ).format(names[worst], int(missed[worst]), result.classes[worst].num_truth)
    elif kind == 'background':
        text = Text(
            'Boxes on background are the commonest mistake: where there is an object after all, add its missing '
            'label; where there is none, add such images without objects to the training set.',
            '最常见的错误是误检背景：若该处确有目标，请补充标注；若没有目标，请将此类无目标图像加入训练集。',
        )
    elif kind == 'wrong class':
        label, prediction, _ = _most_confused(result)
        text = Text(
            'A wrong class is the commonest mistake: check the labels of {0} and {1}, then label more of both.',
            '最常见的错误是类别错误：请检查“{}”和“{}”的标注，并补充两者的样本。',
        ).format(names[label], names[prediction])
    elif kind == 'badly placed':
        text = Text(
            'Badly placed boxes are the commonest mistake: check how tightly the labels are drawn.',
            '最常见的错误是位置不准：请检查标注框是否紧贴目标。',
        )
    elif kind == 'duplicate':
        text = Text(
            'Objects found twice are the commonest mistake: lower iou_threshold.',
            '最常见的错误是重复检测：请降低 iou_threshold。',
        )
    else:
        return [
            Sentence(
                Text('Try images that are harder: ymir mine finds them.', '请尝试更难的图像：可用 ymir mine 挑选。')
            )
        ]
    return [Sentence(text, kind.replace(' ', '-'))]


def _kind_counts(result: Evaluation) -> dict[str, int]:
    """Return the kinds of mistakes that occur, the commonest first."""
    counts = {kind: sum(item.kind == kind for item in result.mistakes) for kind in KINDS}
    return {kind: count for kind, count in sorted(counts.items(), key=lambda row: -row[1]) if count}


def _most_confused(result: Evaluation) -> tuple[int, int, int]:
    """Return the class of the label, class of the prediction, and how often; there is at least one such mistake."""
    pairs = Counter(
        (int(result.truth.label[item.truth]), int(result.found.label[item.found]))
        for item in result.mistakes
        if item.kind == 'wrong class'
    )
    (label, prediction), count = pairs.most_common(1)[0]
    return label, prediction, count


def plain_inference(num_images: int, num_boxes: int, num_empty: int, ranked: bool) -> Answers:
    """Return the answers for an inference whose images have no labels.

    Args:
        num_images: all images.
        num_boxes: all boxes.
        num_empty: images without boxes.
        ranked: a mining of the same run says what to label next.
    """
    found = Text(
        '{:,} boxes in {:,} of {:,} images. Whether they are right is unknown without labels.',
        '共 {:,} 个框，分布在 {:,} / {:,} 张图像中。没有标注，无法判断是否正确。',
    ).format(num_boxes, num_images - num_empty, num_images)
    advice = Text(
        'Label first the images with low best scores and those without boxes; ymir mine ranks all of them.',
        '请优先标注最高得分低的图像和没有框的图像；ymir mine 可对所有图像排序。',
    )
    return {QUALITY: [Sentence(found)], NEXT: [] if ranked or not num_images else [Sentence(advice, 'samples')]}


def training(
    metrics: Mapping[str, float],
    best_epoch: object,
    curve: np.ndarray | None,
    num_val: int,
    objects: Sequence[Sequence[int]],
    names: Sequence[str],
    evaluated: bool = False,
) -> Answers:
    """Return the answers for a training.

    Args:
        metrics: of the best stage, 'mAP' and perhaps 'mAP_50'; empty if nothing was saved.
        best_epoch: when it was reached, '' if unknown.
        curve: (N,) accuracy at each validation; None if unknown.
        num_val: validation images.
        objects: training and validation objects of each class; empty if unknown.
        names: class names.
        evaluated: the page also shows what the model finds in the validation images.
    """
    answers: Answers = {QUALITY: [], FAULTS: [], NEXT: []}
    if 'mAP' not in metrics:
        answers[QUALITY].append(Sentence(Text('No model was saved.', '没有保存模型。')))
        return answers
    best = metrics['mAP']
    text = Text('The best model has mAP {}', '最佳模型的 mAP 为 {}').format(f'{best:.3f}')
    if 'mAP_50' in metrics:
        text = Text('{} (mAP50 {})', '{}（mAP50 {}）').format(text, f'{metrics["mAP_50"]:.3f}')
    if best_epoch != '':
        text = Text('{}, reached in epoch {}', '{}，在第 {} 轮达到').format(text, best_epoch)
    answers[QUALITY].append(Sentence(Text('{}; 1 is perfect.', '{}；满分为 1。').format(text), 'models'))
    num_objects = sum(row[1] for row in objects)
    if 0 < num_objects < FEW_OBJECTS:
        answers[QUALITY].append(
            Sentence(
                Text(
                    'It was measured on {} images with {} objects only, so it is rough.',
                    '验证集只有 {} 张图像、{} 个目标，该数值仅供参考。',
                ).format(num_val, num_objects)
            )
        )
    if curve is not None and len(curve) >= 4:
        answers[FAULTS].append(Sentence(_course(curve), 'curves'))
    answers[NEXT] += _examples_wanted(objects, names)
    if not evaluated:
        answers[NEXT].append(
            Sentence(
                Text(
                    'To see its accuracy by class and its mistakes on the validation images: '
                    'ymir report RUN --evaluate',
                    '查看模型在验证图像上各类别的精度及其错误：ymir report RUN --evaluate',
                )
            )
        )
    return answers


def _course(curve: np.ndarray) -> Text:
    """Return how accuracy went, from the last quarter of it."""
    best, quarter = float(np.max(curve)), max(len(curve) // 4, 1)
    last, before = float(np.mean(curve[-quarter:])), float(np.mean(curve[-2 * quarter : -quarter]))
    if best < 0.01:
        return Text(
            'It has learned next to nothing: check labels and learning rate, or train longer.',
            '几乎没有学到内容：请检查标注和学习率，或增加训练轮数。',
        )
    if last > before * 1.03:
        return Text(
            'Accuracy was still rising at the end: more epochs are likely to help.',
            '精度在结束时仍在上升：增加轮数可能有帮助。',
        )
    if curve[-1] < 0.9 * best:
        return Text(
            'Accuracy fell from {} to {} at the end: use the best stage, not the last.',
            '精度从 {} 降到结束时的 {}：请使用最佳阶段而非最后阶段。',
        ).format(f'{best:.3f}', f'{curve[-1]:.3f}')
    return Text(
        'Accuracy has levelled off: more images will help more than more epochs.',
        '精度已趋于平稳：增加图像比增加轮数更有效。',
    )


def _examples_wanted(objects: Sequence[Sequence[int]], names: Sequence[str]) -> list[Sentence]:
    counts = [row[0] for row in objects]
    if not counts or not sum(counts):
        return []
    few = [(count, name) for count, name in zip(counts, names) if count < max(FEW_EXAMPLES, max(counts) / 10)]
    if not few:
        return []
    listed = ', '.join(f'{name} ({count})' for count, name in sorted(few)[:WEAKEST])
    return [
        Sentence(
            Text(
                'Label more objects of the classes with few training objects: {}', '请为训练目标较少的类别补充标注：{}'
            ).format(listed),
            'data',
        )
    ]


def mining(num_images: int, num_shown: int, is_random: bool, high: float, median: float) -> Answers:
    """Return the answers for a mining.

    Args:
        num_images: in the ranking.
        num_shown: of its top.
        is_random: the order is drawn by lot.
        high: the highest score.
        median: of the scores.
    """
    if not num_images:
        return {}
    text = Text(
        'Label images from the top of the ranking: the first {} of {:,} are shown below, with a list of files.',
        '请从排名最前的图像开始标注：下面显示前 {} 张（共 {:,} 张），并附文件列表。',
    ).format(num_shown, num_images)
    if is_random:
        text = Text(
            'The order is random: any images will do; mining_algorithm=entropy puts doubtful ones first.',
            '顺序是随机的：标注哪些图像都一样；mining_algorithm=entropy 会将不确定的图像排在前面。',
        )
    elif np.isfinite(high) and high > median:
        text = Text(
            '{} Scores fall from {} at the top to {} in the middle.', '{}得分从最前的 {} 降到中间的 {}。'
        ).format(text, number(high), number(median))
    return {NEXT: [Sentence(text, 'top')]}


def merged(parts: Sequence[Answers]) -> Answers:
    """Return the answers of all parts of a page by question, in order; leave out questions without an answer."""
    joined = {question: [item for part in parts for item in part.get(question, [])] for question in QUESTIONS}
    return {question: items for question, items in joined.items() if items}
