"""Rules for result.tsv of a mining (contract section d.5)."""

import math
from collections import Counter
from collections.abc import Iterator

from ymir_exc.reading import MiningLine

from .facts import MINING, Run
from .finding import ERROR, OUT, Hit, NotApplicable
from .reading import short


def lines_of(run: Run) -> list[MiningLine]:
    """Return the lines that are not blank."""
    run.need_task(MINING)
    return run.mining_lines


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
        return
    known = set(run.known_candidates or ())  # a path that is not UTF-8 may be that of the index
    for line in run.mining_lines:
        if not line.is_text and line.image not in known:
            yield Hit(_place(line.number), short('\t'.join(line.columns)))


@OUT.rule('mining/columns', 'd.5', ERROR)
def columns(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) != 2 or not values[0].strip():
            yield Hit(_place(number), short('\t'.join(values)))


@OUT.rule('mining/score', 'd.5, l.12', ERROR)
def score(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) == 2 and not math.isfinite(MiningLine(number, values).score):
            yield Hit(f'{_place(number)} column 2', short(values[1]))


@OUT.rule('mining/order', 'd.5', ERROR)
def order(run: Run) -> Iterator[Hit]:
    lines = [line for line in lines_of(run) if not math.isnan(line.score)]
    for earlier, later in zip(lines, lines[1:]):
        if later.score > earlier.score:
            yield Hit(_place(later.number), f'{later.score!r} > {earlier.score!r}')


@OUT.rule('mining/repeated', 'd.5', ERROR)
def repeated(run: Run) -> Iterator[Hit]:
    listed = Counter(run.known_candidates or ())
    found = Counter()
    for number, values in lines_of(run):
        if len(values) == 2:
            found[values[0]] += 1
            if found[values[0]] > max(listed[values[0]], 1):
                yield Hit(_place(number), short(values[0]))


@OUT.rule('mining/known-paths', 'd.5', ERROR)
def known_paths(run: Run) -> Iterator[Hit]:
    known = set(run.candidates)
    for number, values in lines_of(run):
        if len(values) == 2 and values[0].strip() and values[0] not in known:
            yield Hit(_place(number), short(values[0]))
