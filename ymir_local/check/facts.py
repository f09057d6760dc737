"""What the rules of a finished task look at: the files of `out` and the task in `in`, each read when first wanted."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ymir_exc.code import ExecutorState
from ymir_exc.errors import ConfigError, DatasetError
from ymir_exc.reading import (
    Fault,
    MiningLine,
    Monitor,
    parse_infer_result,
    parse_mining_result,
    parse_monitor,
    parse_training_result,
    read_index,
    read_mapping,
)
from ymir_exc.reading.monitor import MIN_COLUMNS

from .finding import NotApplicable
from .reading import MAX_LARGE, MAX_SMALL, CheckedDocument

TRAINING, MINING, INFER = 'training', 'mining', 'infer'
TASK_WORDS = {
    'training': TRAINING,
    'train': TRAINING,
    't': TRAINING,
    'mining': MINING,
    'mine': MINING,
    'm': MINING,
    'infer': INFER,
    'inference': INFER,
    'i': INFER,
    'mi': (MINING, INFER),
}
DETECTION = 2
MAIN_METRICS = {DETECTION: 'mAP', 3: 'mIoU', 4: 'maskAP'}


def tasks_of(task: None | str | Sequence[str]) -> frozenset[str]:
    """Return the tasks that a word names.

    Args:
        task: 'training', 'mining', 'infer', several with '+' or ',' between them, a list of them, or None.

    Raises:
        ValueError: an unknown word.
    """
    words = [] if not task else task.replace(',', '+').split('+') if isinstance(task, str) else list(task)
    found = []
    for word in words:
        meaning = TASK_WORDS.get(str(word).strip().lower())
        if meaning is None:
            raise ValueError(f'{word!r} is not a task; give training, mining, infer or mining+infer')
        found += [meaning] if isinstance(meaning, str) else meaning
    return frozenset(found)


class Run:
    """A task that has ended.

    Args:
        out_dir: its `out`.
        in_dir: its `in`; None: what is needed of it is not checked.
        task: as `tasks_of` takes it; None: env.yaml says it, or what lies in `out`.
        exit_code: of the process or container.
        stopped: somebody stopped it.
        in_changes: `folder_changes.changes_since` the start; None: nobody looked.

    Properties raise `NotApplicable` where there is nothing to give.
    """

    def __init__(
        self,
        out_dir: Path,
        in_dir: Path | None = None,
        task: None | str | Sequence[str] = None,
        exit_code: int | None = None,
        stopped: bool = False,
        in_changes: Mapping[str, str] | None = None,
    ) -> None:
        self.out_dir = Path(out_dir)
        self.in_dir = None if in_dir is None else Path(in_dir)
        self.exit_code = exit_code
        self.stopped = stopped
        self.in_changes = in_changes
        self._asked = tasks_of(task)

    @property
    def models_dir(self) -> Path:
        return self.out_dir / 'models'

    @cached_property
    def monitor(self) -> CheckedDocument:
        return CheckedDocument.read(self.out_dir / 'monitor.txt', 'monitor.txt', MAX_SMALL)

    @cached_property
    def monitor_content(self) -> Monitor:
        """monitor.txt, parsed, with what the platform cannot read in it."""
        return parse_monitor(self.monitor.need().text)

    @property
    def monitor_columns(self) -> list[str]:
        """The columns of line 1 as the platform cuts them; at least four."""
        if len(self.monitor_content.columns) < MIN_COLUMNS:
            raise NotApplicable
        return self.monitor_content.columns

    @property
    def state(self) -> int | None:
        """The state in monitor.txt; None if there is none."""
        try:
            return self.monitor_content.values.get('state')
        except NotApplicable:
            return None

    @property
    def reports_error(self) -> bool:
        """Whether the task says of itself that it failed."""
        return self.state == ExecutorState.ES_ERROR

    @property
    def failed(self) -> bool:
        """Whether the task failed."""
        return bool(self.exit_code) or self.reports_error

    @property
    def ended_early(self) -> bool:
        """Whether the task failed or was stopped: then results may be missing; those that are there must be right."""
        return self.failed or self.stopped

    @cached_property
    def result(self) -> CheckedDocument:
        """models/result.yaml."""
        return CheckedDocument.read(self.models_dir / 'result.yaml', 'models/result.yaml', MAX_SMALL).as_yaml()

    @cached_property
    def result_faults(self) -> list[Fault]:
        """What the platform does not take in models/result.yaml."""
        faults: list[Fault] = []
        parse_training_result(self.result.need().value, self.models_dir, faults.append)
        return faults

    @cached_property
    def infer_faults(self) -> dict[str, list[Fault]]:
        """What the platform does not take in infer-result.json of detection, by kind."""
        faults: dict[str, list[Fault]] = {}
        value = self.infer_result.need().value
        parse_infer_result(value, lambda fault: faults.setdefault(fault.kind, []).append(fault))
        return faults

    @cached_property
    def infer_result(self) -> CheckedDocument:
        return CheckedDocument.read(self.out_dir / 'infer-result.json', 'infer-result.json', MAX_LARGE).as_json()

    @cached_property
    def mining_result(self) -> CheckedDocument:
        return CheckedDocument.read(self.out_dir / 'result.tsv', 'result.tsv', MAX_LARGE, 'surrogateescape')

    @cached_property
    def mining_lines(self) -> list[MiningLine]:
        """Number and columns of every line of result.tsv that is not blank."""
        return parse_mining_result(self.mining_result.need().text)

    @cached_property
    def env(self) -> dict[str, Any]:
        """env.yaml, {} if there is none that can be read."""
        return self._in_yaml('env.yaml')

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml, {} if there is none that can be read."""
        return self._in_yaml('config.yaml')

    def _in_yaml(self, name: str) -> dict[str, Any]:
        if self.in_dir is None:
            return {}
        try:
            return read_mapping(self.in_dir / name)
        except ConfigError:
            return {}

    @cached_property
    def tasks(self) -> frozenset[str]:
        """What the task was to do; empty if nothing says so."""
        # The platform keeps config.yaml alone of `in` after a success.
        settings = self.env or self.config
        flags = [task for task in (TRAINING, MINING, INFER) if settings.get(f'run_{task}') in (True, 1)]
        if self._asked or flags:
            return self._asked or frozenset(flags)
        found = []
        if self.mining_result.problem != 'missing':
            found.append(MINING)
        if self.infer_result.problem != 'missing':
            found.append(INFER)
        if self.result.problem != 'missing' or (not found and _has_entries(self.models_dir)):
            found.append(TRAINING)
        return frozenset(found)

    def need_task(self, task: str) -> None:
        """Raise NotApplicable unless this was (part of) the task."""
        if task not in self.tasks:
            raise NotApplicable

    def need_output(self, task: str, document: CheckedDocument) -> None:
        """Raise NotApplicable unless the task had to write a document, or wrote it although it ended early."""
        self.need_task(task)
        if self.ended_early and not document.present:
            raise NotApplicable

    @property
    def task_id(self) -> str:
        task_id = self.env.get('task_id')
        if not isinstance(task_id, str) or not task_id:
            raise NotApplicable
        return task_id

    @property
    def class_names(self) -> list[str]:
        """The class names of the task, as the platform compares them."""
        names = self.config.get('class_names')
        if not isinstance(names, list) or not names:
            raise NotApplicable
        return [str(name).strip().lower() for name in names]

    @property
    def object_type(self) -> int:
        value = self.config.get('object_type', DETECTION)
        return value if isinstance(value, int) else DETECTION

    @cached_property
    def known_candidates(self) -> list[str] | None:
        if self.in_dir is None:
            return None
        try:
            return [line.image for line in read_index(self.in_dir / 'candidate-index.tsv')]
        except DatasetError:
            return None

    @property
    def candidates(self) -> list[str]:
        """The image paths of the index, as the executor saw them."""
        if self.known_candidates is None:
            raise NotApplicable
        return self.known_candidates


def _has_entries(folder: Path) -> bool:
    try:
        return any(os.scandir(folder))
    except OSError:
        return False
