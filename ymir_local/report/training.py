"""The training part of the page."""

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from report_pages.charts import Series, line_chart, number
from ymir_exc.stage_values import main_metric

from ..platform.event_scalars import recognise
from ..platform.parameters import time_budget
from ..texts import Text, as_text, t
from . import summary
from .curves import Curve, read_curves, smoothed
from .preflight import preflight_part
from .run_files import MAX_COUNTED_FILES, RESERVED, RunFiles, index_entries, objects_of

SMOOTHED_FROM = 60  # points; over fewer, a moving average lags behind what was logged
AT_THRESHOLD = ('score_threshold', 'precision', 'recall')
Charts = list[tuple[Text, Markup]]
STEP, EPOCH = t('report.step'), t('report.epoch')


def training_part(run: RunFiles, folder: Path, evaluated: bool = False) -> dict[str, Any]:
    """Collect what the template shows of a training; `run.gaps` gets what is not there.

    Args:
        run: the training.
        folder: where the page will stand, from which it leads to files.
        evaluated: the page also shows what its model finds in the validation images.
    """
    curves, gaps = read_curves(run.out_dir / 'tensorboard')
    run.gaps.extend(gaps)
    if not curves:
        run.gaps.append(t('report.there are no curves out/tensorboard'))
    changed, parameters = _parameters(run)
    main = recognise(curves).get('mAP')
    in_epochs = _in_epochs(run, curves.get(main))
    charts, other_charts = _charts(curves, main, in_epochs)
    stages = _stages(run, curves.get(main) if in_epochs else None)
    best = next((stage for stage in stages if stage['best']), stages[0] if stages else {})
    classes = _classes(run, best)
    answers = summary.training(
        best.get('metrics', {}),
        best.get('epoch', ''),
        _known(curves.get(main)),
        len(index_entries(run, 'val')),
        classes['counts'] if classes['known'] else (),
        classes['names'],
        classes['precisions'],
        evaluated,
    )
    return {
        'answers': answers,
        'facts': _facts(run, curves),
        'changed': changed,
        'parameters': parameters,
        'classes': classes,
        'charts': charts,
        'smoothed': any('faint' in chart for _, chart in charts),
        'other_charts': other_charts,
        'stages': stages,
        'attachments': _attachments(run, folder),
        'recipe': run.summary.recipe,
        'data_table': _data_table(run),
        'findings': preflight_part(run),
        'environment': run.summary.environment,
    }


def duration(seconds: float) -> Text:
    """Return hours, minutes and seconds."""
    hours, rest = divmod(int(round(seconds)), 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return t('report.h min', hours=hours, minutes=minutes)
    return t('report.min s', minutes=minutes, rest=rest) if minutes else t('report.s', rest=rest)


def _facts(run: RunFiles, curves: Mapping[str, Curve]) -> list[tuple[Text, object]]:
    config, facts = run.config, []
    if config.get('model_name'):
        facts.append((t('report.model'), config['model_name']))
    pretrained = config.get('pretrained_model_params')
    if pretrained:
        names = (
            ', '.join(Path(str(path)).name for path in pretrained) if isinstance(pretrained, list) else str(pretrained)
        )
        facts.append((t('report.started from'), names))
    counts = [
        (name, len(index_entries(run, split)))
        for split, name in (('train', t('report.training')), ('val', t('report.validation')))
    ]
    if any(count for _, count in counts):
        (one, a), (two, b) = counts
        facts.append(
            (t('report.image count'), t('report.training and validation', one.format(f'{a:,}'), two.format(f'{b:,}')))
        )
    if run.class_names:
        facts.append((t('report.classes'), len(run.class_names)))
    named = {'max_epochs': t('report.epochs'), 'samples_per_gpu': t('report.batch size per device')}
    values = dict(config)
    if run.summary.samples_per_gpu:  # what 'auto' came to
        values['samples_per_gpu'] = run.summary.samples_per_gpu
    if time_budget(config):  # the time budget sets the number of epochs
        named['max_minutes'] = t('report.time budget in minutes')
        values['max_epochs'] = run.summary.epochs or '?'
    facts += [(name, values[key]) for key, name in named.items() if key in values]
    if 'gpu_count' in config or 'gpu_id' in config:
        device = f'{config.get("gpu_count", "")} × GPU'.strip() if config.get('gpu_id') else 'CPU'
        facts.append((t('report.device'), device))
    seconds = _seconds(run, curves)
    if seconds:
        facts.append((t('report.duration'), duration(seconds)))
    known = run.summary.throughput
    if 'waiting_share' in known:
        facts.append((t('report.time waiting for data'), f'{100 * known["waiting_share"]:.0f} %'))
        if known.get('workers_needed') and 'workers' in known:
            numbers = f'{known["workers"]:.0f}', f'{known["workers_needed"]:.0f}'
            facts.append((t('report.loader workers'), t('report.used, needed', *numbers)))
    best = run.result.stages.get(run.result.best) if run.result else None
    name = main_metric(best.metrics) if best else None
    if name:
        facts.append((t('report.best metric', name), f'{best.metrics[name]:.4f}'))
    return facts


def _seconds(run: RunFiles, curves: Mapping[str, Curve]) -> float:
    """Return the seconds of a training as the command line measured them.

    Else they count from the creation of the task, with which its name ends, or from the first curve, to the last
    monitor.txt.
    """
    if isinstance(run.record.get('seconds'), (int, float)):
        return float(run.record['seconds'])
    task_id = str(run.env.get('task_id') or '')
    began = float(task_id[-10:]) if task_id[-10:].isdigit() and len(task_id) >= 30 else 0.0
    times = [time for curve in curves.values() for time in (curve.times[0], curve.times[-1])]
    if times and not 0 <= min(times) - began < 86400:
        began = min(times)
    ended = max([run.written, *times], default=0.0)
    return ended - began if 0 < began <= ended else 0.0


def _parameters(run: RunFiles) -> tuple[list[tuple[str, object, object]], list[tuple[str, object]]]:
    """Return what differs from the image's template (key, here, template), and all parameters."""
    values = {key: value for key, value in run.config.items() if key not in RESERVED}
    rows = sorted(values.items(), key=lambda row: str(row[0]))
    template = run.template('training')
    if not template:
        return [], rows
    changed = [
        (key, value, template.get(key, ''))
        for key, value in rows
        if key not in template or str(template[key]) != str(value)
    ]
    return changed, rows


def _data_table(run: RunFiles) -> list[list[Any]]:
    """Return what the executor found in the data, with a heading; empty if unknown."""
    known = run.summary
    classes = [[f'\u2003{name}', *counts] for name, counts in zip(known.class_names, known.class_objects)]
    return [['', t('report.in training'), t('report.in validation')], *known.data, *classes] if known.data else []


def _classes(run: RunFiles, best: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labelled objects per class of both parts, and the average precision of the best model.

    Args:
        run: the run.
        best: the best stage.
    """
    names, known = run.class_names, run.summary
    is_known = known.class_names == names
    # A training that was killed may have written a better stage, but not yet what it finds.
    metrics = best.get('metrics', {})
    name = main_metric(metrics)
    is_same = is_known and known.best_metrics.get(name) == metrics.get(name)
    precisions = [math.nan if value is None else value for value in known.best_class_ap] if is_same else []
    thresholds = known.best_classes if is_same and [one['name'] for one in known.best_classes] == names else []
    table = np.zeros((len(names), 2), np.int64)
    for column, split in enumerate(('train', 'val')):
        entries = index_entries(run, split)
        if len(entries) > MAX_COUNTED_FILES:
            run.gaps.append(t('report.objects per class are counted', MAX_COUNTED_FILES))
        for objects in objects_of(run, entries[:MAX_COUNTED_FILES]):
            for item in objects or ():
                table[int(item.class_id), column] += 1
    if not table.any() and is_known and known.class_objects:
        table = np.array(known.class_objects, np.int64)
    return {
        'names': names,
        'rows': list(
            zip(
                names,
                table.tolist(),
                precisions or [math.nan] * len(names),
                [[math.nan if one[key] is None else one[key] for key in AT_THRESHOLD] for one in thresholds]
                or [[]] * len(names),
            )
        ),
        'thresholds': bool(thresholds),
        'precisions': precisions,
        'counts': table.tolist(),
        'top': max(int(table.max(initial=0)), 1),
        'known': bool(table.any()),
    }


def _known(curve: Curve | None) -> np.ndarray | None:
    """Return the values of a curve of accuracy; COCO's -1 (no label) is none."""
    if curve is None:
        return None
    values = curve.values[np.isfinite(curve.values)]
    return values[values >= 0]


def _in_epochs(run: RunFiles, curve: Curve | None) -> bool:
    """Return whether accuracy was logged by epoch; some executors count steps."""
    epochs = run.summary.epochs or next(
        (run.config[key] for key in ('max_epochs', 'epochs') if key in run.config), None
    )
    return curve is None or not isinstance(epochs, int) or curve.steps[-1] <= epochs


def _charts(curves: Mapping[str, Curve], main: str | None, in_epochs: bool) -> tuple[Charts, Charts]:
    """Return loss, its parts, accuracy and learning rate; and what else was logged. Each chart stands under its title.

    Args:
        curves: by tag.
        main: tag of the accuracy that decides which model is the best.
        in_epochs: accuracy was logged by epoch.
    """
    groups: dict[str, dict[str, Curve]] = {'total': {}, 'loss': {}, 'accuracy': {}, 'lr': {}, 'other': {}}
    for tag, curve in sorted(curves.items()):
        name = tag.lower()
        last = name.rpartition('/')[2]
        if last in ('loss', 'total_loss'):
            groups['total'][tag] = curve
        elif 'loss' in name:
            groups['loss'][tag] = curve
        elif any(word in name for word in ('map', 'miou', 'macc', 'precision', 'recall', 'ap50', 'boxap')):
            values = np.where(curve.values < 0, np.nan, curve.values)  # COCO's -1: no object of that size
            if np.isfinite(values).any():
                groups['accuracy'][tag] = Curve(curve.steps, values, curve.times)
        elif last in ('lr', 'base_lr', 'learning_rate') or name.startswith('lr/'):
            if not (last == 'base_lr' and any(key.rpartition('/')[2] == 'lr' for key in curves)):
                groups['lr'][tag] = curve
        elif last not in ('epoch', 'iter', 'step'):
            groups['other'][tag] = curve
    titles = (
        (groups['total'], t('report.loss'), STEP, True),
        (groups['loss'], t('report.parts of the loss'), STEP, True),
        (groups['accuracy'], t('report.accuracy on the validation images'), EPOCH if in_epochs else STEP, False),
        (groups['lr'], t('report.learning rate'), STEP, False),
    )
    charts = [(title, _chart(title, group, x_name, smooth, main)) for group, title, x_name, smooth in titles if group]
    others = [
        (as_text(tag), _chart(as_text(tag), {tag: curve}, STEP, True, main)) for tag, curve in groups['other'].items()
    ]
    return charts, others


def _chart(title: Text, group: Mapping[str, Curve], x_name: Text, smooth: bool, main: str | None) -> Markup:
    series = []
    for colour, (tag, curve) in enumerate(group.items()):
        name = tag.rpartition('/')[2].replace('bbox_', '') if '/' in tag else tag
        if smooth and len(curve.values) >= SMOOTHED_FROM:
            series.append(Series(name, curve.steps, curve.values, colour, 'faint'))
            series.append(Series(name, curve.steps, smoothed(curve.values), colour))
        else:
            style = 'bold' if tag == main and len(group) > 1 else 'line'
            series.append(Series(name, curve.steps, curve.values, colour, style, len(curve.values) <= SMOOTHED_FROM))
    series.sort(key=lambda item: item.style != 'faint')
    return line_chart(title, series, x_name)


def _stages(run: RunFiles, main: Curve | None) -> list[dict[str, Any]]:
    """Return one row per stage of result.yaml; the epoch is the one whose mAP the stage has.

    Args:
        run: the run.
        main: accuracy over epochs.
    """
    rows = []
    for key, stage in run.result.stages.items() if run.result else ():
        main_name = main_metric(stage.metrics)
        value = stage.metrics.get(main_name)
        epoch = ''
        if run.summary.best_epoch and value == run.summary.best_metrics.get(main_name):
            epoch = run.summary.best_epoch
        elif main is not None and value is not None:
            same = np.flatnonzero(np.abs(main.values - value) < 1e-6)
            epoch = int(main.steps[same[0]]) if len(same) else ''
        files = [(name, _size(path.stat().st_size) if path else None) for name, path in stage.files.items()]
        metrics = {**stage.metrics, **stage.others}
        others = ', '.join(f'{name} {number(item)}' for name, item in metrics.items() if name != main_name)
        rows.append(
            {
                'name': key,
                'best': key == run.result.best,
                'metric': main_name,
                'value': value,
                'epoch': epoch,
                'files': files,
                'others': others,
                'metrics': metrics,
                'time': _clock(stage.timestamp or None),
            }
        )
    return rows


def _attachments(run: RunFiles, folder: Path) -> list[tuple[str, str, str]]:
    """Return address, name and size of each file that is kept with the model besides the stages."""
    root = run.out_dir.resolve() / 'models/attachments'
    names = run.result.attachments.items() if run.result else ()
    paths = [root / section / name for section, files in names for name in files if '\0' not in section + name]
    return [
        (
            quote(os.path.relpath(path, folder.resolve()), errors='surrogateescape'),
            str(path.relative_to(root)),
            str(_size(path.stat().st_size)),
        )
        for path in paths
        if '..' not in path.parts and path.is_relative_to(root) and path.is_file()
    ]


def _clock(stamp: object) -> str:
    try:
        return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(float(stamp)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return ''


def _size(num_bytes: float) -> str:
    for unit in ('B', 'KB', 'MB'):
        if num_bytes < 1024:
            return f'{num_bytes:.0f} {unit}' if unit == 'B' else f'{num_bytes:.1f} {unit}'
        num_bytes /= 1024
    return f'{num_bytes:.1f} GB'
