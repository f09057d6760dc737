"""The report of a training: one HTML page from the folder of a run, or from `output/` alone."""

import base64
import json
import math
import os
import time
from pathlib import Path
from typing import Any

from report_pages.charts import Series, line_chart
from report_pages.page import make_environment
from report_pages.text import Text as PageText

from .data_set import classes_of
from .judge import PICTURES, Expected, Finding, check_output
from .texts import Text, say, user_language

LAST_LINES = 40
MAX_EPOCHS_SHOWN = 6
ORDER = ('image.png', 'A.png', 'B.png', 'label.png', 'pred.png')


def write_report(folder: Path, file: Path) -> list[Finding]:
    """Write the report of a run; what is missing is left out, what is wrong is named on top.

    Args:
        folder: Of a run, or the `output/` of a script.
        file: The HTML file; its folder is made, and it is written whole or not at all.

    Returns:
        The violations.
    """
    output = folder / 'network/output' if (folder / 'network/output').is_dir() else folder
    parameters = _read(folder / 'parameters.json')
    run = _read(folder / 'run.json')
    log = _read(output / 'trainlog.json')
    task = str(run.get('task') or '')
    found = check_output(output, _expected(task, parameters))
    sentences = _sentences(run, found)
    epochs = [epoch for epoch in log.get('epochs') or [] if isinstance(epoch, dict)]
    last = _rows(epochs[-1].get('valid')) if epochs else []
    metrics = list(last[0][1]) if last else []
    names = log.get('description') if isinstance(log.get('description'), dict) else {}
    best = log.get('best') if isinstance(log.get('best'), dict) else {}
    html = (
        make_environment('pie_local')
        .get_template('report.html')
        .render(
            say=say,
            title=say('report.title'),
            language=user_language(),
            state=say('report.failed' if sentences else 'report.passed'),
            findings=sentences,
            header=_header(parameters, log, run, folder),
            best=[(_shown(key, names), _number(value)) for key, value in best.items()],
            charts=_charts(epochs, names),
            last_epoch=len(epochs),
            metrics=metrics,
            rows=[(name, [_number(values.get(metric)) for metric in metrics]) for name, values in last],
            pictures=_pictures(folder, output),
            parameters=sorted(parameters.items()),
            last_lines=_last_lines(folder / 'log.txt'),
            made=time.strftime('%Y-%m-%d %H:%M'),
        )
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + '.part')
    temporary.write_text(html, encoding='utf-8', errors='replace')
    os.replace(temporary, file)
    return found


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON object; {} where there is none, which the judge names if it matters."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _expected(task: str, parameters: dict[str, Any]) -> Expected:
    try:
        classes = classes_of(parameters.get('label'))
    except ValueError:
        classes = ()
    names = {key: str(parameters.get(key) or '') for key in ('training_id', 'model_name')}
    return Expected(task=task if task in PICTURES else '', classes=classes, **names)


def _sentences(run: dict[str, Any], found: list[Finding]) -> list[Text]:
    """Return what was seen during the run, in its languages, and what is seen now."""
    pairs = [pair for pair in run.get('findings') or [] if isinstance(pair, list) and len(pair) == 2]
    seen = [Text(*map(str, pair)) for pair in pairs]
    return [*seen, *(sentence for sentence in (finding.sentence() for finding in found) if sentence not in seen)]


def _rows(rows: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(rows, list):
        return []
    return [
        (str(row.get('class')), row['values'])
        for row in rows
        if isinstance(row, dict) and isinstance(row.get('values'), dict)
    ]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _shown(metric: str, names: dict[str, Any]) -> PageText:
    return Text(metric, str(names.get(metric, metric)))


def _charts(epochs: list[dict[str, Any]], names: dict[str, Any]) -> list[tuple[PageText, Any]]:
    """Draw a chart per metric: the row `all` of training and validation by epoch."""
    values: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for index, epoch in enumerate(epochs, 1):
        for part in ('train', 'valid'):
            for metric, value in (_rows(epoch.get(part)) or [('', {})])[0][1].items():
                values.setdefault(metric, {}).setdefault(part, []).append((index, _number(value)))
    charts = []
    for metric, parts in values.items():
        series = [
            Series(say(f'report.{part}'), *zip(*points), colour=colour, dots=len(points) < 2)
            for colour, part in enumerate(('train', 'valid'))
            if (points := parts.get(part))
        ]
        name = _shown(metric, names)
        charts.append((name, line_chart(name, series, say('report.epoch'))))
    return charts


def _pictures(folder: Path, output: Path) -> list[tuple[Text, str]]:
    """Return the pictures of the end, then predictions of earlier epochs, as data."""
    found = [(Text(name, name), output / 'picture' / name) for name in ORDER]
    pushed = sorted(folder.glob('pushed/epoch_*/picture/pred.png'), key=lambda path: int(path.parts[-3][6:]))
    step = max(math.ceil(len(pushed) / MAX_EPOCHS_SHOWN), 1)
    for path in pushed[::step]:
        epoch = path.parts[-3][6:]
        found.append((say('report.pred_of_epoch', epoch=epoch), path))
    return [
        (name, 'data:image/png;base64,' + base64.b64encode(path.read_bytes()).decode())
        for name, path in found
        if path.is_file()
    ]


def _header(
    parameters: dict[str, Any], log: dict[str, Any], run: dict[str, Any], folder: Path
) -> list[tuple[Text, str]]:
    rows = [
        ('report.training', log.get('training_id') or parameters.get('training_id')),
        ('report.network', parameters.get('model_name')),
        ('report.task', run.get('task')),
        ('report.begin', log.get('create_time')),
        ('report.end', log.get('end_time')),
        ('report.folder', folder.resolve()),
    ]
    return [(say(key), str(value)) for key, value in rows if value]


def _last_lines(file: Path) -> str:
    try:
        lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return ''
    return '\n'.join(lines[-LAST_LINES:])
