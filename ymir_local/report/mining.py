"""The mining part of the page: the ranking, and why each image stands where it does.

An image's reason is given where the executor is known to be this one (`RunFiles.is_of_this_executor`), whose algorithms
are those of ALGORITHMS; what another image computes under the same name may be something else.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ymir_exc.reading import DetectedObject

from ..texts import Text, as_text, t
from . import summary
from .charts import bar_chart, number
from .pictures import Album, Mark
from .run_files import RunFiles

TOP, BOTTOM = 24, 8
NAMED = 200  # of the top, whose files are listed
SIDE = 260
MAX_TERMS = 6
UNREADABLE = -1e300  # MiningResultWriter gives images without a score the lowest float
MOST_OF_A_BOX = math.log2(math.e) / math.e  # -p log2 p at p = 1/e: 0.53
DOUBTFUL = 0.5
ALGORITHMS = {'entropy': t('report.entropy the sum of p'), 'random': t('report.random a number drawn by')}
FOREIGN = t('report.the score is all that')
BY_LOT = t('report.drawn by lot')
NO_IMAGE = t('report.the image could not be')


class Reason(NamedTuple):
    """Why an image has its score.

    Args:
        what: in a few words; None: unknown.
        terms: how the score is made up; None: unknown.
    """

    what: Text | None = None
    terms: Text | None = None


def mining_part(run: RunFiles, album: Album) -> dict[str, Any]:
    """Collect what the template shows of a mining; `run.gaps` gets what is not there."""
    ranking = run.ranking or []
    broken = sum(not math.isfinite(score) for _, score in ranking)
    if broken:
        run.gaps.append(t('report.lines of result tsv have no', broken))
    scores = [score for _, score in ranking]
    if any(a < b for a, b in zip(scores, scores[1:])):
        run.gaps.append(t('report.result tsv is not sorted by'))
    unreadable = sum(score < UNREADABLE for score in scores)
    if unreadable:
        run.gaps.append(t('report.images could not be read', unreadable))
    algorithm = str(run.config.get('mining_algorithm') or '').strip().lower()
    known = algorithm if algorithm in ALGORITHMS and run.is_of_this_executor('mining') else ''
    if run.detections is None and known == 'entropy':
        run.gaps.append(t('report.this run mined only so'))
    sources = dict(zip(run.candidates, run.sources)) if len(run.sources) == len(run.candidates) else {}
    top = [_card(rank, *ranking[rank], run, known, sources, album) for rank in range(min(TOP, len(ranking)))]
    first_of_bottom = max(len(ranking) - BOTTOM, len(top))
    bottom = [_card(rank, *ranking[rank], run, known, sources, album) for rank in range(first_of_bottom, len(ranking))]
    finite = [score for score in scores if math.isfinite(score) and score >= UNREADABLE]
    low, high = min(finite, default=math.nan), max(finite, default=math.nan)
    chart = None
    if high > low:
        edges = np.linspace(low, high, 31)
        chart = bar_chart(
            t('report.distribution of the scores'),
            edges,
            [(t('report.images'), np.histogram(finite, edges)[0], 0)],
            t('report.score'),
            520,
            210,
        )
    median = float(np.median(finite)) if finite else math.nan
    return {
        'num_images': len(ranking),
        'algorithm': algorithm,
        'meaning': ALGORITHMS[known].format(_threshold(run)) if known else FOREIGN,
        'top': top,
        'bottom': bottom,
        'files': [sources.get(path, path) for path, _ in ranking[:NAMED]],
        'chart': chart,
        'low': low,
        'high': high,
        'median': median,
        'answers': summary.mining(len(ranking), len(top), known == 'random', high, median),
    }


def reason_of(score: float, boxes: Sequence[DetectedObject] | None, algorithm: str) -> Reason:
    """Return what a score is made of.

    Args:
        score: of the image.
        boxes: its objects; None if they are unknown.
        algorithm: key of ALGORITHMS; empty: another image's, of which the score alone is known.
    """
    if score < UNREADABLE:
        return Reason(NO_IMAGE)
    if not algorithm or not math.isfinite(score):
        return Reason()
    if algorithm == 'random':
        return Reason(BY_LOT)
    if boxes is None:
        least = math.ceil(score / MOST_OF_A_BOX - 1e-6)
        if not least:
            return Reason(t('report.no doubtful box'))
        return Reason(
            t('report.at least one doubtful box' if least == 1 else 'report.at least n doubtful boxes', least)
        )
    if not boxes:
        what = t('report.no boxes')
    else:
        doubtful = sum(item.score < DOUBTFUL for item in boxes)
        what = t(
            'report.doubtful of one box' if len(boxes) == 1 else 'report.doubtful of n boxes',
            len(boxes),
            doubtful,
            DOUBTFUL,
        )
    terms = sorted((max(-item.score * math.log2(item.score), 0.0) for item in boxes if item.score > 0), reverse=True)
    total = math.fsum(terms)
    if abs(total - score) > 0.01 * max(abs(score), 0.1):
        return Reason(what, t('report.the boxes of the inference', number(total)))
    sums = ' + '.join(f'{term:.2f}' for term in terms[:MAX_TERMS]) + (' + …' if len(terms) > MAX_TERMS else '')
    return Reason(what, as_text(f'{number(score)} = {sums}') if terms else None)


def _card(
    rank: int, path: str, score: float, run: RunFiles, algorithm: str, sources: dict[str, str], album: Album
) -> dict[str, Any]:
    file = run.host_path(path)
    if file is None and path in sources and Path(sources[path]).is_file():
        file = Path(sources[path])
    boxes: list[DetectedObject] | None = None if run.detections is None else run.detections.get(Path(path).name)
    picture = album.whole(file, SIDE)
    marks = [
        Mark(item.xywh, item.class_name, 'plain', f' {item.score:.2f}')
        for item in sorted(boxes or (), key=lambda item: item.score)
    ]
    shown, title = _shown(score), Path(sources.get(path, path)).name
    label = t('report.rank score', rank + 1, shown, title)
    return {
        'rank': rank + 1,
        'score': shown,
        'picture': picture,
        'svg': picture.svg(label, marks),
        'reason': reason_of(score, boxes, algorithm),
        'file': title,
    }


def _threshold(run: RunFiles) -> object:
    return run.config.get('conf_threshold') or run.template('mining').get('conf_threshold', '?')


def _shown(score: float) -> str:
    return '—' if score < UNREADABLE else number(score)
