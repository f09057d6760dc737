"""The mining part of the page: the ranking, and why each image stands where it does.

An image's reason is given where the executor is known to be this one (`RunFiles.is_of_this_executor`), whose algorithms
are those of ALGORITHMS; what another image computes under the same name may be something else.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import summary
from .charts import bar_chart, number
from .pictures import Album, Mark
from .run_files import Found, RunFiles
from .text import Text

TOP, BOTTOM = 24, 8
NAMED = 200  # of the top, whose files are listed
SIDE = 260
MAX_TERMS = 6
UNREADABLE = -1e300  # MiningResultWriter gives images without a score the lowest float
MOST_OF_A_BOX = math.log2(math.e) / math.e  # -p log2 p at p = 1/e: 0.53
DOUBTFUL = 0.5
ALGORITHMS = {
    'entropy': Text(
        'entropy: the sum of −p·log₂ p over the boxes of an image with a score p of {} or more. A box counts most '
        '(0.53) at p = 0.37 and not at all at p = 1, so images with many doubtful boxes come first; one without boxes '
        'has 0.',
        'entropy：对图像中得分 p 不低于 {} 的所有框求 −p·log₂ p 之和。p = 0.37 时贡献最大（0.53），p = 1 时为 0，'
        '因此不确定的框越多越靠前；没有框的图像得分为 0。',
    ),
    'random': Text(
        'random: a number drawn by lot from the seed and the path, so the order says nothing about the images.',
        'random：由种子和路径生成的随机数，顺序与图像内容无关。',
    ),
}
FOREIGN = Text(
    'The score is all that the result holds. This run is of another image, and only its documents say what its '
    'algorithm computes; higher means: label earlier.',
    '结果中只有得分。本次任务来自其他镜像，其算法含义请见该镜像文档；得分越高越应优先标注。',
)
BY_LOT = Text('drawn by lot', '随机抽取')
NO_IMAGE = Text('the image could not be read', '图像无法读取')


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
        run.gaps.append(
            Text('{} lines of result.tsv have no finite score.', 'result.tsv 中有 {} 行没有有效得分。').format(broken)
        )
    scores = [score for _, score in ranking]
    if any(a < b for a, b in zip(scores, scores[1:])):
        run.gaps.append(
            Text(
                'result.tsv is not sorted by falling score; the platform takes the lines as they stand.',
                'result.tsv 未按得分降序排列；平台按行的顺序取用。',
            )
        )
    unreadable = sum(score < UNREADABLE for score in scores)
    if unreadable:
        run.gaps.append(
            Text('{} images could not be read; they stand last.', '{} 张图像无法读取，排在最后。').format(unreadable)
        )
    algorithm = str(run.config.get('mining_algorithm') or '').strip().lower()
    known = algorithm if algorithm in ALGORITHMS and run.is_of_this_executor('mining') else ''
    if run.detections is None and known == 'entropy':
        run.gaps.append(
            Text(
                'This run mined only, so the boxes behind the scores are unknown. With them: ymir infer IMAGES --mine',
                '本次任务只做挖掘，不知道得分背后的框。如需显示框：ymir infer IMAGES --mine',
            )
        )
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
            Text('Distribution of the scores', '得分分布'),
            edges,
            [(Text('images', '图像'), np.histogram(finite, edges)[0], 0)],
            Text('score', '得分'),
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


def reason_of(score: float, boxes: Sequence[Found] | None, algorithm: str) -> Reason:
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
            return Reason(Text('no doubtful box', '没有不确定的框'))
        english = 'at least {} doubtful boxes' if least > 1 else 'at least {} doubtful box'
        return Reason(Text(english, '至少 {} 个不确定的框').format(least))
    if not boxes:
        what = Text('no boxes', '没有框')
    else:
        doubtful = sum(item.score < DOUBTFUL for item in boxes)
        what = Text(
            '{} boxes, {} with a score below {}' if len(boxes) > 1 else '{} box, {} with a score below {}',
            '{} 个框，其中 {} 个得分低于 {}',
        ).format(len(boxes), doubtful, DOUBTFUL)
    terms = sorted((max(-item.score * math.log2(item.score), 0.0) for item in boxes if item.score > 0), reverse=True)
    total = math.fsum(terms)
    if abs(total - score) > 0.01 * max(abs(score), 0.1):
        return Reason(
            what,
            Text(
                'the boxes of the inference sum to {}: its conf_threshold differs from that of the mining',
                '推理结果中的框之和为 {}：其 conf_threshold 与挖掘不同',
            ).format(number(total)),
        )
    sums = ' + '.join(f'{term:.2f}' for term in terms[:MAX_TERMS]) + (' + …' if len(terms) > MAX_TERMS else '')
    return Reason(what, Text(f'{number(score)} = {sums}', f'{number(score)} = {sums}') if terms else None)


def _card(
    rank: int, path: str, score: float, run: RunFiles, algorithm: str, sources: dict[str, str], album: Album
) -> dict[str, Any]:
    file = run.host_path(path)
    if file is None and path in sources and Path(sources[path]).is_file():
        file = Path(sources[path])
    boxes: list[Found] | None = None if run.detections is None else run.detections.get(Path(path).name)
    picture = album.whole(file, SIDE)
    marks = [
        Mark(item.xywh, item.class_name, 'plain', f' {item.score:.2f}')
        for item in sorted(boxes or (), key=lambda item: item.score)
    ]
    shown, title = _shown(score), Path(sources.get(path, path)).name
    label = Text('Rank {}, score {}: {}', '第 {} 名，得分 {}：{}').format(rank + 1, shown, title)
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
