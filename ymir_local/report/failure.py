"""Why a run failed: the code, what it means, what helps, and the end of the log."""

from typing import NamedTuple

from ymir_exc.code import ExecutorState

from ..platform.return_codes import EXPLANATIONS, find_code
from ..texts import Text, t
from .run_files import RunFiles

UNKNOWN = t('report.this code is in no')
LOG_LINES = 40
PLATFORM_LINES = 5


class Failure(NamedTuple):
    """Why a run failed.

    Args:
        code: column 5 of monitor.txt, or what the platform makes of an executor that wrote none.
        meaning: of the code, its usual causes and what to do.
        message: the sentence of the executor.
        shown: the last lines of the log, which the platform shows.
        log: more of the log's end.
        trace: of monitor.txt.
    """

    code: int
    meaning: list[Text]
    message: str
    shown: list[str]
    log: list[str]
    trace: list[str]


def failure_of(run: RunFiles) -> Failure | None:
    """Return why a run failed; None if neither monitor.txt nor run.yaml says so, and for a run that was stopped."""
    progress, record = run.progress, run.record
    told = progress is not None and (progress.state == ExecutorState.ES_ERROR or progress.code)
    if record.get('stopped') or not (told or record.get('ok') is False):
        return None
    code = progress.code if told else record.get('code')
    code = code if isinstance(code, int) else 0
    message = (progress.message if told else '') or str(record.get('reason') or '')
    entry = find_code(code)
    meaning = [entry[key] for key in EXPLANATIONS] if entry else [UNKNOWN]
    return Failure(code, meaning, message, run.log[-PLATFORM_LINES:], run.log[-LOG_LINES:], list(run.trace))
