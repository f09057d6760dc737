"""The mining part of the page: the ranking, and why its first images stand where they do.

What the order is made of stands in mining-summary.json, if the executor wrote it and it is still there. Without it the
page shows the ranking and, after a mining with inference, the boxes; the scores of this executor only repeat the order.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from report_pages.charts import bar_chart, number
from ymir_exc.mining_summary import LABELLED, MAX_FIRST, MAX_POINTS, FirstImage, MiningSummary
from ymir_exc.reading import DetectedObject, scores_repeat_the_order

from ..texts import Text, as_text, t
from . import summary
from .pictures import Album, Mark
from .point_map import Cloud, Spot, point_map
from .run_files import RunFiles

TOP, BOTTOM = 24, 8  # TOP: at once; what is known of the further ones is folded away
NAMED = 200  # of the top, whose files are listed
SIDE = 260
MAX_NAMED = 3  # boxes whose names stand beside the uncertainty
MAX_DRAWN = 25  # boxes in a picture, those that count most; boxes of low scores may be hundreds
MOST = 0.5  # boxes that make up so much of the uncertainty are marked
UNREADABLE = -1e300  # MiningResultWriter gives images without a score the lowest float
DOUBTFUL = 0.5
FOREIGN = t('report.the score is all that')
ONLY_ORDER = t('report.the scores of result tsv')
NO_IMAGE = t('report.the image could not be')
# Parts of the pool on its map by their end, as a share of the ranking; the best are drawn last.
PARTS = ((0.1, t('report.first 10 of the'), 'p0'), (0.3, t('report.10 to 30'), 'p1'), (1.0, t('report.the rest'), 'p2'))
SPOTS = {'pick': t('report.first images of the'), 'explored': t('report.of them explored')}
# What an executor says that it did not know of the labelled images, by its sentence.
FALLBACKS = {
    text.en: text
    for text in (
        t('report.fallback file'),
        t('report.fallback calibration'),
        t('report.fallback boxes'),
        t('report.fallback precision'),
        t('report.fallback images'),
    )
}


def mining_part(run: RunFiles, album: Album) -> dict[str, Any]:
    """Collect what the template shows of a mining; `run.gaps` gets what is not there."""
    ranking = run.ranking or []
    scores = [score for _, score in ranking]
    _tell_faults(run, scores)
    known = run.mining
    algorithm = known.algorithm if known else str(run.config.get('mining_algorithm') or '').strip().lower()
    own = known is not None or run.is_of_this_executor('mining')
    sources = dict(zip(run.candidates, run.sources)) if len(run.sources) == len(run.candidates) else {}
    cards = _Cards(run, sources, album, own)
    first = [cards.explained(rank, image) for rank, image in enumerate(known.first[:MAX_FIRST])] if known else []
    top = [*first[:TOP], *(cards.plain(rank) for rank in range(len(first), min(TOP, len(ranking))))]
    further = first[TOP:]
    bottom = [cards.plain(rank) for rank in range(max(len(ranking) - BOTTOM, len(top) + len(further)), len(ranking))]
    if own and known is None and ranking:
        run.gaps.append(t('report.there is no out/mining-summary json'))
    repeats = cards.scores_repeat_the_order
    finite = [] if repeats else [score for score in scores if math.isfinite(score) and score >= UNREADABLE]
    low, high = min(finite, default=math.nan), max(finite, default=math.nan)
    median = float(np.median(finite)) if finite else math.nan
    return {
        'num_images': len(ranking),
        'algorithm': algorithm,
        'meaning': _meaning(known, own, repeats),
        'facts': _facts(known) if known else [],
        'fallbacks': [FALLBACKS.get(item) or as_text(item) for item in known.fallbacks] if known else [],
        'settings': sorted(known.settings.items()) if known else [],
        'explained': bool(first),
        'reading': _how_to_read(known) if known else [],
        'map': _pool_map(known, ranking, sources) if known else Markup(''),
        'drawn': _drawn(known) if known else None,
        'top': top,
        'further': further,
        'bottom': bottom,
        'files': [sources.get(path, path) for path, _ in ranking[:NAMED]],
        'chart': _distribution(finite, low, high) if high > low else None,
        'low': low,
        'high': high,
        'median': median,
        'answers': summary.mining(
            len(ranking),
            len(top) + len(further),
            algorithm == 'random' and own,
            high,
            median,
            known.near_duplicates if known else 0,
        ),
    }


def _tell_faults(run: RunFiles, scores: Sequence[float]) -> None:
    broken = sum(not math.isfinite(score) for score in scores)
    if broken:
        run.gaps.append(t('report.lines of result tsv have no', broken))
    if any(a < b for a, b in zip(scores, scores[1:])):
        run.gaps.append(t('report.result tsv is not sorted by'))
    unreadable = run.mining.unreadable if run.mining else sum(score < UNREADABLE for score in scores)
    if unreadable:
        run.gaps.append(t('report.images could not be read', unreadable))


def _meaning(known: MiningSummary | None, own: bool, repeats: bool) -> list[Text]:
    if not own:
        return [FOREIGN]
    about = [t('report.name and sentence', known.algorithm, Text(*known.about))] if known and known.about else []
    return [*about, ONLY_ORDER] if repeats else about


def _facts(known: MiningSummary) -> list[tuple[Text, str]]:
    facts = [(t('report.images without boxes'), known.without_boxes)]
    if any(image.distance is not None for image in known.first):
        facts += [
            (t('report.near-duplicates passed over'), known.near_duplicates),
            (t('report.explored among the first', len(known.first)), sum(image.explored for image in known.first)),
        ]
    return [(name, number(value)) for name, value in facts]


def _how_to_read(known: MiningSummary) -> list[Text]:
    first = known.first
    return [
        text
        for text, shown in (
            (t('report.how to read pictures'), True),
            (t('report.how to read orange'), any(box[6] > 0 for image in first for box in image.boxes)),
            (t('report.how to read many boxes', MAX_DRAWN), any(len(image.boxes) > MAX_DRAWN for image in first)),
            (t('report.how to read distance'), any(image.distance is not None for image in first)),
            (t('report.how to read class gain'), any(image.class_gain is not None for image in first)),
            (t('report.how to read exploration'), any(image.explored for image in first)),
        )
        if shown
    ]


def _drawn(known: MiningSummary) -> Text | None:
    count = min(len(known.map.rank), MAX_POINTS)
    return t('report.map of images drawn', count, known.num_images) if count < known.num_images else None


def _distribution(scores: Sequence[float], low: float, high: float) -> Markup:
    edges = np.linspace(low, high, 31)
    layers = [(t('report.images'), np.histogram(scores, edges)[0], 0)]
    return bar_chart(t('report.distribution of the scores'), edges, layers, t('report.score'), 520, 210)


def _pool_map(known: MiningSummary, ranking: Sequence[tuple[str, float]], sources: dict[str, str]) -> Markup:
    points = np.array(known.map.points, float).reshape(-1, 2)
    ranks = np.array(known.map.rank, np.int64)
    explored = {rank for rank, image in enumerate(known.first) if image.explored}
    is_first = ranks < min(len(known.first), MAX_FIRST)
    spots = [
        Spot(point, t('report.rank and file', rank + 1, _title(ranking[rank][0], sources)), f'rank{rank + 1}', kind)
        for point, rank in zip(points[is_first], ranks[is_first].tolist())
        for kind in ['explored' if rank in explored else 'pick']
    ][::-1]  # the best on top
    points, ranks = points[~is_first], ranks[~is_first]
    if len(points) > MAX_POINTS:
        kept = np.linspace(0, len(points) - 1, MAX_POINTS).astype(int)
        points, ranks = points[kept], ranks[kept]
    shares = ranks / max(len(ranking), 1)
    clouds, start = [], 0.0
    for end, name, kind in PARTS:
        inside = (shares >= start) & (shares < end)
        clouds += [Cloud(name, points[inside], kind)] if inside.any() else []
        start = end
    if not clouds and not spots:
        return Markup('')
    names = {kind: name for kind, name in SPOTS.items() if any(spot.kind == kind for spot in spots)}
    return point_map(t('report.map of the pool'), clouds[::-1], spots, names)


def _title(path: str, sources: dict[str, str]) -> str:
    return Path(sources.get(path, path)).name


class _Cards:
    """Makes the pictures of the ranking with what is known of each.

    Args:
        run: the mining.
        sources: where the candidates came from, by their paths.
        album: gets the pictures.
        own: the mining is one of this executor.
    """

    def __init__(self, run: RunFiles, sources: dict[str, str], album: Album, own: bool) -> None:
        self.run, self.sources, self.album, self.own = run, sources, album, own
        self.ranking = run.ranking or []
        total = len(self.ranking)
        self.scores_repeat_the_order = scores_repeat_the_order([score for _, score in self.ranking])
        self.num_readable = total - run.mining.unreadable if run.mining else total

    def plain(self, rank: int) -> dict[str, Any]:
        """Return an image of which the ranking and perhaps its boxes are known."""
        path, score = self.ranking[rank]
        name = Path(path).name
        boxes = None if self.run.detections is None else self.run.detections.get(name)
        marks = [
            Mark(item.xywh, item.class_name, 'plain', f' {item.score:.2f}')
            for item in sorted(boxes or (), key=lambda item: item.score)
        ]
        unread = score < UNREADABLE or rank >= self.num_readable or name in self.run.skipped
        what = NO_IMAGE if unread else boxes_in_words(boxes) if self.own and boxes is not None else None
        shown = '' if self.scores_repeat_the_order else '—' if unread else number(score)
        return dict(self._card(rank, marks), score=shown, what=what)

    def explained(self, rank: int, image: FirstImage) -> dict[str, Any]:
        """Return an image with what put it where it stands."""
        names = self.run.mining.class_names
        shares = np.array([box[6] for box in image.boxes], float)
        scores = np.array([box[5] for box in image.boxes], float)
        order = np.lexsort((-scores, -shares)).tolist()
        before = np.cumsum(shares[order]) - shares[order]
        doubtful = [k for k, sum_before in zip(order, before) if shares[k] > 0 and sum_before < MOST * shares.sum()]
        marks = []
        for k in order[:MAX_DRAWN][::-1]:
            x, y, w, h, label, score, share = image.boxes[k]
            part = share / shares.sum() if shares.sum() > 0 else 0.0
            note = t('report.share of the uncertainty', f'{part:.0%}') if part > 0 else None
            kind = 'doubtful' if k in doubtful else 'plain'
            marks.append(Mark((x, y, w, h), names[int(label)], kind, f' {score:.2f}', note))
        named = [f'{names[int(image.boxes[k][4])]} {image.boxes[k][5]:.2f}' for k in doubtful]
        return dict(
            self._card(rank, marks),
            uncertainty=image.uncertainty,
            boxes=_count_of_boxes(len(image.boxes)),
            named=', '.join(named[:MAX_NAMED]) + (' …' if len(named) > MAX_NAMED else ''),
            near=self._nearest(rank, image),
            class_gain=image.class_gain,
            explored=image.explored,
        )

    def _nearest(self, rank: int, image: FirstImage) -> dict[str, Any] | None:
        """Return the nearest image that was picked earlier or labelled; None if nothing is known of it."""
        if image.distance is None:
            return None
        nearest, svg = image.nearest, Markup('')
        if nearest is None:
            what = t('report.nothing before it')
        elif nearest == LABELLED:
            what = t('report.the labelled images')
        else:
            paths = [path for path, _ in self.ranking[:rank]]
            earlier = paths.index(nearest) + 1 if nearest in paths else None
            title = _title(nearest, self.sources)
            what = as_text(f'#{earlier}' if earlier else title)
            picture = self.album.whole(self._file(nearest), SIDE)
            svg = picture.svg(t('report.nearest before', title)) if picture.address else svg
        return {'what': what, 'svg': svg, 'distance': None if nearest is None else f'{image.distance:.2f}'}

    def _card(self, rank: int, marks: Sequence[Mark]) -> dict[str, Any]:
        path = self.ranking[rank][0]
        title = _title(path, self.sources)
        picture = self.album.whole(self._file(path), SIDE)
        label = t('report.rank and file', rank + 1, title)
        return {'rank': rank + 1, 'picture': picture, 'svg': picture.svg(label, marks), 'file': title}

    def _file(self, path: str) -> Path | None:
        file = self.run.host_path(path)
        if file is None and path in self.sources and os.path.isfile(self.sources[path]):
            file = Path(self.sources[path])
        return file


def _count_of_boxes(count: int) -> Text:
    return t('report.no boxes') if not count else t('report.one box') if count == 1 else t('report.n boxes', count)


def boxes_in_words(boxes: Sequence[DetectedObject]) -> Text:
    """Return how many boxes an image has and how many of them are doubtful."""
    if not boxes:
        return t('report.no boxes')
    doubtful = sum(item.score < DOUBTFUL for item in boxes)
    key = 'report.doubtful of one box' if len(boxes) == 1 else 'report.doubtful of n boxes'
    return t(key, len(boxes), doubtful, DOUBTFUL)
