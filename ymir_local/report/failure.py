"""Why a run failed: the code, what it means, what helps, and the end of the log."""

from typing import NamedTuple

from ymir_exc.code import ExecutorState

from ..platform.return_codes import find_code
from .run_files import RunFiles
from .text import Text

UNKNOWN = Text('This code is in no list; the log says more.', '未知错误码，详见日志。')
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
    texts = [entry.meaning, entry.causes, entry.remedy] if entry else []
    meaning = [Text(text['en'], text['zh']) for text in texts] or [UNKNOWN]
    return Failure(code, meaning, message, run.log[-PLATFORM_LINES:], run.log[-LOG_LINES:], list(run.trace))
