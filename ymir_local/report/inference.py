"""The inference part of the page, with labels and without."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from report_pages.charts import Series, bar_chart, heat_map, line_chart

from ..platform.labels import Dataset
from ..texts import as_text, t
from . import summary
from .evaluation import KINDS, BoxTable, Evaluation, Mistake, evaluate
from .pictures import Album, Mark
from .run_files import RunFiles
from .scenes import Scene, Truth, read_scenes

BINS = 20
MAX_CURVES = 10  # classes with a line of their own
MAX_HISTOGRAMS = 12
MAX_MATRIX = 100
CROPS_PER_KIND = 8
WORST_IMAGES = 8
SAMPLE_IMAGES = 8
CROP_SIDE, IMAGE_SIDE = 200, 460
KIND_NAMES = {
    'wrong class': t('report.wrong class'),
    'badly placed': t('report.badly placed'),
    'background': t('report.on background'),
    'duplicate': t('report.found twice'),
    'missed': t('report.missed'),
}
KIND_NOTES = {
    'wrong class': t('report.overlaps an object of another'),
    'badly placed': t('report.the right class but iou'),
    'background': t('report.nothing of that class is'),
    'duplicate': t('report.the object was found already'),
    'missed': t('report.a labelled object without a'),
}
BACKGROUND = t('report.background')
NOT_FOUND, LEFT_OVER = t('report.not found'), t('report.left over')


def inference_part(
    run: RunFiles, labels: Dataset | None, album: Album, training: RunFiles | None = None
) -> dict[str, Any]:
    """Collect what the template shows of an inference; `run.gaps` gets what is not there.

    Args:
        run: the inference.
        labels: what the user says of the images.
        album: gets the pictures.
        training: the training whose validation images they are.
    """
    names = [name.strip().lower() for name in run.class_names]
    scenes, truth = read_scenes(run, labels, names, training)
    index = {name: k for k, name in enumerate(names)}
    rows, unknown = [], {}
    for k, scene in enumerate(scenes):
        for item in (run.detections or {}).get(scene.name, ()):
            if item.class_name not in index:
                index[item.class_name] = len(names) + len(unknown)  # the platform keeps such objects; so does the page
                unknown[item.class_name] = True
            rows.append((k, index[item.class_name], *item.xywh, item.score))
    if unknown:
        run.gaps.append(t('report.the result names classes that', ', '.join(unknown)))
    shown_names = [*run.class_names, *unknown]
    found = BoxTable.of(rows)
    missing = sum(scene.name not in (run.detections or {}) for scene in scenes)
    if missing:
        run.gaps.append(t('report.candidates are not in infer-result json', missing))
    part: dict[str, Any] = {
        'of_training': training is not None,
        'num_images': len(scenes),
        'num_boxes': len(found),
        'names': shown_names,
        'num_labels': len(truth.counted),
        'num_ignored': len(truth.ignored),
    }
    labelled = np.array([scene.labelled for scene in scenes], bool)
    part['labelled'] = bool(labelled.any())
    if part['labelled']:
        if not labelled.all():
            run.gaps.append(t('report.of images have no labels', int((~labelled).sum()), len(scenes)))
        judged = found.take(labelled[found.image])
        result = evaluate(judged, truth.counted, len(shown_names), len(scenes), truth.ignored)
        part.update(_with_labels(result, truth, scenes, shown_names, album))
    else:
        part.update(_without_labels(found, scenes, shown_names, album, run))
    return part


def _with_labels(
    result: Evaluation, truth: Truth, scenes: Sequence[Scene], names: Sequence[str], album: Album
) -> dict[str, Any]:
    return {
        'answers': summary.labelled_inference(result, names),
        'evaluation': result,
        'rows': list(zip(names, result.classes)),
        'curves': _precision_recall_chart(result, names),
        'confusion': _confusion_chart(result, names),
        'histograms': _histograms(result.found, names, result.hit, ~result.neutral),
        'num_hidden_histograms': _num_hidden(result.found, names),
        'mistakes': _mistake_groups(result, scenes, names, album),
        'worst': _worst_images(result, truth, scenes, names, album),
    }


def _precision_recall_chart(result: Evaluation, names: Sequence[str]) -> Markup:
    recall = np.linspace(0, 1, 101)
    known = [(name, item) for name, item in zip(names, result.classes) if item.num_truth]
    if not known:
        return Markup('')
    many = len(known) > MAX_CURVES
    series = [
        Series(f'{name} ({item.ap50:.3f})', recall, item.curve, -1 if many else k, 'faint' if many else 'line')
        for k, (name, item) in enumerate(known)
    ]
    if len(known) > 1:
        mean = np.mean([item.curve for _, item in known], axis=0)
        series.append(Series(t('report.all classes', result.map50), recall, mean, 7, 'bold'))
    return line_chart(
        t('report.precision over recall at iou'),
        series,
        t('report.recall share of the objects'),
        t('report.precision share of the boxes'),
        (0, 1),
        (0, 1),
        520,
        330,
    )


def _confusion_chart(result: Evaluation, names: Sequence[str]) -> Markup:
    if len(names) > MAX_MATRIX:
        return Markup('')
    return heat_map(
        t('report.confusion matrix'),
        result.confusion,
        [*names, LEFT_OVER],
        [*names, NOT_FOUND],
        t('report.labelled as'),
        t('report.predicted as'),
    )


def _histograms(
    found: BoxTable, names: Sequence[str], hit: np.ndarray | None = None, judged: np.ndarray | None = None
) -> list[tuple[str, int, Markup]]:
    """Return the score of each class with predictions, those with most first.

    Args:
        found: predictions.
        names: class names.
        hit: (N,) which of them are right; None: unknown.
        judged: (N,) which of them are right or wrong.
    """
    counts = np.bincount(found.label, minlength=len(names))
    edges = np.linspace(0, 1, BINS + 1)
    charts = []
    for label in np.argsort(-counts, kind='stable')[:MAX_HISTOGRAMS]:
        if not counts[label]:
            break
        mine = found.label == label
        scores = np.clip(found.score, 0, 1)
        if hit is None:
            layers = [(t('report.boxes'), np.histogram(scores[mine], edges)[0], 0)]
        else:
            layers = [
                (t('report.right'), np.histogram(scores[mine & hit], edges)[0], 2),
                (t('report.wrong'), np.histogram(scores[mine & judged & ~hit], edges)[0], 1),
            ]
        title = t('report.scores of', names[label])
        charts.append((names[label], int(counts[label]), bar_chart(title, edges, layers, t('report.score'))))
    return charts


def _num_hidden(found: BoxTable, names: Sequence[str]) -> int:
    return max(int((np.bincount(found.label, minlength=len(names)) > 0).sum()) - MAX_HISTOGRAMS, 0)


def _mistake_groups(
    result: Evaluation, scenes: Sequence[Scene], names: Sequence[str], album: Album
) -> list[dict[str, Any]]:
    """Return the kinds of mistakes, the most common first, each with its most confident mistakes."""
    groups = []
    for kind in KINDS:
        items = [item for item in result.mistakes if item.kind == kind]
        cards = []
        for item in items[:CROPS_PER_KIND]:
            cards.append(_mistake_card(item, result, scenes[item.image], names, album))
        if items:
            groups.append(
                {
                    'anchor': kind.replace(' ', '-'),
                    'name': KIND_NAMES[kind],
                    'note': KIND_NOTES[kind],
                    'count': len(items),
                    'cards': cards,
                }
            )
    return sorted(groups, key=lambda group: -group['count'])


def _mistake_card(
    item: Mistake, result: Evaluation, scene: Scene, names: Sequence[str], album: Album
) -> dict[str, Any]:
    marks, spans = [], []
    labelled = predicted = ''
    score = float('nan')
    if item.truth >= 0:
        labelled = names[result.truth.label[item.truth]]
        spans.append(result.truth.xywh[item.truth])
        marks.append(Mark(tuple(spans[-1]), '', 'missed' if item.found < 0 else 'truth'))
    if item.found >= 0:
        predicted = names[result.found.label[item.found]]
        score = float(result.found.score[item.found])
        spans.append(result.found.xywh[item.found])
        marks.append(Mark(tuple(spans[-1]), '', 'wrong'))
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in spans])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    picture = album.crop(scene.path, (*low, *(high - low)), CROP_SIDE)
    label = t(
        'report.labelled predicted', KIND_NAMES[item.kind], labelled or BACKGROUND, predicted or t('report.nothing')
    )
    return {
        'picture': picture,
        'svg': picture.svg(label, marks),
        'labelled': labelled,
        'predicted': predicted,
        'score': score,
        'file': scene.title,
    }


def _worst_images(
    result: Evaluation, truth: Truth, scenes: Sequence[Scene], names: Sequence[str], album: Album
) -> list[dict[str, Any]]:
    """Return the images with most mistakes, labels left and predictions right; without any mistake the fullest."""
    full = np.bincount(result.truth.image, minlength=len(scenes))
    order = np.argsort(-(result.errors if result.errors.any() else full), kind='stable')[:WORST_IMAGES].tolist()
    order = [k for k in order if result.errors[k] or not result.errors.any() and full[k]]
    found_rows = set(result.matched[result.matched >= 0].tolist())
    cards = []
    for k in order:
        picture = album.whole(scenes[k].path, IMAGE_SIDE)
        truth_rows = np.flatnonzero(result.truth.image == k).tolist()
        pred_rows = np.flatnonzero((result.found.image == k) & (result.found.score >= result.score))
        pred_rows = pred_rows[np.argsort(result.found.score[pred_rows], kind='stable')].tolist()
        left = [
            Mark(tuple(truth.ignored.xywh[row]), names[truth.ignored.label[row]], 'neutral')
            for row in np.flatnonzero(truth.ignored.image == k).tolist()
        ]
        left += [
            Mark(
                tuple(result.truth.xywh[row]),
                names[result.truth.label[row]],
                'truth' if row in found_rows else 'missed',
            )
            for row in truth_rows
        ]
        right = [
            Mark(
                tuple(result.found.xywh[row]),
                names[result.found.label[row]],
                'neutral' if result.neutral[row] else 'right' if result.matched[row] >= 0 else 'wrong',
                f' {result.found.score[row]:.2f}',
            )
            for row in pred_rows
        ]
        cards.append(
            {
                'picture': picture,
                'file': scenes[k].title,
                'errors': int(result.errors[k]),
                'left': picture.svg(t('report.labels of', scenes[k].title), left),
                'right': picture.svg(t('report.predictions of', scenes[k].title), right),
                'num_truth': len(truth_rows),
                'num_found': sum(mark.kind != 'neutral' for mark in right),
                'num_right': sum(mark.kind == 'right' for mark in right),
            }
        )
    return cards


def _without_labels(
    found: BoxTable, scenes: Sequence[Scene], names: Sequence[str], album: Album, run: RunFiles
) -> dict[str, Any]:
    """Return counts, score histograms, and images: those found with least confidence, without boxes, and with most."""
    counts = np.bincount(found.label, minlength=len(names))
    images_with = [len(np.unique(found.image[found.label == k])) for k in range(len(names))]
    means = [float(found.score[found.label == k].mean()) if counts[k] else float('nan') for k in range(len(names))]
    per_image = np.bincount(found.image, minlength=len(scenes))
    best = np.zeros(len(scenes))
    np.maximum.at(best, found.image, found.score)
    with_boxes = np.flatnonzero(per_image)
    doubtful = with_boxes[np.argsort(best[with_boxes], kind='stable')][:SAMPLE_IMAGES].tolist()
    empty = [k for k in np.flatnonzero(per_image == 0).tolist() if scenes[k].name not in run.skipped]
    fullest = with_boxes[np.argsort(-per_image[with_boxes], kind='stable')].tolist()
    most = [k for k in fullest if k not in doubtful][:SAMPLE_IMAGES]
    samples = [
        (title, [_sample(k, found, scenes[k], names, album) for k in rows])
        for title, rows in (
            (t('report.images whose best score is'), doubtful),
            (t('report.images without boxes'), empty[:SAMPLE_IMAGES]),
            (t('report.images with most boxes'), most),
        )
        if rows
    ]
    num_empty = len(empty)
    return {
        'answers': summary.plain_inference(len(with_boxes) + num_empty, len(found), num_empty, run.ranking is not None),
        'rows': list(zip(names, counts.tolist(), images_with, means)),
        'histograms': _histograms(found, names),
        'num_hidden_histograms': _num_hidden(found, names),
        'num_empty': num_empty,
        'samples': samples,
    }


def _sample(k: int, found: BoxTable, scene: Scene, names: Sequence[str], album: Album) -> dict[str, Any]:
    picture = album.whole(scene.path, 300)
    rows = np.flatnonzero(found.image == k)
    marks = [
        Mark(tuple(found.xywh[row]), names[found.label[row]], 'plain', f' {found.score[row]:.2f}')
        for row in rows[np.argsort(found.score[rows], kind='stable')]
    ]
    label = t('report.image and boxes', as_text(scene.title), len(rows))
    return {'picture': picture, 'svg': picture.svg(label, marks), 'file': scene.title, 'count': len(rows)}
