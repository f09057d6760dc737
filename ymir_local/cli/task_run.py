"""Runs a prepared task, shows it while it runs and says what came out (contract sections a.3 to a.6)."""

import getpass
import math
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ymir_exc.atomic import write_text_atomically
from ymir_exc.errors import ResultError, ResultRejected
from ymir_exc.label_check import NAME_PATTERN
from ymir_exc.mining_summary import MiningSummary, read_mining_summary
from ymir_exc.reading import (
    MiningLine,
    TrainingResult,
    read_index,
    read_infer_result,
    read_lines,
    read_mapping,
    read_mining_result,
    read_training_result,
    scores_repeat_the_order,
)
from ymir_exc.stage_values import main_metric

from ..platform import package
from ..platform.event_scalars import EventScalars
from ..platform.folder_changes import changes_since, files_below, listing
from ..platform.labels import Dataset
from ..platform.live_view import Watch, duration, live_view
from ..platform.parameters import time_budget
from ..platform.prepare import Task
from ..platform.return_codes import find_code
from ..platform.run import DOCKER_FAILED, Outcome, TaskStopped, run_as_process, run_in_container
from ..platform.skipped import as_lines, skipped_images, write_left_out
from ..platform.task_result import Verdict, judge
from .engine import Engine
from .output import EXIT_FAILED, EXIT_STOPPED, Output, program, shown_path, size
from .tasks import Wanted

RUN_FILE = 'run.yaml'
MAX_CHANGES = 1000  # in run.yaml
RANKED = 10


class TaskRun:
    """A prepared task, what runs it, and what came of it.

    Args:
        output: where to write.
        engine: what runs it.
        task: prepared.
        wanted: what it is to do.
        edits: hyper-parameters that the user changed.
    """

    outcome: Outcome  # these three are there once it has run
    verdict: Verdict
    result: dict[str, Any]  # as run.yaml has it

    def __init__(self, output: Output, engine: Engine, task: Task, wanted: Wanted, edits: dict[str, Any]) -> None:
        self.output, self.engine, self.task, self.wanted, self.edits = output, engine, task, wanted, edits
        self.title = output.text(wanted.name)
        within = task.work_dir.is_relative_to(Path.cwd())
        self.folder = Path(os.path.relpath(task.work_dir)) if within else task.work_dir

    def execute(self) -> None:
        """Run the task, show how it goes, and record how it ended."""
        self.output.say(self.output.text('running', task=self.title, folder=self.folder))
        before = listing(self.task.in_dir)
        began = time.time()
        outcome = self.outcome = self._start()
        if outcome.left:
            self.output.warn(self.output.text('container left', name=self.task.task_id, reason=outcome.left))
        changes = changes_since(before, self.task.in_dir)
        record = {
            'task': self.wanted.name,
            'task_id': self.task.task_id,
            'began': round(began),
            'seconds': round(outcome.seconds, 1),
            'image': self.engine.image,
            'user': self.engine.user,
            'executor': self.engine.describe(),
            'img_man': self.engine.own_templates(),
            'parameters': self.edits,
            'in_changes': dict(list(changes.items())[:MAX_CHANGES]),
        }
        verdict = Verdict(False)
        if not outcome.stopped:
            verdict = judge(outcome.exit_code, outcome.monitor, self.task.out_dir, **asdict(self.wanted))
        if self.engine.image and outcome.exit_code == DOCKER_FAILED and not outcome.progress.code:
            verdict = replace(verdict, reason=_words_of_docker(outcome) or verdict.reason)
        self.verdict, self.result = (
            verdict,
            dict(
                ok=verdict.ok,
                stopped=outcome.stopped,
                code=verdict.code,
                reason=verdict.reason,
                exit_code=outcome.exit_code,
                **record,
                folder=str(self.folder),
                out=str(self.folder / 'out'),
            ),
        )
        skipped = skipped_images(self.task.work_dir, self.task.out_dir)
        self.result.update(
            num_skipped_images=len(skipped),
            skipped_images=[{'image': image.path, 'part': image.part, 'reason': image.reason} for image in skipped],
        )
        self._write_record()
        if skipped:
            self.output.warn('\n  '.join([self.output.text('skipped images', count=len(skipped)), *as_lines(skipped)]))
        if changes:
            self.output.warn(self.output.text('in changed', count=len(changes), first=next(iter(changes))))

    def run(self, dataset: Dataset | None = None, labels: Path | None = None) -> NoReturn:
        """Run the task, show how it goes and what came out, and end the command.

        Args:
            dataset: of the images; None for a task that goes on.
            labels: data set with the true labels of the candidates.
        """
        if dataset is not None:
            write_left_out(self.task.work_dir, dataset, training=self.wanted.training)
        self.execute()
        if self.wanted.training:  # the platform stores what a failed or stopped training has saved, too
            self.result.update(self._keep_model())
        if self.verdict.ok:
            self._show_success(labels)
            self.output.finish(self.result)
        self.report_failure()

    def report_failure(self) -> NoReturn:
        """Say how the task was stopped or has failed, and end the command."""
        self.result['log_tail'] = list(self.outcome.tail)
        if self.outcome.stopped:
            self._show_stop()
            self.output.finish(self.result, EXIT_STOPPED)
        self._show_failure()
        self.output.finish(self.result, EXIT_FAILED)

    def _start(self) -> Outcome:
        config = read_mapping(self.task.in_dir / 'config.yaml')
        epochs = None if time_budget(config) else config.get('max_epochs')  # a time budget sets the number
        watch = Watch(
            EventScalars(self.task.out_dir / 'tensorboard') if self.wanted.training else None,
            int(epochs) if str(epochs).isdecimal() else None,
        )
        outcome: Outcome | None = None
        try:
            with live_view(self.output.console, self.title, watch, self.output.quiet) as show:
                try:
                    if self.engine.image:
                        outcome = run_in_container(
                            self.task,
                            self.engine.image,
                            gpu_ids=self.engine.gpu_ids,
                            user=self.engine.user,
                            shm_size=str(config.get('shm_size') or ''),
                            on_poll=show,
                        )
                    else:
                        gpus = ','.join(map(str, self.engine.gpu_ids))
                        environ = {'CUDA_VISIBLE_DEVICES': gpus} if gpus else None
                        outcome = run_as_process(self.task, environ=environ, command=self.engine.command, on_poll=show)
                except TaskStopped as stop:
                    outcome = stop.outcome
        except KeyboardInterrupt:  # the terminal has gone, so that the picture cannot be taken from it
            if outcome is None:
                raise
        return outcome

    def _write_record(self) -> None:
        """On a full disk there is no record, but the user still learns how the task ended."""
        path = self.task.work_dir / RUN_FILE
        try:
            write_text_atomically(path, yaml.safe_dump(self.result, allow_unicode=True, sort_keys=False))
        except OSError as error:
            self.output.warn(f'{shown_path(path)}: {error.strerror or error}')

    def _keep_model(self) -> dict[str, Any]:
        """Pack the stages that a training has saved; a training may end before it has saved any."""
        try:
            training = read_training_result(self.task.out_dir / 'models')
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
            work_dir = self.task.work_dir
            file = package.pack(work_dir, work_dir / 'model.tar', executor=self.engine.describe(), producer=_user())
        except (package.PackageError, OSError) as error:
            self.output.warn(self.output.text('not packed', reason=error))
        else:
            kept.update(package=str(self.folder / 'model.tar'), sha1=package.sha1_of(file))
        return kept

    def _show_success(self, labels: Path | None) -> None:
        self.output.end(self.output.text('done', task=self.title, seconds=duration(self.outcome.seconds)), 'green')
        if self.wanted.training:
            _show_stages(self.output, read_training_result(self.task.out_dir / 'models'))
        if self.wanted.infer:
            self.result.update(_show_objects(self.output, self.task))
        if self.wanted.mining:
            self.result.update(_show_ranking(self.output, self.task))
        files = files_below(self.task.out_dir)
        self.result['files'] = [f'out/{name}' for name, _ in files]
        self.output.say(
            f'{self.output.text("folder")}: {self.folder}  ({len(files)} {self.output.text("files")}, '
            f'{size(sum(count for _, count in files))})'
        )
        if self.result.get('package'):
            path = Path(self.result['package'])
            details = f'{size(path.stat().st_size)}  sha1 {self.result["sha1"]}'
            self.output.say(f'{self.output.text("package")}: {path}  {details}')
        ymir = program()
        report = f'{ymir} report {shown_path(self.folder)}'
        if self.wanted.training:
            report += ' --evaluate'
        elif labels and self.wanted.infer:
            report += f' --labels {shown_path(labels)}'
        commands = [report, f'{ymir} check {shown_path(self.folder)}']
        if self.result.get('package'):
            model = shown_path(Path(self.result['package'])) + self.engine.options()
            commands = [f'{ymir} infer IMAGES --model {model}', f'{ymir} mine IMAGES --model {model}', *commands]
        if any(NAME_PATTERN.fullmatch(file) for stage in self.result.get('stages', ()) for file in stage['files']):
            commands.append(f'{ymir} labels {shown_path(self.folder)}')
        self.result['next'] = commands
        self.output.say('\n'.join([self.output.text('next'), *(f'  {command}' for command in commands)]))

    def _show_stop(self) -> None:
        key = 'stopped, container left' if self.outcome.left else 'stopped'
        self.output.end(self.output.text(key, task=self.title, seconds=duration(self.outcome.seconds)), 'yellow')
        if self.result['task'] != 'training':
            return
        commands = [f'{program()} train --resume {shown_path(self.folder)}']
        if not self.result['stages']:
            self.output.end(self.output.text('kept nothing'))
        else:
            self._show_kept(next(stage for stage in self.result['stages'] if stage['best']))
        if self.result['package']:
            self.output.end(f'{self.output.text("package")}: {self.result["package"]}')
            model = shown_path(Path(self.result['package'])) + self.engine.options()
            commands.append(f'{program()} infer IMAGES --model {model}')
        self.result['next'] = commands
        self.output.say('\n'.join([self.output.text('next'), *(f'  {command}' for command in commands)]))

    def _show_kept(self, stage: dict[str, Any]) -> None:
        name = main_metric(stage) or 'mAP'
        self.output.end(self.output.text('kept model', stage=stage['name'], name=name, metric=stage.get(name, 0.0)))

    def _show_failure(self) -> None:
        known = find_code(self.verdict.code)
        name = known.name if known else ''
        failed = self.output.text('failed', task=self.title, code=self.verdict.code, name=name)
        self.output.end(failed.rstrip(), 'bold red')
        self.output.end(self.verdict.reason)
        self.output.end(self.output.text('platform shows'))
        log = '\n'.join(f'  {_plain(line)}' for line in self.outcome.tail)
        self.output.end(log or f'  {self.output.text("empty log")}', 'dim')
        if known:
            self.result['explanation'] = known.explained(self.output.language)
            for key, words in self.result['explanation'].items():
                self.output.end(f'{self.output.text(key)}: {words}')
        if self.result.get('package'):
            best = next(stage for stage in self.result['stages'] if stage['best'])
            self._show_kept(best)
            self.output.end(f'{self.output.text("package")}: {self.result["package"]}')
        self.output.end(self.output.text('whole log', path=self.task.log_file))


def _words_of_docker(outcome: Outcome) -> str:
    """Return what Docker says last about a container that it did not start, with advice where its words need some."""
    said = next((line for line in reversed(outcome.tail) if 'docker:' in line or 'rror' in line), '')
    if 'could not select device driver' in said:
        return f'{said}: Docker can give no GPU here; install the NVIDIA Container Toolkit, or use --gpus 0'
    return said


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name
        return ''


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
    top = ranking[:RANKED]
    sources = [original.get(line.image, line.image) for line in top]
    if not output.quiet:
        why = _read_why(task, ranking)
        column, values = _what_ranks(why, ranking)
        headings = [output.text(name) for name in ('rank', column, 'image') if name]
        rows = [
            [cell for cell in (f'{rank}', value, shown_path(Path(source))) if cell]
            for rank, (value, source) in enumerate(zip(values, sources), 1)
        ]
        output.table(output.text('ranking'), headings, rows, range(len(headings) - 1))
        if why is not None and why.near_duplicates:
            from ..report.summary import near_duplicates_follow

            output.say(near_duplicates_follow(why.near_duplicates).in_language(output.language))
    return {
        'ranked': len(ranking),
        'top': [{'image': source, 'score': _number(line)} for line, source in zip(top, sources)],
    }


def _read_why(task: Task, ranking: Sequence[MiningLine]) -> MiningSummary | None:
    """Return why the images are ranked so, None where that is unknown."""
    try:
        why = read_mining_summary(task.out_dir)
    except ResultError:
        return None
    return why if why is not None and why.is_of([line.image for line in ranking]) else None


def _what_ranks(why: MiningSummary | None, ranking: Sequence[MiningLine]) -> tuple[str, list[str]]:
    """Return what the best images are ranked by, a key of the texts, and its values; empty where that is unknown."""
    values = [image.uncertainty for image in why.first[:RANKED]] if why else []
    if values and None not in values:
        return 'uncertainty', [f'{value:.4g}' for value in values]
    if scores_repeat_the_order([line.score for line in ranking]):
        return '', [''] * len(ranking[:RANKED])
    return 'score', [_rounded(line) for line in ranking[:RANKED]]


def _number(line: MiningLine) -> Any:
    """Return a score of result.tsv, which the platform never reads: as a number if it is one that JSON can hold."""
    return line.score if math.isfinite(line.score) else ''.join(line.columns[1:2])


def _rounded(line: MiningLine) -> str:
    number = _number(line)
    return f'{number:.4g}' if isinstance(number, float) else number


def _plain(line: str) -> str:
    """Return a line of a log without what would move the cursor or colour the terminal; of a bar, its last picture."""
    line = re.sub(r'\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])', '', line.rstrip('\r')).rsplit('\r', 1)[-1]
    return ''.join(letter for letter in line if letter.isprintable() or letter == '\t')
