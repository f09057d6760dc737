"""Writes the page: reads the run, collects its parts, fills the templates."""

import time
from pathlib import Path
from typing import Any

import jinja2

from report_pages.page import make_environment
from ymir_exc.atomic import write_text_atomically
from ymir_exc.reading import read_lines
from ymir_exc.reading.monitor import STATE_DONE

from ..platform.labels import Dataset
from ..platform.prepare import SOURCES_FILE
from ..texts import Text, t
from . import summary
from .failure import failure_of
from .inference import inference_part
from .labels import labels_part
from .mining import mining_part
from .pictures import Album
from .run_files import VALIDATION, RunFiles, is_run, read_run
from .training import training_part

LANGUAGES = ('en', 'zh', 'both')
TITLES = {
    'training': t('report.training report'),
    'infer': t('report.inference report'),
    'mining': t('report.mining report'),
    'mining+infer': t('report.mining and inference report'),
    '': t('report.report'),
}
STATES = {
    'done': t('report.finished'),
    'failed': t('report.failed'),
    'stopped': t('report.stopped'),
    'open': t('report.not finished'),
    'unknown': t('report.unknown'),
}


def write_report(
    out_dir: Path, file: Path, in_dir: Path | None = None, labels: Dataset | None = None, language: str = 'en'
) -> Path:
    """Write the report of a training, an inference, a mining, or the last two together.

    Args:
        out_dir: the run's `out`, or the folder that holds `in` and `out`.
        file: the HTML file to write; its folder is made.
        in_dir: the run's `in`; default: the one beside `out`.
        labels: what is to be seen in the images of an inference; default: what in/annotations says, if anything.
        language: what the page opens in: 'en', 'zh', or 'both' for what the reader's browser prefers. The other
            language is one click away.

    Returns:
        The file.

    Raises:
        FileNotFoundError: `out_dir` does not exist.
        ValueError: an unknown language.
    """
    if language not in LANGUAGES:
        raise ValueError(f'language is {language!r}; allowed: {", ".join(LANGUAGES)}')
    run = read_run(out_dir, in_dir)
    album = Album()
    parts: dict[str, Any] = {}
    validation = _validation_of(run) if 'training' in run.wants and labels is None else None
    if 'training' in run.wants:
        parts['training'] = training_part(run, Path(file).parent, validation is not None)
        checked = labels_part(run, album)
        if checked is not None:
            parts['labels'] = checked
    if validation is not None:
        parts['infer'] = inference_part(validation, None, album, run)
        run.gaps += validation.gaps
    if run.ranking is not None:
        parts['mining'] = mining_part(run, album)
    if run.detections is not None:
        parts['infer'] = inference_part(run, labels, album)
    elif labels is not None:
        run.gaps.append(t('report.the labels given are not'))
    if not run.wants:
        run.gaps.insert(0, t('report.no result of a training'))
    failure = failure_of(run)
    html = (
        _environment()
        .get_template('page.html')
        .render(
            title=TITLES.get('+'.join(run.wants), TITLES['']),
            language=language,
            run=run,
            parts=parts,
            answers=summary.merged([part['answers'] for part in parts.values()]),
            failure=failure,
            state=_state(run, failure is not None),
            states=STATES,
            header=_header(run),
            pictures=[picture for picture in album.pictures if picture.address],
            made=time.strftime('%Y-%m-%d %H:%M'),
        )
    )
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # What cannot be encoded (file names that are not UTF-8) must not cost the report.
    write_text_atomically(str(file), html.encode('utf-8', 'replace').decode('utf-8'))
    return file


def _validation_of(run: RunFiles) -> RunFiles | None:
    """Return the finished run of a training's model over its validation images, if there is one."""
    folder = run.out_dir.resolve().parent / VALIDATION
    found = read_run(folder) if is_run(folder / 'out') else None
    if found is None or found.detections is None or not found.record.get('ok', True):
        return None
    owners = dict(line.partition('\t')[::2] for line in read_lines(folder.parent / SOURCES_FILE))
    found.sources = [owners.get(Path(path).name, path) for path in found.candidates]
    return found


def _environment() -> jinja2.Environment:
    environment = make_environment('ymir_local.report')
    environment.globals.update(t=t, zip=zip)
    return environment


def _state(run: RunFiles, failed: bool) -> str:
    """Return whether every result is there and the progress is 1: the executor never says that it is done."""
    if run.record.get('stopped'):
        return 'stopped'
    if failed:
        return 'failed'
    if run.progress is None:
        return 'unknown'
    results = {'training': bool(run.result), 'mining': run.ranking is not None, 'infer': run.detections is not None}
    whole = all(results[name] for name in run.wants) and bool(run.wants)
    return 'done' if run.progress.state == STATE_DONE or whole and run.progress.percent >= 0.995 else 'open'


def _header(run: RunFiles) -> list[tuple[Text, str]]:
    rows = []
    task_id = run.env.get('task_id') or run.config.get('task_id')
    if task_id:
        rows.append((t('report.task'), str(task_id)))
    if run.progress:
        rows.append((t('report.progress'), f'{run.progress.percent:.0%}'))
    if run.written:
        rows.append((t('report.last update'), time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(run.written))))
    rows.append((t('report.folder'), str(run.out_dir.resolve())))
    return rows
