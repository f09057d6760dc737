"""Rules for monitor.txt (contract sections d.1, a.6 and h)."""

from collections.abc import Iterator

from ymir_exc.code import ExecutorReturnCode, ExecutorState
from ymir_exc.reading.monitor import MAX_COLUMNS, MAX_TRACE_LINES

from .catalogues import OUT
from .facts import Run
from .finding import ERROR, WARNING, Hit, NotApplicable
from .reading import DOES_NOT_EXIST, MISSING, NO_FILE, is_number, short

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


@OUT.rule(
    'monitor/exists',
    'd.1, l.3',
    ERROR,
    en=(
        'monitor.txt is a file in out; without it the platform shows 169999 instead of the real error.',
        'Write monitor.txt (the path is output.monitor_file in env.yaml); never delete it or put a folder or a '
        'link into the container in its place.',
    ),
    zh=(
        'out 中必须有文件 monitor.txt；没有它，平台只显示 169999，而不是真正的错误。',
        '请写入 monitor.txt（路径见 env.yaml 的 output.monitor_file）；不要删除它，也不要换成目录或指向容器内的链接。',
    ),
)
def exists(run: Run) -> Iterator[Hit]:
    if run.monitor.problem in (MISSING, NO_FILE):
        yield Hit('monitor.txt', run.monitor.detail or DOES_NOT_EXIST)


@OUT.rule(
    'monitor/readable',
    'd.1',
    ERROR,
    en=(
        'monitor.txt is UTF-8 text; a file that the monitor cannot read fails the task for good (150404).',
        'Write plain UTF-8 text to a temporary file in out and rename it to monitor.txt.',
    ),
    zh=(
        'monitor.txt 必须是 UTF-8 文本；监控程序读不了时，任务会被永久判为失败（150404）。',
        '请把 UTF-8 文本写入 out 中的临时文件，再重命名为 monitor.txt。',
    ),
)
def readable(run: Run) -> Iterator[Hit]:
    if not run.monitor.present:
        raise NotApplicable
    if run.monitor.problem:
        yield Hit('monitor.txt', run.monitor.detail)


@OUT.rule(
    'monitor/not-empty',
    'd.1',
    ERROR,
    en=(
        'monitor.txt is not empty; the platform shows 169999 when a task fails with an empty one.',
        'Never truncate monitor.txt: write a temporary file in out and rename it.',
    ),
    zh=(
        'monitor.txt 不能为空；任务失败而该文件为空时，平台显示 169999。',
        '不要清空 monitor.txt：先写 out 中的临时文件，再重命名。',
    ),
)
def not_empty(run: Run) -> Iterator[Hit]:
    if not run.monitor.need().text.strip():
        yield Hit('monitor.txt', ('0 characters', '0 个字符'))


@OUT.rule(
    'monitor/columns',
    'd.1',
    ERROR,
    en=(
        'Line 1 of monitor.txt has at least 4 columns with TAB between them; the platform reads nothing else.',
        'Write "task id, seconds, percent, state, code" with exactly one TAB between two of them, no spaces.',
    ),
    zh=(
        'monitor.txt 第 1 行至少有 4 列，以 TAB 分隔；其他形式平台无法读取。',
        '请写“任务 id、秒、进度、状态、返回码”，两列之间恰好一个 TAB，不要用空格。',
    ),
)
def columns(run: Run) -> Iterator[Hit]:
    content = run.monitor_content
    if not run.monitor.text.strip():
        raise NotApplicable
    for fault in content.faults:
        if fault.kind == 'columns':
            line, count = short(fault.value.strip()), len(content.columns)
            yield Hit(LINE_1, (f'{count} column(s) in {line}', f'{line} 只有 {count} 列'))


@OUT.rule(
    'monitor/max-columns',
    'd.1',
    WARNING,
    en=(
        'Line 1 of monitor.txt has at most 6 columns; what follows the message is not shown.',
        'Replace TABs within the message by spaces.',
    ),
    zh=('monitor.txt 第 1 行最多 6 列；消息之后的内容不会显示。', '请把消息中的 TAB 换成空格。'),
)
def max_columns(run: Run) -> Iterator[Hit]:
    count = len(run.monitor_columns)
    if count > MAX_COLUMNS:
        yield Hit(LINE_1, (f'{count} columns', f'{count} 列'))


@OUT.rule(
    'monitor/task-id',
    'd.1',
    WARNING,
    en=('Column 1 of monitor.txt is the task_id of env.yaml.', 'Copy task_id from env.yaml, do not make one up.'),
    zh=('monitor.txt 第 1 列是 env.yaml 中的 task_id。', '请从 env.yaml 复制 task_id，不要自行编造。'),
)
def task_id(run: Run) -> Iterator[Hit]:
    if run.monitor_columns[0] != run.task_id:
        yield Hit(f'{LINE_1} column 1', f'{short(run.monitor_columns[0])} != {short(run.task_id)}')


@OUT.rule(
    'monitor/timestamp',
    'd.1',
    ERROR,
    en=(
        'Column 2 of monitor.txt is a time in seconds; anything that is no number fails the task for good (150404).',
        'Write the seconds since 1970, for instance 1700000456.123456.',
    ),
    zh=(
        'monitor.txt 第 2 列是以秒计的时间；不是数字时任务会被永久判为失败（150404）。',
        '请写自 1970 年以来的秒数，例如 1700000456.123456。',
    ),
)
def timestamp(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'timestamp')


@OUT.rule(
    'monitor/seconds',
    'd.1',
    WARNING,
    en=(
        'The time in monitor.txt counts seconds, finite and not milliseconds; the platform compares it with the '
        'one before to see whether there is news.',
        'Write time.time(), not milliseconds.',
    ),
    zh=(
        'monitor.txt 中的时间以秒为单位，必须有限，且不是毫秒；平台用它与上一次比较来判断是否有更新。',
        '请写 time.time()，不要写毫秒。',
    ),
)
def seconds(run: Run) -> Iterator[Hit]:
    value = run.monitor_columns[1]
    if 'timestamp' not in run.monitor_content.values:
        raise NotApplicable
    if not 0 <= run.monitor_content.values['timestamp'] < MILLISECONDS:
        yield Hit(f'{LINE_1} column 2', short(value))


@OUT.rule(
    'monitor/percent',
    'd.1',
    ERROR,
    en=(
        'Column 3 of monitor.txt is a number from 0 to 1; other values and NaN break the task page.',
        'Write the share that is done, 0.00 to 1.00, not per cent from 0 to 100.',
    ),
    zh=(
        'monitor.txt 第 3 列是 0 到 1 的数；其他值和 NaN 会使任务页面出错。',
        '请写已完成的比例 0.00 到 1.00，而不是 0 到 100。',
    ),
)
def percent(run: Run) -> Iterator[Hit]:
    if not is_number(run.monitor_columns[2], 0, 1):
        yield Hit(f'{LINE_1} column 3', short(run.monitor_columns[2]))


@OUT.rule(
    'monitor/state',
    'd.1',
    ERROR,
    en=(
        'Column 4 of monitor.txt is a state from 0 to 4 as an integer; anything else fails the task for good (150404).',
        'Write 2 while running and 4 for an error.',
    ),
    zh=('monitor.txt 第 4 列是 0 到 4 的整数状态；其他值会使任务被永久判为失败（150404）。', '运行中写 2，出错写 4。'),
)
def state(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'state')


@OUT.rule(
    'monitor/written',
    'd.1',
    WARNING,
    en=(
        'The executor has replaced the monitor.txt of the platform, which stands at state 1 (pending); otherwise '
        'the user sees no progress.',
        'Write progress with state 2 while the task runs.',
    ),
    zh=(
        '执行器必须更新平台写入的 monitor.txt（其状态为 1，等待中），否则用户看不到进度。',
        '任务运行时请以状态 2 写入进度。',
    ),
)
def written(run: Run) -> Iterator[Hit]:
    if run.ended_early:
        raise NotApplicable  # perhaps before the first line
    if run.state in (0, 1):
        yield Hit(f'{LINE_1} column 4', run.monitor_columns[3])


@OUT.rule(
    'monitor/code',
    'd.1',
    ERROR,
    en=(
        'Column 5 of monitor.txt, if it is there, is an integer; an empty or other text fails the task for good '
        '(150404).',
        'Write 0 or an error code, or leave the column out together with its TAB.',
    ),
    zh=(
        'monitor.txt 第 5 列若存在，必须是整数；空值或其他文字会使任务被永久判为失败（150404）。',
        '请写 0 或错误码，或者连同 TAB 一起省略该列。',
    ),
)
def code(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'code')


@OUT.rule(
    'monitor/known-code',
    'h',
    WARNING,
    en=(
        'The error code is one that the platform can explain: 300001 to 300301, or 160004.',
        'Take the nearest code of the list; "ymir explain CODE" says what each means.',
    ),
    zh=(
        '错误码是平台能够解释的：300001 到 300301，或 160004。',
        '请选用列表中最接近的错误码；“ymir explain CODE” 说明其含义。',
    ),
)
def known_code(run: Run) -> Iterator[Hit]:
    error_code = run.monitor_content.values.get('code')
    if error_code is None:
        raise NotApplicable
    if error_code not in KNOWN_CODES:
        yield Hit(f'{LINE_1} column 5', short(run.monitor_columns[4]))


@OUT.rule(
    'monitor/code-with-error',
    'a.6',
    WARNING,
    en=(
        'State 4 and an error code go together: without a code the user sees 160004, and a code without state 4 '
        'is shown only after the container has failed.',
        'Write state 4 together with the code, as the last thing, and then end with an exit code other than 0.',
    ),
    zh=(
        '状态 4 与错误码必须同时出现：没有错误码时用户看到的是 160004；没有状态 4 的错误码只在容器失败后才显示。',
        '请把状态 4 和错误码一起作为最后一次写入，然后以非 0 退出码结束。',
    ),
)
def code_with_error(run: Run) -> Iterator[Hit]:
    cells, values = run.monitor_columns, run.monitor_content.values
    if 'state' not in values or (len(cells) > 4 and 'code' not in values):
        raise NotApplicable
    error_code = values.get('code', 0)
    if error_code not in KNOWN_CODES:
        raise NotApplicable
    if (values['state'] == ExecutorState.ES_ERROR) != bool(error_code):
        yield Hit(LINE_1, (f'state {cells[3]}, code {error_code}', f'状态 {cells[3]}，返回码 {error_code}'))


@OUT.rule(
    'monitor/code-on-failure',
    'a.6, h',
    WARNING,
    en=(
        'A failed task says why by a code in column 5; with 0 or none the user sees 160004, which tells nothing.',
        'Catch what goes wrong at the top of the program, write state 4 with the nearest code, then end with an '
        'exit code other than 0.',
    ),
    zh=(
        '任务失败时，第 5 列用错误码说明原因；为 0 或缺少时用户看到的是没有说明的 160004。',
        '请在程序最外层捕获异常，写入状态 4 和最接近的错误码，然后以非 0 退出码结束。',
    ),
)
def code_on_failure(run: Run) -> Iterator[Hit]:
    if not run.exit_code or run.exit_code in KILLED or run.reports_error:
        raise NotApplicable
    values = run.monitor_content.values
    if {fault.kind for fault in run.monitor_content.faults} & {'columns', 'code'}:
        raise NotApplicable
    error_code = values.get('code', 0)
    if not error_code:
        yield Hit(
            f'{LINE_1} column 5',
            (f'exit code {run.exit_code}, code {error_code}', f'退出码 {run.exit_code}，错误码 {error_code}'),
        )


@OUT.rule(
    'monitor/lines',
    'd.1',
    WARNING,
    en=(
        'monitor.txt has at most 100 lines: one for the state and 99 of a stack trace.',
        'Keep the last 99 lines of the trace.',
    ),
    zh=('monitor.txt 最多 100 行：1 行状态，99 行堆栈。', '请只保留堆栈的最后 99 行。'),
)
def lines(run: Run) -> Iterator[Hit]:
    count = len(run.monitor.need().lines)
    if count > MAX_LINES:
        yield Hit(f'monitor.txt:{count}', (f'{count} lines', f'{count} 行'))


@OUT.rule(
    'monitor/finished',
    'd.1',
    WARNING,
    en=('A task that did not fail ends at percent 1.00.', 'Write percent 1.00 after the results are in place.'),
    zh=('没有失败的任务，进度最终为 1.00。', '结果写好之后，请写入进度 1.00。'),
)
def finished(run: Run) -> Iterator[Hit]:
    values = run.monitor_columns
    if run.ended_early or run.state in (0, 1) or not is_number(values[2], 0, 1):
        raise NotApplicable
    if float(values[2]) < 1:
        yield Hit(f'{LINE_1} column 3', short(values[2]))
