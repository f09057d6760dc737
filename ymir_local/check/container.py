"""Rules for how the container behaved, seen from outside (contract sections a.2, a.3, a.6)."""

from collections.abc import Iterator

from ymir_exc.reading.monitor import STATE_DONE

from ..platform.folder_changes import ADDED, CHANGED, REMOVED
from ..platform.run import log_tail
from ..texts import t
from .facts import Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable
from .reading import clip

LOG = 'ymir-executor-out.log'
CHANGES = {ADDED: t('check.it was added'), REMOVED: t('check.it was removed'), CHANGED: t('check.it was changed')}


@OUT.rule('container/out-folder', 'a.2', ERROR)
def out_folder(run: Run) -> Iterator[Hit]:
    if not run.out_dir.is_dir():
        yield Hit(str(run.out_dir), t('check.no such folder'))
    elif (run.models_dir.exists() or run.models_dir.is_symlink()) and not run.models_dir.is_dir():
        yield Hit('models', t('check.no folder'))


@OUT.rule('container/task-known', 'a.4', ERROR)
def task_known(run: Run) -> Iterator[Hit]:
    if not run.out_dir.is_dir() or run.ended_early or run.state == STATE_DONE:
        raise NotApplicable  # where the platform has written that it is done, it has taken the results away
    if not run.tasks:
        yield Hit('out', t('check.no result'))


def _last_words(run: Run) -> list[str]:
    """Return what of the last five lines of the log is not blank."""
    log = run.out_dir / LOG
    try:
        return [line.strip() for line in log_tail(log) if line.strip()] if log.is_file() else []
    except OSError:
        return []


@OUT.rule('container/exit-code', 'a.6, l.2', ERROR)
def exit_code(run: Run) -> Iterator[Hit]:
    if run.exit_code is None:
        raise NotApplicable
    if run.exit_code:
        tail = clip(' | '.join(_last_words(run)))
        key = 'check.exit code' if tail else 'check.exit code, empty log'
        yield Hit(LOG, t(key, run.exit_code, tail))


@OUT.rule('container/no-error-state', 'a.6', ERROR)
def no_error_state(run: Run) -> Iterator[Hit]:
    columns = run.monitor_columns
    if run.reports_error:
        code, message = (columns[4:5] or ['0'])[0], (columns[5:6] or [''])[0]
        yield Hit('monitor.txt:1', t('check.code and message', code=code, message=clip(message)))


@OUT.rule('container/log-says-why', 'a.6', WARNING)
def log_says_why(run: Run) -> Iterator[Hit]:
    if not run.failed or not (run.out_dir / LOG).is_file():
        raise NotApplicable
    if not _last_words(run):
        yield Hit(LOG, t('check.no text at the end'))


@OUT.rule('container/in-unchanged', 'a.3', ERROR)
def in_unchanged(run: Run) -> Iterator[Hit]:
    if run.in_changes is None:
        raise NotApplicable
    for name, change in run.in_changes.items():
        yield Hit(f'in/{name}', CHANGES.get(change, change))
