"""Arguments and options that several commands share; those that go together are one dataclass (`spread`)."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from .completion import hyper_parameters
from .output import Output


class Language(str, Enum):
    """Languages of the output."""

    en = 'en'
    zh = 'zh'


class DataFormat(str, Enum):
    """Formats that can be read."""

    coco = 'coco'
    voc = 'voc'
    yolo = 'yolo'
    labelme = 'labelme'
    via = 'via'
    ymir = 'ymir'
    images = 'images'


def path_with_a_name(text: str) -> Path:
    """Reject what an unset variable of a script leaves, which would be the current folder.

    Args:
        text: a path.
    """
    if not text.strip():
        raise typer.BadParameter('it is empty')
    return Path(text)


Json = Annotated[
    bool, typer.Option('--json', help='One JSON object on standard output, everything else on standard error.')
]
Quiet = Annotated[bool, typer.Option('--quiet', '-q', help='Nothing but errors and the end.')]
Lang = Annotated[Language | None, typer.Option('--lang', help='Language of the output; default: that of the locale.')]

Data = Annotated[
    Path,
    typer.Argument(
        metavar='DATA',
        parser=path_with_a_name,
        help='Folder of a COCO, VOC, YOLO, labelme or VIA data set, of images, or of a task (in/).',
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar='KEY=VALUE',
        autocompletion=hyper_parameters,
        help='Hyper-parameters of the executor, typed as the form of the platform does; default: its template.',
    ),
]
Format = Annotated[DataFormat | None, typer.Option('--format', help='Format of DATA; default: what is found in it.')]
Classes = Annotated[
    str | None,
    typer.Option(
        '--classes',
        metavar='NAMES',
        help='Class names, separated by commas, or a file with one per line; default: those of DATA or of the model.',
    ),
]
Masks = Annotated[
    bool,
    typer.Option(
        '--masks',
        help='Instance segmentation: learn and predict a mask for each object. Mining and inference need it for a '
        'weight file alone; of other models they know.',
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        '--image',
        metavar='NAME',
        help='Run this image with Docker, with the command line of the platform; default: the '
        'executor of this package as a process.',
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        '--executor',
        metavar='COMMAND',
        help='Run this command as a process instead; it finds its task through DEFAULT_ENV_FILE_PATH.',
    ),
]
ImgMan = Annotated[
    Path | None,
    typer.Option(
        '--img-man', metavar='DIR', help='Templates that belong to --executor; default: those of this package.'
    ),
]
Gpus = Annotated[
    str,
    typer.Option(
        '--gpus',
        metavar='GPUS',
        help='How many GPUs (2), which ones (1,3; a single one as 3,), 0 for the CPU, or auto: '
        'the first one if there is any.',
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        '--user', metavar='UID:GID', help='User in the container; default: the caller; root: that of the image.'
    ),
]
Link = Annotated[
    bool | None,
    typer.Option(
        '--link/--copy',
        help='Give the executor links to the images, or copies; default: links for the executor of this '
        'package, which only reads them, copies for every other.',
    ),
]
Out = Annotated[
    Path | None,
    typer.Option('--out', metavar='DIR', help='New folder of the run; default: ./ymir_runs/<date>-<task>-<model>.'),
]


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Make an option of each field of the dataclasses that a command takes, since typer reads one parameter for each.

    Args:
        command: a function; its other parameters stay as they are.
    """
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    grouped: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            grouped += inspect.signature(parameter.annotation).parameters.values()
        else:
            parameters.append(parameter)
    parameters += grouped

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


class _Reporting:
    as_json: bool
    quiet = False
    lang: Language | None

    @contextmanager
    def reporting(self) -> Iterator[Output]:
        """Give the output that these options describe, and turn every error into a sentence and an exit code."""
        output = Output(self.as_json, self.quiet, self.lang.value if self.lang else '')
        with output.reporting():
            yield output


@dataclass(frozen=True)
class OutputOptions(_Reporting):
    """How a command that ends at once shows its result."""

    as_json: Json = False
    lang: Lang = None


@dataclass(frozen=True)
class ProgressOptions(_Reporting):
    """How a command that takes a while shows what it does and its result."""

    as_json: Json = False
    quiet: Quiet = False
    lang: Lang = None


@dataclass(frozen=True)
class TaskOptions(_Reporting):
    """What all commands that run a task take: its data, what runs it, where it is kept, and how it is shown."""

    classes: Classes = None
    data_format: Format = None
    masks: Masks = False
    image: Image = None
    executor: Executor = None
    img_man: ImgMan = None
    gpus: Gpus = 'auto'
    user: User = None
    link: Link = None
    out: Out = None
    as_json: Json = False
    quiet: Quiet = False
    lang: Lang = None
