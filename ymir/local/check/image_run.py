"""Runs a tiny generated task for every template of an image, as platforms would, and checks what it left.

The platform's command line (contract section a.3), as a user that the image does not know, /in read-only, and besides
without network, because installations are often offline. A model for mining and inference is the one that the image's
own training gave.
"""
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from ..in_changes import changes_since, listing
from ..prepare import ModelStage, Task, hyper_parameters, prepare_candidates, prepare_training
from ..run import docker_command
from ..sample_data import CLASS_NAMES, generate
from .catalogues import OUT
from .facts import DETECTION, Run
from .finding import ERROR, Catalogue, Finding, Hit, NotApplicable, Words
from .image import Image, Template, docker

USER = '12345:23456'
OPTIONS = ('--network=none', )
MAX_SECONDS = 1800
NUM_CLASSES = 2
NUM_IMAGES, NUM_TRAIN, NUM_VAL = 10, 6, 2
# so that a run is short, where a template has such a key
TINY = dict(max_epochs=1, epochs=1, num_epochs=1, samples_per_gpu=2, batch_size=2, workers_per_gpu=0, num_workers=0,
            workers=0, idle_seconds=0)

RUNS = Catalogue()
NO_MODEL: Words = ('not run: there is no model, because the training of this image gave none',
                   '未运行：没有模型，因为该镜像的训练没有给出模型')
NO_DETECTION: Words = ('not run: no template is for detection', '未运行：没有用于检测的模板')


class Attempt:
    """What came of the runs: tasks that were started, and those that were not or did not end, with the reason."""

    def __init__(self) -> None:
        self.ran: List[str] = []
        self.not_run: Dict[str, Words] = {}
        self.endless: Dict[str, Words] = {}


@RUNS.rule('container/ends', 'a.3', ERROR,
           en=('A task on ten small pictures ends by itself.',
               'Look for a process that waits: a loader, a server, a prompt.'),
           zh=('十张小图的任务会自行结束。', '请查找仍在等待的进程：数据加载、服务或交互提示。'))
def ends(attempt: Attempt) -> Iterator[Hit]:
    if not attempt.ran:
        raise NotApplicable
    for task, reason in attempt.endless.items():
        yield Hit(task, reason)


def check_runs(image: Image,
               work_dir: Union[None, str, Path] = None,
               model: Optional[ModelStage] = None) -> List[Finding]:
    """Runs what an image declares and checks what each run left.

    Args:
        image: inspected.
        work_dir: where the work directories are made; default: a temporary folder, removed afterwards.
        model: for mining and inference; default: what the training of the image gives.

    Returns:
        The findings of all runs; a task that could not be run is not applicable, with the reason.
    """
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix='ymir-check-', ignore_cleanup_errors=True) as folder:
            return check_runs(image, folder, model)
    attempt = Attempt()
    findings: List[Finding] = []
    try:
        templates = {template.task: template for template in image.declared
                     if (image.object_type if template.object_type is None else template.object_type) == DETECTION}
    except NotApplicable:
        return RUNS.evaluate(attempt)
    if not templates:
        attempt.not_run['detection'] = NO_DETECTION
    else:
        findings = _run_all(image.name, templates, Path(work_dir), attempt, model)
    return [*RUNS.evaluate(attempt), *(_not_run(*item) for item in attempt.not_run.items()), *findings]


def _not_run(task: str, reason: Words) -> Finding:
    english, chinese = (reason, reason) if isinstance(reason, str) else reason
    return Finding('container/runs', None, task, english, section='a.4', texts=dict(en=(english, ''), zh=(chinese, '')))


def _run_all(name: str, templates: Dict[str, Template], work_dir: Path, attempt: Attempt,
             model: Optional[ModelStage]) -> List[Finding]:
    work_dir.mkdir(parents=True, exist_ok=True)
    img_man = work_dir / 'img-man'
    img_man.mkdir()
    for task, template in templates.items():
        (img_man / f'{task}-template.yaml').write_text(template.document.text, encoding='utf-8')
    images = generate(work_dir / 'pictures', num_images=NUM_IMAGES, num_classes=NUM_CLASSES, size_range=(64, 96))
    classes = CLASS_NAMES[:NUM_CLASSES]
    parameters = {task: hyper_parameters(task, {key: value for key, value in TINY.items() if key in template.values},
                                         img_man) for task, template in templates.items()}
    findings: List[Finding] = []
    if 'training' in templates:
        val = images[NUM_TRAIN:NUM_TRAIN + NUM_VAL]
        task = prepare_training(work_dir / 'training', classes, images[:NUM_TRAIN], val, parameters['training'],
                                in_container=True)
        findings += _run('training', task, name, parameters['training'], attempt)
        try:
            model = model or ModelStage.of_training(task)
        except Exception:  # whatever is wrong with the result has been found by its rules
            pass
    candidates = [image.path for image in images[NUM_TRAIN:]]
    both = 'mining' in templates and 'infer' in templates
    for kind in ('mining', 'infer'):
        if kind not in templates:
            continue
        if model is None:
            attempt.not_run[kind] = NO_MODEL
            continue
        task = prepare_candidates(work_dir / kind, candidates, model, parameters[kind], mining=kind == 'mining',
                                  infer=kind == 'infer' or both, in_container=True)
        findings += _run('mining+infer' if both and kind == 'mining' else kind, task, name, parameters[kind], attempt)
    return findings


def _run(label: str, task: Task, image: str, parameters: Mapping[str, Any], attempt: Attempt) -> List[Finding]:
    before = listing(task.in_dir)
    shm_size = parameters.get('shm_size')
    command = docker_command(task, image, user=USER, options=OPTIONS,
                             **(dict(shm_size=shm_size) if isinstance(shm_size, str) and shm_size else {}))
    exit_code = _follow(command, task, label, attempt)
    attempt.ran.append(label)
    run = Run(task.out_dir, task.in_dir, exit_code=exit_code, in_changes=changes_since(before, task.in_dir))
    return [replace(finding, place=f'{label}: {finding.place}') if finding.ok is False else finding
            for finding in OUT.evaluate(run)]


def _follow(command: List[str], task: Task, label: str, attempt: Attempt) -> Optional[int]:
    with open(task.log_file, 'ab') as log:
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                  timeout=MAX_SECONDS).returncode
        except subprocess.TimeoutExpired:
            attempt.endless[label] = _after_seconds(MAX_SECONDS)
            return None
        finally:
            docker('rm', '-f', task.task_id)  # nothing is left unless it was interrupted


def _after_seconds(seconds: int) -> Tuple[str, str]:
    return f'it still ran after {seconds} s', f'{seconds} 秒后仍在运行'
