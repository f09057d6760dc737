"""Rules for result.tsv of a mining (contract section d.5)."""

import math
from collections.abc import Iterator

from .catalogues import OUT
from .facts import MINING, Run
from .finding import ERROR, Hit, NotApplicable
from .reading import short


def lines_of(run: Run) -> list[tuple[int, list[str]]]:
    """Return the number and the columns of every line that is not blank."""
    run.need_task(MINING)
    return run.mining_lines


def _scores(run: Run) -> list[tuple[int, float]]:
    found = []
    for number, columns in lines_of(run):
        try:
            found.append((number, float(columns[1])))
        except (IndexError, ValueError):
            continue
    return found


def _place(number: int) -> str:
    return f'result.tsv:{number}'


@OUT.rule(
    'mining/exists',
    'd.5, a.6',
    ERROR,
    en=(
        'A mining writes result.tsv as a file; without it the platform shows 160011.',
        'Write output.mining_result_file of env.yaml, also when inference runs in the same task.',
    ),
    zh=(
        '挖掘必须写出文件 result.tsv；没有它，平台显示 160011。',
        '请写 env.yaml 的 output.mining_result_file；与推理同时运行时也要写。',
    ),
)
def exists(run: Run) -> Iterator[Hit]:
    run.need_output(MINING, run.mining_result)
    if not run.mining_result.present:
        yield Hit('result.tsv', run.mining_result.detail)


@OUT.rule(
    'mining/readable',
    'd.5',
    ERROR,
    en=('result.tsv is UTF-8 text.', 'Write it as text, one line per image.'),
    zh=('result.tsv 是 UTF-8 文本。', '请写成文本，每张图像一行。'),
)
def readable(run: Run) -> Iterator[Hit]:
    run.need_task(MINING)
    if not run.mining_result.present:
        raise NotApplicable
    if run.mining_result.problem:
        yield Hit('result.tsv', run.mining_result.detail)


@OUT.rule(
    'mining/columns',
    'd.5',
    ERROR,
    en=(
        'Every line of result.tsv is image path and score with one TAB between them; the platform takes the '
        'first column as the image.',
        'Write f"{path}\\t{score}\\n".',
    ),
    zh=('result.tsv 每行是图像路径和分数，中间一个 TAB；平台以第一列为图像。', '请写 f"{path}\\t{score}\\n"。'),
)
def columns(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) != 2 or not values[0].strip():
            yield Hit(_place(number), short('\t'.join(values)))


@OUT.rule(
    'mining/score',
    'd.5, l.12',
    ERROR,
    en=(
        'The score is a finite number; NaN cannot be sorted, so that the order of the file is wrong.',
        'Give images without a score the lowest one before sorting.',
    ),
    zh=('分数是有限的数；NaN 无法排序，会使文件顺序出错。', '排序前请给没有分数的图像最低分。'),
)
def score(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) != 2:
            continue
        try:
            finite = math.isfinite(float(values[1]))
        except ValueError:
            finite = False
        if not finite:
            yield Hit(f'{_place(number)} column 2', short(values[1]))


@OUT.rule(
    'mining/order',
    'd.5',
    ERROR,
    en=(
        'The best image comes first: the platform takes the first lines and never sorts.',
        'Sort by score, the highest first, before writing.',
    ),
    zh=('最好的图像排在最前：平台取前若干行，从不排序。', '写入前请按分数从高到低排序。'),
)
def order(run: Run) -> Iterator[Hit]:
    scores = _scores(run)
    for (_, earlier), (number, later) in zip(scores, scores[1:]):
        if later > earlier:
            yield Hit(_place(number), f'{later!r} > {earlier!r}')


@OUT.rule(
    'mining/repeated',
    'd.5',
    ERROR,
    en=(
        'Every image stands once; twice, it takes two of the places that the user asked for.',
        'Merge the parts of the ranks without overlap.',
    ),
    zh=('每张图像只出现一次；重复会占用用户所要数量中的两个名额。', '合并各进程的结果时请避免重叠。'),
)
def repeated(run: Run) -> Iterator[Hit]:
    first = {}
    for number, values in lines_of(run):
        if len(values) == 2 and first.setdefault(values[0], number) != number:
            yield Hit(_place(number), short(values[0]))


@OUT.rule(
    'mining/known-paths',
    'd.5',
    ERROR,
    en=('The paths are exactly those of candidate-index.tsv.', 'Copy the path from the index without changing it.'),
    zh=('路径与 candidate-index.tsv 中的完全一致。', '请原样复制索引中的路径。'),
)
def known_paths(run: Run) -> Iterator[Hit]:
    known = set(run.candidates)
    for number, values in lines_of(run):
        if len(values) == 2 and values[0].strip() and values[0] not in known:
            yield Hit(_place(number), short(values[0]))
