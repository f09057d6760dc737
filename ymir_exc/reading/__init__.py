"""The one reader of each file of the contract, for executors, the platform's part and every tool.

A file is parsed in one place, which gives data and faults. Who wants to know all that is wrong takes the faults
(``parse_...``); who wants the data or nothing takes the reader that raises at the first of them (``read_...``).

========================================  ==================================================
file                                      module
========================================  ==================================================
train-, val- and candidate-index.tsv      :mod:`~ymir_exc.reading.index`
env.yaml, config.yaml, templates          :mod:`~ymir_exc.reading.document`, typed in :mod:`ymir_exc.env`
monitor.txt                               :mod:`~ymir_exc.reading.monitor`
result.yaml                               :mod:`~ymir_exc.reading.training_result`
result.tsv                                :mod:`~ymir_exc.reading.mining_result`
infer-result.json                         :mod:`~ymir_exc.reading.infer_result`
ymir-info.yaml                            :mod:`~ymir_exc.reading.package_info`
skipped-images.tsv                        :mod:`ymir_exc.skipped_images`, with its writer
preflight.csv                             :mod:`ymir_exc.preflight`, with its writer
training-summary.json                     :mod:`ymir_exc.training_summary`, with its writer
labels-to-check.csv                       :mod:`ymir_exc.label_check`, with its writer
mining-summary.json                       :mod:`ymir_exc.mining_summary`, with its writer
========================================  ==================================================
"""

from __future__ import annotations

from .document import Document, Fault, read_mapping
from .index import IndexLine, read_index
from .infer_result import DetectedObject, parse_infer_result, read_infer_result
from .mining_result import MiningLine, parse_mining_result, read_mining_result, scores_repeat_the_order
from .monitor import Monitor, MonitorLine, parse_monitor, read_monitor_file
from .package_info import PackageInfo, read_package_info
from .text import decode, open_regular, read_lines, read_text, split_lines
from .training_result import StageResult, TrainingResult, parse_training_result, read_training_result

__all__ = [
    'DetectedObject',
    'Document',
    'Fault',
    'IndexLine',
    'MiningLine',
    'Monitor',
    'MonitorLine',
    'PackageInfo',
    'StageResult',
    'TrainingResult',
    'decode',
    'open_regular',
    'parse_infer_result',
    'parse_mining_result',
    'parse_monitor',
    'parse_training_result',
    'read_index',
    'read_infer_result',
    'read_lines',
    'read_mapping',
    'read_mining_result',
    'read_monitor_file',
    'read_package_info',
    'read_text',
    'read_training_result',
    'scores_repeat_the_order',
    'split_lines',
]
