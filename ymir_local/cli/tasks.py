"""Runs a prepared task, shows it while it runs and says what came out (contract sections a.3 to a.6)."""

import datetime
import getpass
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ymir_exc.atomic import write_text_atomically
from ymir_exc.errors import ResultRejected
from ymir_exc.reading import (
    MiningLine,
    TrainingResult,
    read_index,
    read_infer_result,
    read_lines,
    read_mapping,
    read_mining_result,
    read_training_result,
)

from ..platform import package
from ..platform.event_scalars import EventScalars
from ..platform.folder_changes import changes_since, files_below, listing
from ..platform.labels import Dataset
from ..platform.live_view import Watch, duration, live_view
from ..platform.prepare import ModelStage, Task
from ..platform.return_codes import find_code
from ..platform.run import DOCKER_FAILED, Outcome, TaskStopped, run_as_process, run_in_container
from ..platform.skipped import as_lines, skipped_images, write_left_out
from ..platform.task_result import Verdict, judge
from .engine import Engine
from .output import EXIT_FAILED, EXIT_STOPPED, Output, UsageMistake, program, shown_path, size

RUNS = Path('ymir_runs')
RUN_FILE = 'run.yaml'
MAX_CHANGES = 1000  # in run.yaml
RANKED = 10


@dataclass(frozen=True)
class Wanted:
    """What a task is to do."""

    training: bool = False
    mining: bool = False
    infer: bool = False

    @property
    def name(self) -> str:
        """In file names and tables."""
        return 'training' if self.training else '+'.join(name for name in ('mining', 'infer') if getattr(self, name))


def new_folder(out: Path | None, task_name: str, model: Any, in_container: bool = False) -> Path:
    """Make the folder of a run, so that no other run can take it.

    Args:
        out: what the user named; it must not hold anything yet.
        task_name: the first part of the default name.
        model: path or name of the model, the last part of the default name.
        in_container: Docker will mount it, which it cannot if there is a colon in its path.
    """
    place = (out or RUNS).resolve()
    if in_container and ':' in str(place):
        raise UsageMistake(f'{place}: Docker cannot mount a folder with a colon in its path; name another with --out')
    if out:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageMistake(f'{out} exists already, and runs are never overwritten; name another folder with --out')
        out.mkdir(parents=True, exist_ok=True)
        return out
    words = re.sub(r'(\.tar|\.gz|\.tgz|\.pth|\.pt)+$', '', os.path.basename(str(model or '').rstrip('/')))
    words = re.sub(r'[^\w.@-]+', '_', words)[:40] or 'model'
    name = f'{datetime.datetime.now():%Y%m%d-%H%M%S}-{task_name}-{words}'
    folder, number = RUNS / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # of another run that began in this second
            number += 1
            folder = folder.with_name(f'{name}-{number}')


def read_model(source: str, folder: Path, class_names: list[str] | None = None, to_train: bool = False) -> ModelStage:
    """Read a model; a package is extracted beside the run.

    Args:
        source: package, folder of a run or weight file.
        folder: of the run.
        class_names: for a weight file that does not say which classes it knows.
        to_train: a training starts from it.
    """
    return package.read_package(Path(source), folder / 'model', class_names, to_train)


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """While a run is prepared: what cannot be is a mistake in what the user gave, and leaves no folder behind.

    One that another run has taken meanwhile is left to it.

    Args:
        folder: of the run, which `new_folder` gave.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, FileExistsError):
            shutil.rmtree(folder, ignore_errors=True)
            if folder.parent == RUNS and not any(RUNS.iterdir()):
                RUNS.rmdir()
        if isinstance(error, ValueError):  # for example two classes of one name
            raise UsageMistake(str(error)) from None
        raise


def execute(
    output: Output, how: Engine, task: Task, wanted: Wanted, edits: dict[str, Any]
) -> tuple[Outcome, Verdict, dict[str, Any]]:
    """Run a task, show how it goes, and record how it ended.

    Args:
        output: where to write.
        how: what runs it.
        task: prepared.
        wanted: what it is to do.
        edits: hyper-parameters that the user changed.

    Returns:
        How it ended, what the platform would make of it, and both as run.yaml has them.
    """
    config = read_mapping(task.in_dir / 'config.yaml')
    title = output.text(wanted.name)
    folder = Path(os.path.relpath(task.work_dir)) if task.work_dir.is_relative_to(Path.cwd()) else task.work_dir
    output.say(output.text('running', task=title, folder=folder))
    before = listing(task.in_dir)
    began = time.time()
    outcome = _start(output, how, task, wanted, config, title)
    if outcome.left:
        output.warn(output.text('container left', name=task.task_id, reason=outcome.left))
    changes = changes_since(before, task.in_dir)
    record = {
        'task': wanted.name,
        'task_id': task.task_id,
        'began': round(began),
        'seconds': round(outcome.seconds, 1),
        'image': how.image,
        'user': how.user,
        'executor': how.describe(),
        'img_man': how.own_templates(),
        'parameters': edits,
        'in_changes': dict(list(changes.items())[:MAX_CHANGES]),
    }
    verdict = (
        Verdict(False)
        if outcome.stopped
        else judge(outcome.exit_code, outcome.monitor, task.out_dir, wanted.training, wanted.mining, wanted.infer)
    )
    if how.image and outcome.exit_code == DOCKER_FAILED and not outcome.progress.code:
        verdict = replace(verdict, reason=_words_of_docker(outcome) or verdict.reason)
    result = dict(
        ok=verdict.ok,
        stopped=outcome.stopped,
        code=verdict.code,
        reason=verdict.reason,
        exit_code=outcome.exit_code,
        **record,
        folder=str(folder),
        out=str(folder / 'out'),
    )
    skipped = skipped_images(task.work_dir, task.out_dir)
    result.update(
        num_skipped_images=len(skipped),
        skipped_images=[{'image': image.path, 'part': image.part, 'reason': image.reason} for image in skipped],
    )
    _write_record(output, task, result)
    if skipped:
        output.warn('\n  '.join([output.text('skipped images', count=len(skipped)), *as_lines(skipped)]))
    if changes:
        output.warn(output.text('in changed', count=len(changes), first=next(iter(changes))))
    return outcome, verdict, result


def run(
    output: Output,
    how: Engine,
    task: Task,
    wanted: Wanted,
    edits: dict[str, Any],
    dataset: Dataset,
    labels: Path | None = None,
) -> NoReturn:
    """Run a task, show how it goes and what came out, and end the command.

    Args:
        output: where to write.
        how: what runs it.
        task: prepared.
        wanted: what it is to do.
        edits: hyper-parameters that the user changed.
        dataset: of the images.
        labels: data set with the true labels of the candidates.
    """
    write_left_out(task.work_dir, dataset, training=wanted.training)
    outcome, verdict, result = execute(output, how, task, wanted, edits)
    folder = Path(result['folder'])
    if wanted.training:  # the platform stores what a failed or stopped training has saved, too
        result.update(_keep_model(output, how, task, folder))
    if verdict.ok:
        _show_success(output, how, task, folder, wanted, outcome, result, labels)
        output.finish(result)
    end_badly(output, how, task, outcome, verdict, result)


def end_badly(
    output: Output, how: Engine, task: Task, outcome: Outcome, verdict: Verdict, result: dict[str, Any]
) -> NoReturn:
    """Say how a task was stopped or has failed, and end the command.

    Args:
        output: where to write.
        how: what ran it.
        task: prepared.
        outcome: as `execute` gives it.
        verdict: as `execute` gives it.
        result: as `execute` gives it.
    """
    title = output.text(result['task'])
    result['log_tail'] = list(outcome.tail)
    if outcome.stopped:
        _show_stop(output, how, title, outcome, result)
        output.finish(result, EXIT_STOPPED)
    _show_failure(output, title, verdict, outcome, task, result)
    output.finish(result, EXIT_FAILED)


def _words_of_docker(outcome: Outcome) -> str:
    """Return what Docker says last about a container that it did not start, with advice where its words need some."""
    said = next((line for line in reversed(outcome.tail) if 'docker:' in line or 'rror' in line), '')
    if 'could not select device driver' in said:
        return f'{said}: Docker can give no GPU here; install the NVIDIA Container Toolkit, or use --gpus 0'
    return said


def _write_record(output: Output, task: Task, result: dict[str, Any]) -> None:
    """On a full disk there is no record, but the user still learns how the task ended."""
    path = task.work_dir / RUN_FILE
    try:
        write_text_atomically(path, yaml.safe_dump(result, allow_unicode=True, sort_keys=False))
    except OSError as error:
        output.warn(f'{shown_path(path)}: {error.strerror or error}')


def _start(output: Output, how: Engine, task: Task, wanted: Wanted, config: dict[str, Any], title: str) -> Outcome:
    epochs = config.get('max_epochs')
    watch = Watch(
        EventScalars(task.out_dir / 'tensorboard') if wanted.training else None,
        int(epochs) if str(epochs).isdecimal() else None,
    )
    outcome: Outcome | None = None
    try:
        with live_view(output.console, title, watch, output.quiet) as show:
            try:
                if how.image:
                    outcome = run_in_container(
                        task,
                        how.image,
                        gpu_ids=how.gpu_ids,
                        user=how.user,
                        shm_size=str(config.get('shm_size') or ''),
                        on_poll=show,
                    )
                else:
                    environ = {'CUDA_VISIBLE_DEVICES': ','.join(map(str, how.gpu_ids))} if how.gpu_ids else None
                    outcome = run_as_process(task, environ=environ, command=how.command, on_poll=show)
            except TaskStopped as stop:
                outcome = stop.outcome
    except KeyboardInterrupt:  # the terminal has gone, so that the picture cannot be taken from it
        if outcome is None:
            raise
    return outcome


def _keep_model(output: Output, how: Engine, task: Task, folder: Path) -> dict[str, Any]:
    """Pack the stages that a training has saved; a training may end before it has saved any."""
    try:
        training = read_training_result(task.out_dir / 'models')
    except ResultRejected:
        return {'stages': [], 'package': None}
    stages = [
        dict(
            name=stage.name,
            timestamp=stage.timestamp,
            best=stage.name == training.best,
            files=list(stage.files),
            **stage.metrics,
        )
        for stage in training.stages.values()
    ]
    kept: dict[str, Any] = {'stages': stages, 'best_stage': training.best, 'package': None}
    try:
        file = package.pack(task.work_dir, task.work_dir / 'model.tar', executor=how.describe(), producer=_user())
    except (package.PackageError, OSError) as error:
        output.warn(output.text('not packed', reason=error))
    else:
        kept.update(package=str(folder / 'model.tar'), sha1=package.sha1_of(file))
    return kept


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name
        return ''


def _show_success(
    output: Output,
    how: Engine,
    task: Task,
    folder: Path,
    wanted: Wanted,
    outcome: Outcome,
    result: dict[str, Any],
    labels: Path | None,
) -> None:
    output.end(output.text('done', task=output.text(wanted.name), seconds=duration(outcome.seconds)), 'green')
    if wanted.training:
        _show_stages(output, read_training_result(task.out_dir / 'models'))
    if wanted.infer:
        result.update(_show_objects(output, task))
    if wanted.mining:
        result.update(_show_ranking(output, task))
    files = files_below(task.out_dir)
    result['files'] = [f'out/{name}' for name, _ in files]
    output.say(
        f'{output.text("folder")}: {folder}  ({len(files)} {output.text("files")}, '
        f'{size(sum(count for _, count in files))})'
    )
    if result.get('package'):
        path = Path(result['package'])
        output.say(f'{output.text("package")}: {path}  {size(path.stat().st_size)}  sha1 {result["sha1"]}')
    ymir = program()
    report = f'{ymir} report {shown_path(folder)}' + (
        ' --evaluate' if wanted.training else f' --labels {shown_path(labels)}' if labels and wanted.infer else ''
    )
    commands = [report, f'{ymir} check {shown_path(folder)}']
    if result.get('package'):
        model = shown_path(Path(result['package'])) + how.options()
        commands = [f'{ymir} infer IMAGES --model {model}', f'{ymir} mine IMAGES --model {model}', *commands]
    result['next'] = commands
    output.say('\n'.join([output.text('next'), *(f'  {command}' for command in commands)]))


def _show_stages(output: Output, training: TrainingResult) -> None:
    names = list(dict.fromkeys(name for stage in training.stages.values() for name in stage.metrics))
    rows = [
        (
            stage.name,
            '*' if stage.name == training.best else '',
            *(f'{stage.metrics[name]:.4g}' if name in stage.metrics else '' for name in names),
            ', '.join(stage.files),
        )
        for stage in training.stages.values()
    ]
    if not output.quiet:
        output.table(
            output.text('stages'),
            (output.text('stage'), output.text('best'), *names, output.text('files')),
            rows,
            range(2, 2 + len(names)),
        )


def _show_objects(output: Output, task: Task) -> dict[str, Any]:
    found = read_infer_result(task.out_dir / 'infer-result.json')
    counts: dict[str, list[float]] = {}
    seen: dict[str, set] = {}
    for image, objects in found.items():
        for item in objects:
            counts.setdefault(item.class_name, []).append(item.score)
            seen.setdefault(item.class_name, set()).add(image)
    rows = [
        (name, f'{len(scores)}', f'{len(seen[name])}', f'{sum(scores) / len(scores):.3f}')
        for name, scores in sorted(counts.items(), key=lambda pair: -len(pair[1]))
    ]
    boxes = sum(map(len, counts.values()))
    occupied = len(set().union(*seen.values())) if seen else 0
    rows.append((output.text('total'), f'{boxes}', f'{occupied} / {len(found)}', ''))
    if not output.quiet:
        output.table(
            output.text('objects'),
            [output.text(name) for name in ('class', 'boxes', 'images', 'mean score')],
            rows,
            (1, 2, 3),
        )
    return {
        'images': len(found),
        'boxes': boxes,
        'boxes_per_class': {name: len(scores) for name, scores in counts.items()},
    }


def _show_ranking(output: Output, task: Task) -> dict[str, Any]:
    ranking = read_mining_result(task.out_dir / 'result.tsv')
    images = (line.image for line in read_index(task.in_dir / 'candidate-index.tsv'))
    original = dict(zip(images, read_lines(task.in_dir / 'candidate-src-index.tsv')))
    rows = [
        (f'{rank}', _rounded(line), shown_path(Path(original.get(line.image, line.image))))
        for rank, line in enumerate(ranking[:RANKED], 1)
    ]
    if not output.quiet:
        output.table(output.text('ranking'), [output.text(name) for name in ('rank', 'score', 'image')], rows, (0, 1))
    return {
        'ranked': len(ranking),
        'top': [{'image': original.get(line.image, line.image), 'score': _number(line)} for line in ranking[:RANKED]],
    }


def _number(line: MiningLine) -> Any:
    """Return a score of result.tsv, which the platform never reads: as a number if it is one that JSON can hold."""
    return line.score if math.isfinite(line.score) else ''.join(line.columns[1:2])


def _rounded(line: MiningLine) -> str:
    number = _number(line)
    return f'{number:.4g}' if isinstance(number, float) else number


def _show_stop(output: Output, how: Engine, title: str, outcome: Outcome, result: dict[str, Any]) -> None:
    key = 'stopped, container left' if outcome.left else 'stopped'
    output.end(output.text(key, task=title, seconds=duration(outcome.seconds)), 'yellow')
    if result['task'] != 'training':
        return
    if not result['stages']:
        output.end(output.text('kept nothing'))
        return
    best = next(stage for stage in result['stages'] if stage['best'])
    output.end(output.text('kept model', stage=best['name'], metric=best.get('mAP', 0.0)))
    if result['package']:
        output.end(f'{output.text("package")}: {result["package"]}')
        model = shown_path(Path(result['package'])) + how.options()
        result['next'] = [f'ymir train DATA --model {model}', f'ymir infer IMAGES --model {model}']
        output.say('\n'.join([output.text('next'), *(f'  {command}' for command in result['next'])]))


def _plain(line: str) -> str:
    """Return a line of a log without what would move the cursor or colour the terminal; of a bar, its last picture."""
    line = re.sub(r'\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])', '', line.rstrip('\r')).rsplit('\r', 1)[-1]
    return ''.join(letter for letter in line if letter.isprintable() or letter == '\t')


def _show_failure(
    output: Output, title: str, verdict: Verdict, outcome: Outcome, task: Task, result: dict[str, Any]
) -> None:
    known = find_code(verdict.code)
    name = known.name if known else ''
    output.end(output.text('failed', task=title, code=verdict.code, name=name).rstrip(), 'bold red')
    output.end(verdict.reason)
    output.end(output.text('platform shows'))
    output.end('\n'.join(f'  {_plain(line)}' for line in outcome.tail) or '  ' + output.text('empty log'), 'dim')
    if known:
        result['explanation'] = known.explained(output.language)
        for key, words in result['explanation'].items():
            output.end(f'{output.text(key)}: {words}')
    if result.get('package'):
        best = next(stage for stage in result['stages'] if stage['best'])
        output.end(output.text('kept model', stage=best['name'], metric=best.get('mAP', 0.0)))
        output.end(f'{output.text("package")}: {result["package"]}')
    output.end(output.text('whole log', path=task.log_file))
