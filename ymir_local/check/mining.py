"""Rules for result.tsv of a mining (contract section d.5)."""

import math
from collections.abc import Iterator

from .facts import MINING, Run
from .finding import ERROR, OUT, Hit, NotApplicable
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


@OUT.rule('mining/exists', 'd.5, a.6', ERROR)
def exists(run: Run) -> Iterator[Hit]:
    run.need_output(MINING, run.mining_result)
    if not run.mining_result.present:
        yield Hit('result.tsv', run.mining_result.detail)


@OUT.rule('mining/readable', 'd.5', ERROR)
def readable(run: Run) -> Iterator[Hit]:
    run.need_task(MINING)
    if not run.mining_result.present:
        raise NotApplicable
    if run.mining_result.problem:
        yield Hit('result.tsv', run.mining_result.detail)


@OUT.rule('mining/columns', 'd.5', ERROR)
def columns(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) != 2 or not values[0].strip():
            yield Hit(_place(number), short('\t'.join(values)))


@OUT.rule('mining/score', 'd.5, l.12', ERROR)
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


@OUT.rule('mining/order', 'd.5', ERROR)
def order(run: Run) -> Iterator[Hit]:
    scores = _scores(run)
    for (_, earlier), (number, later) in zip(scores, scores[1:]):
        if later > earlier:
            yield Hit(_place(number), f'{later!r} > {earlier!r}')


@OUT.rule('mining/repeated', 'd.5', ERROR)
def repeated(run: Run) -> Iterator[Hit]:
    first = {}
    for number, values in lines_of(run):
        if len(values) == 2 and first.setdefault(values[0], number) != number:
            yield Hit(_place(number), short(values[0]))


@OUT.rule('mining/known-paths', 'd.5', ERROR)
def known_paths(run: Run) -> Iterator[Hit]:
    known = set(run.candidates)
    for number, values in lines_of(run):
        if len(values) == 2 and values[0].strip() and values[0] not in known:
            yield Hit(_place(number), short(values[0]))
