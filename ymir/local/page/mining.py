"""The mining part of the page."""
import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .charts import bar_chart, number
from .pictures import Album, Mark
from .run_files import Found, RunFiles
from .text import Text

TOP, BOTTOM = 24, 8
SIDE = 260
MAX_TERMS = 6
ALGORITHMS = {
    'entropy':
    Text(
        'The sum over all boxes of −p·log₂ p, where p is the score of a box: a box counts most at p = 0.37. Many '
        'doubtful boxes come first; an image without boxes has 0.',
        '所有框的 −p·log₂ p 之和（p 为框的得分）：p = 0.37 时贡献最大。不确定的框越多越靠前；没有框的图像为 0。'),
    'random':
    Text('A random number, so the order says nothing about the images.', '随机数，顺序与图像内容无关。'),
}
UNKNOWN = Text('The result files hold the score alone; how the image makes it is for its documents to say.',
               '结果文件只有得分，其计算方式请见镜像文档。')


def mining_part(run: RunFiles, album: Album) -> Dict[str, Any]:
    """Collects what the template shows of a mining; `run.gaps` gets what is not there."""
    ranking = run.ranking or []
    broken = sum(not math.isfinite(score) for _, score in ranking)
    if broken:
        run.gaps.append(
            Text('{} lines of result.tsv have no finite score.', 'result.tsv 中有 {} 行没有有效得分。').format(broken))
    scores = [score for _, score in ranking]
    if any(a < b for a, b in zip(scores, scores[1:])):
        run.gaps.append(
            Text('result.tsv is not sorted by falling score; the platform takes the lines as they stand.',
                 'result.tsv 未按得分降序排列；平台按行的顺序取用。'))
    algorithm = str(run.config.get('mining_algorithm') or '').lower()
    if run.detections is None and ranking:
        run.gaps.append(
            Text('This run did no inference, so the boxes behind the scores are unknown.', '本次任务没有推理结果，因此不知道得分背后的框。'))
    sources = dict(zip(run.candidates, run.sources)) if len(run.sources) == len(run.candidates) else {}
    top = [_card(rank, *ranking[rank], run, algorithm, sources, album) for rank in range(min(TOP, len(ranking)))]
    first_of_bottom = max(len(ranking) - BOTTOM, len(top))
    bottom = [
        _card(rank, *ranking[rank], run, algorithm, sources, album) for rank in range(first_of_bottom, len(ranking))
    ]
    # MiningResultWriter writes the lowest float for images that cannot be read.
    finite = [score for score in scores if math.isfinite(score) and abs(score) < 1e300]
    chart = None
    if finite:
        low, high = min(finite), max(finite)
        edges = np.linspace(low, high if high > low else low + 1, 31)
        chart = bar_chart(
            Text('Distribution of the scores', '得分分布'), edges,
            [(Text('images', '图像'), np.histogram(finite, edges)[0], 0)], Text('score', '得分'), 620, 210)
    return dict(
        num_images=len(ranking),
        algorithm=algorithm,
        meaning=ALGORITHMS.get(algorithm, UNKNOWN),
        top=top,
        bottom=bottom,
        chart=chart,
        low=min(finite, default=math.nan),
        high=max(finite, default=math.nan),
        median=float(np.median(finite)) if finite else math.nan)


def reason_of(score: float, boxes: Optional[Sequence[Found]], algorithm: str) -> Tuple[Optional[Text], Optional[Text]]:
    """Says what a score is made of.

    Args:
        score: of the image.
        boxes: its objects; None if they are unknown.
        algorithm: hyper-parameter `mining_algorithm`.

    Returns:
        How many boxes with which scores, and the sum; each None if nothing is known.
    """
    if boxes is None:
        return None, None
    if not boxes:
        return Text('no boxes', '没有框'), None
    values = sorted((item.score for item in boxes), reverse=True)
    listed = ', '.join(f'{value:.2f}' for value in values[:MAX_TERMS]) + (', …' if len(values) > MAX_TERMS else '')
    what = Text('{} boxes: {}' if len(values) > 1 else '{} box: {}', '{} 个框：{}').format(len(values), listed)
    if algorithm != 'entropy':
        return what, None
    terms = sorted((max(-p * math.log2(p), 0.0) for p in values if p > 0), reverse=True)
    total = math.fsum(terms)
    if abs(total - score) > 0.01 * max(abs(score), 0.1):
        return what, Text('the boxes sum to {}; the score counts others too, or another threshold',
                          '这些框之和为 {}；得分可能还包含其他框或使用其他阈值').format(number(total))
    sums = ' + '.join(f'{term:.2f}' for term in terms[:MAX_TERMS]) + (' + …' if len(terms) > MAX_TERMS else '')
    return what, Text(f'{number(score)} = {sums}', f'{number(score)} = {sums}')


def _card(rank: int, path: str, score: float, run: RunFiles, algorithm: str, sources: Dict[str, str],
          album: Album) -> Dict[str, Any]:
    file = run.host_path(path)
    if file is None and path in sources and Path(sources[path]).is_file():
        file = Path(sources[path])
    boxes: Optional[List[Found]] = None if run.detections is None else run.detections.get(Path(path).name)
    picture = album.whole(file, SIDE)
    marks = [
        Mark(item.xywh, f'{item.class_name} {item.score:.2f}', 'plain')
        for item in sorted(boxes or (), key=lambda item: item.score)
    ]
    label = Text('Rank {}, score {}', '第 {} 名，得分 {}').format(rank + 1, number(score))
    what, total = reason_of(score, boxes, algorithm)
    return dict(
        rank=rank + 1,
        score=number(score) if abs(score) < 1e300 else '—',
        picture=picture,
        svg=picture.svg(label, marks),
        what=what,
        total=total,
        file=Path(sources.get(path, path)).name)
