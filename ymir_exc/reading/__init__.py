"""The one reader of each file of the contract, for executors, the platform's part and every tool.

A file is parsed in one place, which gives data and faults. Who wants to know all that is wrong takes the faults
(``parse_...``); who wants the data or nothing takes the reader that raises at the first of them (``read_...``).

========================================  ==================================================
file                                      module
========================================  ==================================================
train-, val- and candidate-index.tsv      :mod:`~ymir_exc.reading.index`
env.yaml, config.yaml, templates          :mod:`~ymir_exc.reading.document`, typed in :mod:`ymir_exc.env`
monitor.txt                               :mod:`~ymir_exc.reading.monitor`
========================================  ==================================================
"""

from __future__ import annotations

from .document import Document, Fault, read_mapping
from .index import IndexLine, read_index
from .monitor import Monitor, MonitorLine, parse_monitor, read_monitor_file
from .text import decode, open_regular, read_lines, read_text, split_lines

__all__ = [
    'Document',
    'Fault',
    'IndexLine',
    'Monitor',
    'MonitorLine',
    'decode',
    'open_regular',
    'parse_monitor',
    'read_index',
    'read_lines',
    'read_mapping',
    'read_monitor_file',
    'read_text',
    'split_lines',
]
