"""What a run left behind, read through the files of the contract alone (sections c, d and k).

Everything may be missing, cut short or broken: then a field is empty and `gaps` says what is not there and why.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ymir_exc.annotations import annotation_format, make_reader
from ymir_exc.errors import (
    ConfigError,
    ConfigFileNotFoundError,
    DatasetError,
    ExecutorError,
    ResultError,
    ResultRejected,
)
from ymir_exc.mining_summary import MiningSummary, read_mining_summary
from ymir_exc.reading import (
    DetectedObject,
    Document,
    Fault,
    MonitorLine,
    TrainingResult,
    parse_infer_result,
    parse_training_result,
    read_index,
    read_lines,
    read_mapping,
    read_mining_result,
    read_monitor_file,
)
from ymir_exc.reading.infer_result import HARMLESS
from ymir_exc.skipped_images import CANDIDATES, read_skipped_images
from ymir_exc.training_summary import TrainingSummary, read_training_summary

from ..platform.event_scalars import event_files
from ..platform.parameters import RESERVED
from ..platform.prepare import IMG_MAN
from ..platform.skipped import as_lines, skipped_images
from ..texts import Text, as_text, t

TRACES = ('monitor.txt', 'ymir-executor-out.log', 'models', 'tensorboard', 'result.tsv', 'infer-result.json')
VALIDATION = 'validation'  # in the folder of a training: the run of its best model over the validation images
MAX_LOG_BYTES = 100_000  # of its end
MAX_COUNTED_FILES = 20_000


@dataclass
class RunFiles:
    """A run.

    Args:
        out_dir, in_dir: its folders; the latter may be unknown.
        config: in/config.yaml.
        env: in/env.yaml.
        record: run.yaml, in which the command line says how the run ended; empty for a run of the platform.
        progress: monitor.txt; None if it cannot be read.
        trace: further lines of monitor.txt.
        log: the last lines of the log.
        summary: out/training-summary.json; empty if there is none.
        result: what is right in out/models/result.yaml; None if there is none.
        detections: objects by file name of the image; None: there is no inference result.
        ranking: path and score of each image, best first; None: there is no mining result.
        mining: out/mining-summary.json; None if there is none of this ranking.
        candidates: paths of in/candidate-index.tsv.
        sources: where the candidates came from, in the same order; may be empty.
        skipped: file names of candidates that could not be read.
        gaps: what is not there and why.
    """

    out_dir: Path
    in_dir: Path | None
    config: dict[str, Any] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    progress: MonitorLine | None = None
    trace: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list)
    summary: TrainingSummary = field(default_factory=TrainingSummary)
    result: TrainingResult | None = None
    detections: dict[str, list[DetectedObject]] | None = None
    ranking: list[tuple[str, float]] | None = None
    mining: MiningSummary | None = None
    candidates: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    skipped: frozenset[str] = frozenset()
    gaps: list[Text] = field(default_factory=list)

    @property
    def wants(self) -> tuple[str, ...]:
        """What the run was to do, of 'training', 'mining' and 'infer'; without env.yaml, what it has results of."""
        named = tuple(name for name in ('training', 'mining', 'infer') if self.env.get(f'run_{name}'))
        found = (
            (self.result is not None or self.has_events, 'training'),
            (self.ranking is not None, 'mining'),
            (self.detections is not None, 'infer'),
        )
        return named or tuple(name for present, name in found if present)

    @property
    def written(self) -> float:
        """Return when monitor.txt was written, seconds; 0 if unknown."""
        return self.progress.timestamp if self.progress else 0.0

    @property
    def has_events(self) -> bool:
        return bool(event_files(self.out_dir / 'tensorboard'))

    def template(self, task: str) -> dict[str, Any]:
        """Return the template that config.yaml was made of, empty if it is not on this machine.

        That of a container is not, but that of this executor is, and its runs have all keys of it.

        Args:
            task: 'training', 'mining' or 'infer'.
        """
        named = _template(Path(str(self.env.get('manifest_file') or '/img-man/manifest.yaml')).parent, task)
        if named:
            return named
        own = _template(IMG_MAN, task)
        return own if self.has_keys_of(own) else {}

    def is_of_this_executor(self, task: str) -> bool:
        """Return whether config.yaml has the keys of this executor's template, which those of other images have not."""
        return self.has_keys_of(_template(IMG_MAN, task))

    def has_keys_of(self, template: dict[str, Any]) -> bool:
        """Return whether config.yaml holds the keys of a template whose values are words.

        The platform leaves out numbers that are 0 and whatever is empty or false.
        """
        words = {key for key, value in template.items() if isinstance(value, str) and value} - set(RESERVED)
        return bool(words) and all(key in self.config for key in words)

    @property
    def class_names(self) -> list[str]:
        """Of config.yaml; else of the summary; else those that the inference result names, sorted."""
        names = self.config.get('class_names')
        if isinstance(names, list) and names:
            return [str(name) for name in names]
        if self.summary.class_names:
            return self.summary.class_names
        return sorted({found.class_name for boxes in (self.detections or {}).values() for found in boxes})

    def host_path(self, path: str) -> Path | None:
        """Find a file that the executor knows by `path`, which may lie below its /in."""
        given = self.env.get('input')
        root = str((given.get('root_dir') if isinstance(given, dict) else None) or '/in')
        options = [Path(path)]
        for prefix in {root, '/in'}:
            if self.in_dir and path.startswith(prefix.rstrip('/') + '/'):
                relative = path[len(prefix.rstrip('/')) + 1 :]
                options.insert(0, self.in_dir / relative)
                if relative.startswith('assets/'):  # a work directory that was moved has a broken link there
                    options.append(self.in_dir.parent / 'asset_cache' / relative[len('assets/') :])
        return next((option for option in options if os.path.isfile(option)), None)


def is_run(out_dir: Path) -> bool:
    """Return whether a folder holds anything that a run leaves in its `out`."""
    return any((Path(out_dir) / name).exists() for name in TRACES)


def read_run(out_dir: Path, in_dir: Path | None = None) -> RunFiles:
    """Read a run.

    Args:
        out_dir: its `out`, or the folder that holds `out` and `in`.
        in_dir: its `in`; default: the one beside `out`, if there is one.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    out_dir = Path(out_dir)
    if (out_dir / 'out').is_dir():
        out_dir = out_dir / 'out'
    if not out_dir.is_dir():
        raise FileNotFoundError(f'{out_dir} is not a folder; the `out` folder of a run is needed')
    if in_dir is None and (out_dir.resolve().parent / 'in').is_dir():
        in_dir = out_dir.resolve().parent / 'in'
    run = RunFiles(out_dir, Path(in_dir) if in_dir else None)
    if run.in_dir is None:
        run.gaps.append(t('report.there is no in folder'))
    else:
        run.env = _read_yaml(run, run.in_dir / 'env.yaml')
        run.config = _read_yaml(run, run.in_dir / 'config.yaml')
        run.candidates = [image for image, _ in _index(run, 'candidate')]
        run.sources = read_lines(run.in_dir / 'candidate-src-index.tsv')
    if (out_dir.resolve().parent / 'run.yaml').is_file():
        run.record = _read_yaml(run, out_dir.resolve().parent / 'run.yaml')
    _tell_skipped_images(run)
    _read_monitor(run)
    run.log = _read_log(run)
    run.result = _read_result(run)
    run.summary = _read_summary(run)
    run.detections = _read_detections(run)
    run.ranking = _read_ranking(run)
    run.mining = _read_mining_summary(run)
    for name, value, file in (
        ('training', run.result, 'models/result.yaml'),
        ('mining', run.ranking, 'result.tsv'),
        ('infer', run.detections, 'infer-result.json'),
    ):
        if run.env.get(f'run_{name}') and value is None and not (out_dir / file).exists():
            run.gaps.append(t('report.there is no out/ the', file))
    return run


def index_entries(run: RunFiles, split: str) -> list[tuple[str, str]]:
    """Return the image and annotation path of each line of in/<split>-index.tsv, which may be missing."""
    return _index(run, split) if run.in_dir else []


def _index(run: RunFiles, name: str) -> list[tuple[str, str]]:
    path = run.in_dir / f'{name}-index.tsv'
    try:
        return [(line.image, line.annotation) for line in read_index(path)] if path.exists() else []
    except DatasetError as error:
        gap = as_text(_one_line(error))
        run.gaps += [] if gap in run.gaps else [gap]
        return []


def objects_of(run: RunFiles, entries: Sequence[tuple[str, str]]) -> Iterator[list | None]:
    """Read annotations.

    Args:
        run: the run.
        entries: image and annotation path of each.

    Yields:
        Objects (`ymir_exc.annotations.LabelledObject`) of each image; None if there is no annotation or it is wrong.
    """
    readers: dict[str, Any] = {}
    for image, annotation in entries:
        path = run.host_path(annotation) if annotation else None
        if path is None:
            yield None
            continue
        try:
            kind = annotation_format(
                run.config.get('export_format') if run.env.get('run_training') else None, str(path)
            )
            reader = readers.setdefault(kind, make_reader(kind, run.class_names))
            yield reader.read(str(path), image)
        except (ExecutorError, ValueError):
            yield None


def _read_yaml(run: RunFiles, path: Path) -> dict[str, Any]:
    try:
        content = read_mapping(path)
        if not content:
            run.gaps.append(t('report.file has no keys', path))
        return content
    except ConfigFileNotFoundError:
        run.gaps.append(t('report.file does not exist', path))
    except ConfigError as error:
        run.gaps.append(t('report.file is unreadable', _one_line(error)))
    return {}


def _template(folder: Path, task: str) -> dict[str, Any]:
    try:
        return read_mapping(folder / f'{task}-template.yaml')
    except ConfigError:
        return {}


def _tell_skipped_images(run: RunFiles) -> None:
    run.skipped = frozenset(
        Path(image.path).name for image in read_skipped_images(str(run.out_dir)) if image.part == CANDIDATES
    )
    skipped = skipped_images(run.out_dir.resolve().parent, run.out_dir)
    if skipped:
        run.gaps.append(t('report.images were left out', len(skipped), '; '.join(as_lines(skipped))))


def _read_monitor(run: RunFiles) -> None:
    path = run.out_dir / 'monitor.txt'
    try:
        monitor = read_monitor_file(path)
        run.progress = monitor.line()
        run.trace = tuple(monitor.trace)
    except FileNotFoundError:
        run.gaps.append(t('report.there is no out/monitor txt whether'))
    except (OSError, ValueError) as error:
        run.gaps.append(t('report.out/monitor txt cannot be read nor', _one_line(error)))


def _read_log(run: RunFiles) -> list[str]:
    path = run.out_dir / 'ymir-executor-out.log'
    try:
        with open(path, 'rb') as stream:
            stream.seek(max(path.stat().st_size - MAX_LOG_BYTES, 0))
            return stream.read().decode('utf-8', 'replace').splitlines()
    except OSError:
        run.gaps.append(t('report.there is no out/ymir-executor-out log the'))
        return []


def _read_summary(run: RunFiles) -> TrainingSummary:
    try:
        return read_training_summary(run.out_dir) or TrainingSummary()
    except ResultError as error:
        run.gaps.append(t('report.file is unreadable', _one_line(error)))
        return TrainingSummary()


def _read_result(run: RunFiles) -> TrainingResult | None:
    models = run.out_dir / 'models'
    if not (models / 'result.yaml').exists():
        return None
    content = _read_yaml(run, models / 'result.yaml')
    return parse_training_result(content, models, lambda fault: None) if content else None


def _read_detections(run: RunFiles) -> dict[str, list[DetectedObject]] | None:
    path = run.out_dir / 'infer-result.json'
    if not path.exists():
        return None
    document = Document.read(path).as_json()
    faults: list[Fault] = []
    found = parse_infer_result(document.value, faults.append)
    whole = [fault.message for fault in faults if fault.kind in ('detection', 'segmentation')]
    if document.problem or whole:
        words = document.reason or f'cannot be read: {whole[0]}'
        run.gaps.append(t('report.file is unreadable', _one_line(f'{path} {words}')))
        return None
    objects = {name: [item for item in items if math.isfinite(item.score)] for name, items in found.items()}
    wrong = len({fault.keys[:4] for fault in faults if len(fault.keys) >= 4 and fault.kind not in HARMLESS})
    wrong += sum(map(len, found.values())) - sum(map(len, objects.values()))
    if wrong:
        run.gaps.append(t('report.objects of infer-result json are malformed', wrong))
    return objects


def _read_ranking(run: RunFiles) -> list[tuple[str, float]] | None:
    try:
        return [(line.image, line.score) for line in read_mining_result(run.out_dir / 'result.tsv')]
    except ResultRejected as error:
        if (run.out_dir / 'result.tsv').exists():
            run.gaps.append(t('report.file is unreadable', _one_line(error)))
        return None


def _read_mining_summary(run: RunFiles) -> MiningSummary | None:
    try:
        found = read_mining_summary(run.out_dir)
    except ResultError as error:
        run.gaps.append(t('report.file is unreadable', _one_line(error)))
        return None
    if found is None or run.ranking is None:
        return None
    if not found.is_of([path for path, _ in run.ranking]):
        run.gaps.append(t('report.mining-summary json is of another'))
        return None
    return found


def _one_line(error: object) -> str:
    return ' '.join(str(error).split())[:300]
