"""monitor.txt as the platform reads it (contract section d.1).

Line 1, stripped and cut at TABs, has 4 to 6 columns; lines 2 to 100 are a stack trace. Whether the progress lies within
0 to 1 the platform's reader does not ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..code import PlatformCode
from .document import Fault
from .text import PathLike, decode, open_regular, split_lines

MAX_TRACE_LINES = 99  # lines 2 to 100
MIN_COLUMNS, MAX_COLUMNS = 4, 6
STATES = range(5)  # unknown, pending, running, done, error
STATE_PENDING, STATE_DONE = 1, 3  # written by the platform alone


class MonitorLine(NamedTuple):
    """The first line of monitor.txt."""

    task_id: str = ''
    timestamp: float = 0.0
    percent: float = 0.0
    state: int = STATE_PENDING
    code: int = 0
    message: str = ''


def _state(value: str) -> int:
    if int(value) not in STATES:
        raise ValueError(value)
    return int(value)


# Number of the column from 1, its name, what reads it, and what it may be.
_COLUMNS = (
    (2, 'timestamp', float, 'a number of seconds'),
    (3, 'percent', float, 'a number'),
    (4, 'state', _state, 'one of 0 to 4'),
    (5, 'code', int, 'a whole number'),
)


@dataclass(frozen=True)
class Monitor:
    """The content of monitor.txt.

    Args:
        columns: of line 1.
        trace: lines 2 to 100.
        faults: of the kinds columns, timestamp, percent, state and code; for each the platform rejects the file.
        values: what line 1 says, by name, as far as it can be read.
    """

    columns: list[str]
    trace: list[str]
    faults: list[Fault]
    values: dict[str, Any]

    def line(self) -> MonitorLine:
        """Give line 1.

        Raises:
            ValueError: the platform cannot read it.
        """
        if self.faults:
            raise ValueError('; '.join(fault.message for fault in self.faults))
        return MonitorLine(**self.values)


def parse_monitor(text: str) -> Monitor:
    """Parse the content of monitor.txt.

    Args:
        text: the content.

    Returns:
        Its columns, and what is wrong with them.
    """
    first, *trace = split_lines(text)
    columns = first.strip().split('\t')
    faults: list[Fault] = []
    values: dict[str, Any] = {'task_id': columns[0]}
    if len(columns) < MIN_COLUMNS:
        message = f'4 to 6 columns separated by TAB are needed in line 1, found {columns}'
        faults.append(Fault('columns', message, (1,), first, PlatformCode.MONITOR_UNREADABLE))
    else:
        for number, name, convert, allowed in _COLUMNS:
            if number <= len(columns):
                try:
                    values[name] = convert(columns[number - 1])
                except ValueError:
                    message = f'column {number} ({name}) is {columns[number - 1]!r}, {allowed} is needed'
                    code = PlatformCode.MONITOR_UNREADABLE
                    faults.append(Fault(name, message, (1, number), columns[number - 1], code))
        values.update({'message': columns[5]} if len(columns) > 5 else {})
    return Monitor(columns, trace[:MAX_TRACE_LINES], faults, values)


def read_monitor_file(path: PathLike) -> Monitor:
    """Read a monitor.txt.

    Args:
        path: the file.

    Returns:
        Its columns, and what is wrong with them.

    Raises:
        OSError: it cannot be read.
        UnicodeError: it is not UTF-8, so that the platform cannot read it either.
    """
    with open_regular(path) as stream:
        return parse_monitor(decode(stream.read()))
