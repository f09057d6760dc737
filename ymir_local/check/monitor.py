"""Rules for monitor.txt (contract sections d.1, a.6 and h)."""

from collections.abc import Iterator

from ymir_exc.code import ExecutorReturnCode, ExecutorState
from ymir_exc.reading.monitor import MAX_COLUMNS, MAX_TRACE_LINES
from ymir_exc.scalars import is_number

from ..texts import t
from .facts import Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable
from .reading import DOES_NOT_EXIST, MISSING, NO_FILE, short

MAX_LINES = MAX_TRACE_LINES + 1
LINE_1 = 'monitor.txt:1'
KILLED = (137, 143, -9, -15)  # exit codes of a process that could not say anything
MILLISECONDS = 1e11  # seconds of the year 5138
KNOWN_CODES = frozenset(int(code) for code in ExecutorReturnCode)


def _faults(run: Run, kind: str) -> Iterator[Hit]:
    """Return a hit for each column of a kind that the platform cannot read."""
    for fault in run.monitor_content.faults:
        if fault.kind == 'columns':
            raise NotApplicable
        if fault.kind == kind:
            yield Hit(f'{LINE_1} column {fault.keys[1]}', short(fault.value))


@OUT.rule('monitor/exists', 'd.1, l.3', ERROR)
def exists(run: Run) -> Iterator[Hit]:
    if run.monitor.problem in (MISSING, NO_FILE):
        yield Hit('monitor.txt', run.monitor.detail or DOES_NOT_EXIST)


@OUT.rule('monitor/readable', 'd.1', ERROR)
def readable(run: Run) -> Iterator[Hit]:
    if not run.monitor.present:
        raise NotApplicable
    if run.monitor.problem:
        yield Hit('monitor.txt', run.monitor.detail)


@OUT.rule('monitor/not-empty', 'd.1', ERROR)
def not_empty(run: Run) -> Iterator[Hit]:
    if not run.monitor.need().text.strip():
        yield Hit('monitor.txt', t('check.0 characters'))


@OUT.rule('monitor/columns', 'd.1', ERROR)
def columns(run: Run) -> Iterator[Hit]:
    content = run.monitor_content
    if not run.monitor.text.strip():
        raise NotApplicable
    for fault in content.faults:
        if fault.kind == 'columns':
            line, count = short(fault.value.strip()), len(content.columns)
            yield Hit(LINE_1, t('check.too few columns', count=count, line=line))


@OUT.rule('monitor/max-columns', 'd.1', WARNING)
def max_columns(run: Run) -> Iterator[Hit]:
    count = len(run.monitor_columns)
    if count > MAX_COLUMNS:
        yield Hit(LINE_1, t('check.columns', count=count))


@OUT.rule('monitor/task-id', 'd.1', WARNING)
def task_id(run: Run) -> Iterator[Hit]:
    if run.monitor_columns[0] != run.task_id:
        yield Hit(f'{LINE_1} column 1', f'{short(run.monitor_columns[0])} != {short(run.task_id)}')


@OUT.rule('monitor/timestamp', 'd.1', ERROR)
def timestamp(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'timestamp')


@OUT.rule('monitor/seconds', 'd.1', WARNING)
def seconds(run: Run) -> Iterator[Hit]:
    value = run.monitor_columns[1]
    if 'timestamp' not in run.monitor_content.values:
        raise NotApplicable
    if not 0 <= run.monitor_content.values['timestamp'] < MILLISECONDS:
        yield Hit(f'{LINE_1} column 2', short(value))


@OUT.rule('monitor/percent', 'd.1', ERROR)
def percent(run: Run) -> Iterator[Hit]:
    if not is_number(run.monitor_columns[2], 0, 1):
        yield Hit(f'{LINE_1} column 3', short(run.monitor_columns[2]))


@OUT.rule('monitor/state', 'd.1', ERROR)
def state(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'state')


@OUT.rule('monitor/written', 'd.1', WARNING)
def written(run: Run) -> Iterator[Hit]:
    if run.ended_early:
        raise NotApplicable  # perhaps before the first line
    if run.state in (0, 1):
        yield Hit(f'{LINE_1} column 4', run.monitor_columns[3])


@OUT.rule('monitor/code', 'd.1', ERROR)
def code(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'code')


@OUT.rule('monitor/known-code', 'h', WARNING)
def known_code(run: Run) -> Iterator[Hit]:
    error_code = run.monitor_content.values.get('code')
    if error_code is None:
        raise NotApplicable
    if error_code not in KNOWN_CODES:
        yield Hit(f'{LINE_1} column 5', short(run.monitor_columns[4]))


@OUT.rule('monitor/code-with-error', 'a.6', WARNING)
def code_with_error(run: Run) -> Iterator[Hit]:
    cells, values = run.monitor_columns, run.monitor_content.values
    if 'state' not in values or (len(cells) > 4 and 'code' not in values):
        raise NotApplicable
    error_code = values.get('code', 0)
    if error_code not in KNOWN_CODES:
        raise NotApplicable
    if (values['state'] == ExecutorState.ES_ERROR) != bool(error_code):
        yield Hit(LINE_1, t('check.state and code', state=cells[3], code=error_code))


@OUT.rule('monitor/code-on-failure', 'a.6, h', WARNING)
def code_on_failure(run: Run) -> Iterator[Hit]:
    if not run.exit_code or run.exit_code in KILLED or run.reports_error:
        raise NotApplicable
    values = run.monitor_content.values
    if {fault.kind for fault in run.monitor_content.faults} & {'columns', 'code'}:
        raise NotApplicable
    error_code = values.get('code', 0)
    if not error_code:
        yield Hit(f'{LINE_1} column 5', t('check.exit code and code', exit_code=run.exit_code, code=error_code))


@OUT.rule('monitor/lines', 'd.1', WARNING)
def lines(run: Run) -> Iterator[Hit]:
    count = len(run.monitor.need().lines)
    if count > MAX_LINES:
        yield Hit(f'monitor.txt:{count}', t('check.lines', count=count))


@OUT.rule('monitor/finished', 'd.1', WARNING)
def finished(run: Run) -> Iterator[Hit]:
    values = run.monitor_columns
    if run.ended_early or run.state in (0, 1) or not is_number(values[2], 0, 1):
        raise NotApplicable
    if float(values[2]) < 1:
        yield Hit(f'{LINE_1} column 3', short(values[2]))
