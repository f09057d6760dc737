"""Runs a tiny generated task for every template of an image, as platforms would, and checks what it left.

The platform's command line (contract section a.3), as a user that the image does not know, /in read-only, and besides
without network, because installations are often offline. One training image has no objects and one a box that reaches
beyond its edges, as real data sets have. A model for mining and inference is given, or the one that the training gave.
Detection is tried, and instance segmentation, with the box of each object as its mask.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ymir_exc.errors import ExecutorError
from ymir_exc.reading import MonitorLine

from ..demo.sample_data import CLASS_NAMES, generate
from ..platform.folder_changes import changes_since, listing
from ..platform.labels import LabelledBox, LabelledImage
from ..platform.package import PackageError, read_package
from ..platform.prepare import (
    INSTANCE_SEGMENTATION,
    TEMPLATE_FOLDERS,
    Host,
    ModelStage,
    Task,
    hyper_parameters,
    prepare_candidates,
    prepare_training,
)
from ..platform.run import run_in_container
from ..texts import t
from .facts import DETECTION, Run
from .finding import OUT, RUNS, Finding, NotApplicable, Words
from .image import ExecutorImage, Template, docker
from .run_rules import Attempts, Moments

USER = '12345:23456'
OPTIONS = ('--network=none',)
MAX_SECONDS = 1800
NUM_CLASSES = 2
NUM_IMAGES, NUM_TRAIN, NUM_VAL = 10, 6, 2
# so that a run is short, where a template has such a key
TINY: dict[str, Any] = {
    **dict.fromkeys(('max_epochs', 'epochs', 'num_epochs'), 1),
    **dict.fromkeys(('samples_per_gpu', 'batch_size'), 2),
    **dict.fromkeys(('workers_per_gpu', 'num_workers', 'workers', 'idle_seconds'), 0),
    **dict.fromkeys(('img_size', 'imgsz'), 320),
}

NO_MODEL: Words = t('check.no model given')
NOT_TRIED: Words = t('check.not tried type')


def check_runs(
    image: ExecutorImage,
    work_dir: None | str | Path = None,
    model: ModelStage | None = None,
    gpu_ids: Sequence[int] = (),
    on_task: Callable[[str], None] = lambda task: None,
) -> list[Finding]:
    """Run what an image declares and check what each run left.

    Args:
        image: inspected.
        work_dir: where the work directories are made; default: a temporary folder, removed afterwards.
        model: for mining and inference; default: what the training of the image gives.
        gpu_ids: GPUs of this machine for the tasks; none: the CPU.
        on_task: called with the name of every task, before it begins.

    Returns:
        The findings of all runs; the place of those that are broken begins with the task.
    """
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix='ymir-check-', ignore_cleanup_errors=True) as folder:
            return check_runs(image, folder, model, gpu_ids, on_task)
    attempts = Attempts()
    kinds: dict[int, dict[str, Template]] = {}
    try:
        for template in image.declared:
            kind = image.object_type if template.object_type is None else template.object_type
            if kind in (DETECTION, INSTANCE_SEGMENTATION):
                kinds.setdefault(kind, {})[template.task] = template
            else:
                attempts.not_tried[template.document.name] = NOT_TRIED
    except NotApplicable:
        pass
    findings: list[Finding] = []
    try:
        for kind, templates in kinds.items():
            trial = _Trial(image.name, Path(work_dir), gpu_ids, on_task, attempts, kind)
            findings += trial.try_all(templates, model if model and model.object_type == kind else None)
    finally:
        _open_to_all(image.name, Path(work_dir))
    return [*RUNS.evaluate(attempts), *findings]


class _Trial:
    """The tasks of one image and object type.

    Args:
        image: its name.
        work_dir: where their work directories are made; those of instance segmentation in a folder of their own.
        gpu_ids: GPUs of this machine.
        on_task: called before each task.
        attempts: takes what came of it.
        object_type: 2 or 4.
    """

    def __init__(
        self,
        image: str,
        work_dir: Path,
        gpu_ids: Sequence[int],
        on_task: Callable[[str], None],
        attempts: Attempts,
        object_type: int,
    ) -> None:
        self.image = image
        self.folder = '' if object_type == DETECTION else TEMPLATE_FOLDERS[object_type]
        self.work_dir = work_dir / self.folder
        self.gpu_ids = gpu_ids
        self.on_task = on_task
        self.attempts = attempts
        self.object_type = object_type

    def _label(self, task: str) -> str:
        return f'{self.folder} {task}'.strip()

    def try_all(self, templates: Mapping[str, Template], model: ModelStage | None) -> list[Finding]:
        """Try the training and, with the given model or the one that it gave, mining and inference."""
        img_man = self.work_dir / 'img-man'
        img_man.mkdir(parents=True)
        parameters = {}
        for task, template in templates.items():
            (img_man / f'{task}-template.yaml').write_text(template.document.text, encoding='utf-8')
            # The form drops zeros of mining and inference, so the image must do without.
            edits = {
                key: value for key, value in TINY.items() if key in template.values and (value or task == 'training')
            }
            parameters[task] = hyper_parameters(task, edits, img_man)
        images = generate(
            self.work_dir / 'pictures', num_images=NUM_IMAGES, num_classes=NUM_CLASSES, size_range=(64, 96)
        )
        if self.object_type == INSTANCE_SEGMENTATION:
            images = [replace(image, boxes=tuple(map(_with_mask, image.boxes))) for image in images]
        findings: list[Finding] = []
        if 'training' in templates:
            findings += self._training(images, parameters['training'])
            model = model or self._trained_model()
        candidates = [image.path for image in images[NUM_TRAIN:]]
        both = 'mining' in templates and 'infer' in templates
        for kind in ('mining', 'infer'):
            if kind not in templates:
                continue
            if model is None:
                self.attempts.not_tried[self._label(kind)] = NO_MODEL
                continue
            task = prepare_candidates(
                self.work_dir / kind,
                candidates,
                model,
                parameters[kind],
                mining=kind == 'mining',
                infer=kind == 'infer' or both,
                host=Host(gpu_count=len(self.gpu_ids), in_container=True),
            )
            label = 'mining+infer' if both and kind == 'mining' else kind
            findings += self._run(label, task, parameters[kind])
        return findings

    def _training(self, images: Sequence[LabelledImage], parameters: Mapping[str, Any]) -> list[Finding]:
        train, val = list(images[:NUM_TRAIN]), images[NUM_TRAIN : NUM_TRAIN + NUM_VAL]
        train[0] = replace(train[0], boxes=())
        beyond = LabelledBox(0, -4, -3, train[1].width // 2, train[1].height + 9)
        train[1] = replace(train[1], boxes=(*train[1].boxes, beyond))
        try:
            task = prepare_training(
                self.work_dir / 'training',
                CLASS_NAMES[:NUM_CLASSES],
                train,
                val,
                parameters,
                host=Host(gpu_count=len(self.gpu_ids), in_container=True),
                object_type=self.object_type,
            )
        except ExecutorError as error:  # an export_format that the platform rejects, too
            self.attempts.not_tried[self._label('training')] = str(error)
            return []
        return self._run('training', task, parameters)

    def _trained_model(self) -> ModelStage | None:
        try:
            return read_package(self.work_dir / 'training', self.work_dir / 'model')
        except PackageError:  # what is wrong with the result has been found by its rules
            return None

    def _run(self, kind: str, task: Task, parameters: Mapping[str, Any]) -> list[Finding]:
        label = self._label(kind)
        self.on_task(label)
        before = listing(task.in_dir)
        moments = Moments(task.out_dir, kind, label)
        exit_code = self._follow(task, label, moments, str(parameters.get('shm_size') or ''))
        self.attempts.tried.append(label)
        findings = OUT.evaluate(
            Run(task.out_dir, task.in_dir, exit_code=exit_code, in_changes=changes_since(before, task.in_dir))
        )
        self.attempts.moments += moments.hits(findings)
        return [
            replace(finding, place=f'{label}: {finding.place}') if finding.ok is False else finding
            for finding in findings
        ]

    def _follow(self, task: Task, label: str, moments: Moments, shm_size: str) -> int | None:
        """Return the exit code; None for a task that did not end, which is removed."""
        end = time.monotonic() + MAX_SECONDS

        def look(_: MonitorLine) -> None:
            moments.look()
            if time.monotonic() > end:
                raise _TooLong

        try:
            return run_in_container(
                task, self.image, gpu_ids=self.gpu_ids, user=USER, shm_size=shm_size, options=OPTIONS, on_poll=look
            ).exit_code
        except _TooLong:
            self.attempts.endless[label] = t('check.still running', seconds=MAX_SECONDS)
            return None


def _with_mask(box: LabelledBox) -> LabelledBox:
    """Return an object whose mask is its box."""
    right, bottom = box.x + box.w, box.y + box.h
    return replace(box, mask=[[box.x, box.y, right, box.y, right, bottom, box.x, bottom]])


class _TooLong(Exception):
    """A task does not end."""


def _open_to_all(image: str, folder: Path) -> None:
    """Folders that the unknown user made can be removed by nobody else but root."""
    if os.getuid() and folder.is_dir():
        mount = f'-v{folder.resolve()}:/work'
        docker(
            'run',
            '--rm',
            '--network=none',
            '--user',
            '0:0',
            mount,
            '--entrypoint',
            'chmod',
            image,
            '-R',
            'a+rwX',
            '/work',
        )
