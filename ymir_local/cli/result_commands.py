"""`ymir check` and `ymir report`: what comes after a run."""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..platform.labels import Dataset
from . import options
from .output import EXIT_FAILED, Output, UsageMistake

if TYPE_CHECKING:
    from ..check import Finding


class ReportLanguage(str, Enum):
    """Languages of a report."""

    en = 'en'
    zh = 'zh'
    both = 'both'


class TaskName(str, Enum):
    """What a run was to do."""

    training = 'training'
    mining = 'mining'
    infer = 'infer'
    mining_infer = 'mining+infer'


RunFolder = Annotated[Path | None, typer.Argument(metavar='RUN', help='Folder of a run, or its out/.')]
CheckedImage = Annotated[
    str | None, typer.Option('--image', help='Check an image as the platform does when it is added.')
]
TemplateFolder = Annotated[
    Path | None, typer.Option('--img-man', metavar='DIR', help='Check a folder that is to become /img-man of an image.')
]
TryTasks = Annotated[bool, typer.Option('--run', help='With --image: also run a tiny task for every template.')]
TriedModel = Annotated[
    str | None,
    typer.Option(
        '--model',
        '-m',
        metavar='MODEL',
        help='With --run: a model of this image for mining and inference (package, '
        'folder of a run, weight file); default: what its own training gives.',
    ),
]
TriedOut = Annotated[
    Path | None,
    typer.Option(
        '--out', metavar='DIR', help='With --run: keep the folders of these tasks; default: they are removed.'
    ),
]
InFolder = Annotated[Path | None, typer.Option('--in', help='The in/ of the run; default: beside out/.')]
Task = Annotated[TaskName | None, typer.Option('--task', help='What the run was to do; default: what env.yaml says.')]

ReportedRun = Annotated[Path, typer.Argument(metavar='RUN', help='Folder of a run, or its out/.')]
ReportFile = Annotated[
    Path | None, typer.Option('--out', metavar='FILE', help='Default: report.html in the folder of the run.')
]
Labels = Annotated[
    Path | None, typer.Option('--labels', metavar='DATA', help='True labels of the images of an inference.')
]
Evaluate = Annotated[
    bool,
    typer.Option(
        '--evaluate',
        help='Of a training: run its best model over the validation images first (kept in RUN/validation), so '
        'that the page shows accuracy by class and mistakes.',
    ),
]
PageLanguage = Annotated[ReportLanguage, typer.Option('--lang', help='Language of the page; both: a switch in it.')]


@dataclass(frozen=True)
class TrialOptions:
    """The tiny tasks that `ymir check --run` tries."""

    try_tasks: TryTasks = False
    model: TriedModel = None
    classes: options.Classes = None
    gpus: options.Gpus = '0'
    out: TriedOut = None


@dataclass(frozen=True)
class RunOptions:
    """What cannot be told from the folder of a run."""

    in_dir: InFolder = None
    task: Task = None


@options.spread
def check(
    trial: TrialOptions,
    given: RunOptions,
    shown: options.OutputOptions,
    run: RunFolder = None,
    image: CheckedImage = None,
    img_man: TemplateFolder = None,
) -> None:
    """Check what an executor wrote, or an image, against all rules of the platform and its verifier.

    The exit code is 1 if the platform would fail, lose or mistake something; warnings do not count.

    Example: ymir check ymir_runs/20240101-120000-train-yolov8_n
    """
    from ..platform.package import run_folders

    with shown.reporting() as output:
        if sum(what is not None for what in (run, image, img_man)) != 1:
            raise UsageMistake('name one of these: the folder of a run, --image NAME, --img-man DIR')
        if trial.try_tasks and not image:
            raise UsageMistake('--run tries the tasks of an image; name it with --image NAME')
        if not trial.try_tasks and trial != TrialOptions():
            raise UsageMistake('--model, --classes, --gpus and --out are for the tasks that --run tries')
        if trial.classes and not trial.model:
            raise UsageMistake('--classes names the classes of --model, a weight file; give it as well')
        if run is None and given != RunOptions():
            raise UsageMistake('--in and --task are for the folder of a run')
        from ..check import check_image, check_img_man, check_out, has_errors, recorded, render, to_json

        if trial.try_tasks:
            findings = _check_with_tasks(output, image, trial)
        elif image:
            findings = check_image(image)
        elif img_man:
            _need_folder(img_man)
            findings = check_img_man(img_man)
        else:
            _need_folder(run)
            out_dir, beside = run_folders(run)
            task = given.task.value if given.task else None
            findings = check_out(out_dir, given.in_dir or beside, task, **recorded(out_dir))
        failed = has_errors(findings)
        if not shown.as_json:
            render(findings, output.console, output.language)
            if image and not trial.try_tasks:
                output.say(output.text('no task tried'))
        result = json.loads(to_json(findings)) if shown.as_json else {}
        output.finish(dict(ok=not failed, **result), EXIT_FAILED if failed else 0)


def _need_folder(path: Path, hint: str = '') -> None:
    if not path.is_dir():
        raise UsageMistake(f'{path} is not a folder{hint}')


def _check_with_tasks(output: Output, image: str, trial: TrialOptions) -> list['Finding']:
    import tempfile

    from ..check import check_image
    from ..platform.package import read_package
    from ..platform.parameters import split_gpus
    from .task_commands import class_names

    def say(task: str) -> None:
        output.say(output.text('trying', task=output.text(task)))

    with tempfile.TemporaryDirectory(prefix='ymir-model-') as folder:
        names = class_names(trial.classes)
        stage = read_package(Path(trial.model), Path(folder) / 'model', names) if trial.model else None
        return check_image(image, True, trial.out, stage, split_gpus(trial.gpus), say)


def report(
    run: ReportedRun,
    file: ReportFile = None,
    labels: Labels = None,
    data_format: options.Format = None,
    evaluate: Evaluate = False,
    gpus: options.Gpus = 'auto',
    lang: PageLanguage = ReportLanguage.both,
    as_json: options.Json = False,
) -> None:
    """Write one HTML page about a run: what is good, what is wrong, what to label next, and the pictures that show it.

    The page needs nothing beside it. --labels says what is to be seen in the images of an inference, so that the page
    can say how much of it was found. --evaluate does the same for a training, with its validation images.

    Example: ymir report ymir_runs/20240101-120000-infer-model --labels coco/
    """
    from ..platform.package import run_folders

    output = Output(as_json, language='' if lang is ReportLanguage.both else lang.value)
    with output.reporting():
        _need_folder(run, '; name the folder of a run')
        if data_format and not labels:
            raise UsageMistake('--format is that of --labels; give them as well')
        if gpus != 'auto' and not evaluate:
            raise UsageMistake('--gpus is for --evaluate; give it as well')
        from ..report import is_run, write_report

        out_dir, in_dir = run_folders(run)
        if not is_run(out_dir):
            raise UsageMistake(f'{run} is not a run: there is no monitor.txt, no log and no result in it')
        dataset = _labels_of(output, out_dir, in_dir, labels, data_format) if labels else None
        if evaluate:
            from .evaluate import evaluate as evaluate_model

            evaluate_model(output, out_dir, in_dir, gpus)
        file = file or (run / 'report.html' if out_dir != run else out_dir.parent / 'report.html')
        file = file / 'report.html' if file.is_dir() else file
        try:
            written = write_report(out_dir, file, in_dir, labels=dataset, language=lang.value)
        except OSError as error:
            raise UsageMistake(f'{file} cannot be written: {error.strerror}') from None
        output.end(output.text('report', file=written))
        output.finish({'ok': True, 'file': str(written), 'bytes': Path(written).stat().st_size})


def _labels_of(
    output: Output, out_dir: Path, in_dir: Path | None, labels: Path, data_format: options.Format
) -> Dataset:
    """Read the true labels of the images of an inference."""
    from ..datasets import read_dataset
    from ..report.run_files import read_run
    from ..report.scenes import read_scenes

    if not (out_dir / 'infer-result.json').is_file():
        raise UsageMistake(
            f'--labels is compared with the result of an inference, and {out_dir} holds no infer-result.json'
        )
    dataset = read_dataset(labels, data_format and data_format.value)
    output.warn_of(dataset.warnings)
    if not any(image.boxes for image in dataset.images()):
        raise UsageMistake('\n  '.join((f'{labels} holds images, but no labelled object', *dataset.losses)))
    if not any(scene.labelled for scene in read_scenes(read_run(out_dir, in_dir), dataset, dataset.class_names)[0]):
        raise UsageMistake(
            f'none of the {len(dataset.images())} labelled images of {labels} is among the images of this '
            'inference, so there is nothing to compare; name the labels of those images'
        )
    return dataset
