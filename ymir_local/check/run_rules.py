"""Rules for what is seen only while an image runs its tasks (contract sections a.3, a.4, d.1 and d.2)."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..texts import t
from .facts import Run
from .finding import ERROR, OUT, RUNS, WARNING, Finding, Hit, NotApplicable, Words, findings_of

HARMLESS_FOR_A_MOMENT = ('monitor/not-empty',)  # the platform looks again


class Attempts:
    """What came of the tasks that were tried: facts for the rules of this file."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.not_tried: dict[str, Words] = {}  # the others of which the image has a template: why not
        self.endless: dict[str, Words] = {}  # what says that it did not end
        self.moments: list[Hit] = []  # what was wrong for a while and right at the end


class Moments:
    """Looks at a task while it runs, for what must hold at every moment.

    Args:
        out_dir: its `out`.
        task: 'training', 'mining', 'infer' or 'mining+infer'.
        label: name of the task in findings, where there are several such.
    """

    def __init__(self, out_dir: Path, task: str, label: str = '') -> None:
        self.out_dir = out_dir
        self.task = task
        self.label = label or task
        self.rules = [
            rule
            for rule in OUT.rules
            if rule.severity == ERROR
            and rule.name not in HARMLESS_FOR_A_MOMENT
            and rule.name.split('/')[0] in ('monitor', 'training')
        ]
        self.seen: dict[tuple[str, str], Finding] = {}

    def look(self) -> None:
        """Look once; what changed meanwhile is not judged, because a file may rightly go after result.yaml is new."""
        before = self._contents()
        run = Run(self.out_dir, task=self.task, stopped=True)
        failed = [finding for rule in self.rules for finding in findings_of(rule, run) if finding.ok is False]
        if self._contents() == before:
            for finding in failed:
                self.seen.setdefault((finding.rule, finding.place), finding)

    def hits(self, at_the_end: list[Finding]) -> Iterator[Hit]:
        """Yield what was wrong for a while.

        Args:
            at_the_end: findings of the ended task; rules that fail there are not reported twice.
        """
        known = {finding.rule for finding in at_the_end if finding.ok is False}
        for (rule, place), finding in self.seen.items():
            if rule not in known:
                yield Hit(f'{self.label}: {place}', t('check.rule broken', rule=rule, message=finding.texts[0]))

    def _contents(self) -> list[bytes | None]:
        return [_content(self.out_dir / name) for name in ('monitor.txt', 'models/result.yaml')]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if os.path.isfile(path) else None
    except OSError:
        return None


@RUNS.rule('container/ends', 'a.3', ERROR)
def ends(attempts: Attempts) -> Iterator[Hit]:
    if not attempts.tried:
        raise NotApplicable
    for task, reason in attempts.endless.items():
        yield Hit(task, reason)


@RUNS.rule('container/always-valid', 'a.3, d.1, d.2', ERROR)
def always_valid(attempts: Attempts) -> Iterator[Hit]:
    if not attempts.tried:
        raise NotApplicable
    yield from attempts.moments


@RUNS.rule('container/tried', 'a.4', WARNING)
def tried(attempts: Attempts) -> Iterator[Hit]:
    if not attempts.tried and not attempts.not_tried:
        raise NotApplicable
    for task, reason in attempts.not_tried.items():
        yield Hit(task, reason)
