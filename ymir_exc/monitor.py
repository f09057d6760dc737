"""monitor.txt: progress, state, return code, message and trace of the task (contract section d.1).

One unreadable monitor.txt makes the platform fail the task for good, so it is replaced atomically, the message holds
neither TAB nor newline, and the text is always valid UTF-8.
"""

from __future__ import annotations

import os
import time
from typing import Any, Sequence

from . import env
from .atomic import DISK_FULL, overwrite_text, write_text_atomically
from .code import ExecutorReturnCode, ExecutorState
from .executor_log import write_final_executor_log, write_tensorboard_text
from .progress import YmirTask, clamp_percent, scale_to_task
from .reading.monitor import MAX_TRACE_LINES, MonitorLine, read_monitor_file

__all__ = [
    'MonitorLine',
    'YmirTask',
    'format_monitor',
    'read_monitor',
    'write_final_executor_log',
    'write_monitor_logger',
    'write_monitor_logger_for_multiple_tasks',
    'write_monitor_logger_for_mutiple_tasks',
    'write_tensorboard_text',
]


def _one_line(text: str) -> str:
    return ' '.join(str(text).split())


def _trace_lines(trace: str | Sequence[str]) -> list[str]:
    text = trace if isinstance(trace, str) else '\n'.join(map(str, trace))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_TRACE_LINES:  # the end of a traceback says most
        lines = [f'... {len(lines) - MAX_TRACE_LINES + 1} lines left out'] + lines[1 - MAX_TRACE_LINES :]
    return lines


def format_monitor(line: MonitorLine, trace: str | Sequence[str] = '') -> str:
    """Write the content of a monitor.txt.

    Args:
        line: its first line; the message may have newlines and TABs, which become spaces.
        trace: a traceback, as text or as lines; the last 99 non-blank lines are kept.
    """
    columns = [
        _one_line(line.task_id) or 'default-task',
        f'{line.timestamp:.6f}',
        f'{line.percent:.2f}',
        str(int(line.state)),
        str(int(line.code)),
    ]
    if _one_line(line.message):
        columns.append(_one_line(line.message))
    return '\n'.join(['\t'.join(columns), *_trace_lines(trace)]) + '\n'


def write_monitor_logger(
    percent: float,
    state: ExecutorState = ExecutorState.ES_RUNNING,
    return_code: ExecutorReturnCode = ExecutorReturnCode.RC_EXEC_NO_ERROR,
    message: str = '',
    trace: str | Sequence[str] = '',
) -> None:
    """Replace monitor.txt by the present state of the task; on a full disk, write over it.

    Args:
        percent: progress of the whole task; brought into 0..1.
        state: running or error; the platform takes an error as final, whatever follows.
        return_code: why it failed.
        message: one sentence for the user; newlines and TABs become spaces.
        trace: a traceback, as text or as lines; the last 99 non-blank lines are kept.

    Raises:
        ValueError: ``percent`` is NaN or not a number, ``state`` or ``return_code`` is not an integer.
        OSError: monitor.txt cannot be written.
    """
    write_monitor_of(env.get_current_env(), percent, state, return_code, message, trace)


def write_monitor_of(
    current_env: env.EnvConfig,
    percent: float,
    state: ExecutorState,
    return_code: ExecutorReturnCode,
    message: str = '',
    trace: str | Sequence[str] = '',
) -> None:
    """Do what :func:`write_monitor_logger` does for an env.yaml that only in part can be read.

    Args:
        current_env: what it holds.
        percent: as there, like all that follow.
        state: running or error.
        return_code: why it failed.
        message: one sentence for the user.
        trace: a traceback.

    Raises:
        ValueError, OSError: as there.
    """
    line = MonitorLine(current_env.task_id, time.time(), clamp_percent(percent), state, return_code, message)
    text = format_monitor(line, trace)
    path = current_env.output.monitor_file
    if os.path.isfile(path):  # a link of the platform's: its reader may look at the file that it leads to
        path = os.path.realpath(path)
    # A lone surrogate (from a file name that is not UTF-8) would make the file unreadable for the platform.
    text = text.encode('utf-8', 'replace').decode('utf-8')
    try:
        write_text_atomically(path, text)
    except OSError as error:
        if error.errno not in DISK_FULL or not os.path.isfile(path):
            raise
        overwrite_text(path, text)  # else a task that has failed would be shown as running


def write_monitor_logger_for_multiple_tasks(cfg: Any, task: YmirTask | str, percent: float, order: str = 'tmi') -> None:
    """Write the progress of one task where mining and inference may share the bar.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        task: the task, or its name in any case.
        percent: its own progress; brought into 0..1.
        order: ``'tmi'`` when mining runs before inference, ``'tim'`` for the reverse.

    Raises:
        ValueError: an unknown task or order, or ``percent`` is NaN.
    """
    write_monitor_logger(scale_to_task(percent, task, cfg.ymir.run_mining, cfg.ymir.run_infer, order))


# The SDK's document spells it so, its code the other way; both work here.
write_monitor_logger_for_mutiple_tasks = write_monitor_logger_for_multiple_tasks


def read_monitor() -> MonitorLine:
    """Read the first line of monitor.txt as the platform does.

    Returns:
        Its columns.

    Raises:
        FileNotFoundError: there is no monitor.txt.
        ValueError: the platform could not read it either.
    """
    path = env.get_current_env().output.monitor_file
    try:
        return read_monitor_file(path).line()
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
