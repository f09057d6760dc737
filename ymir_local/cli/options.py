"""Arguments and options that several commands share."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .completion import hyper_parameters


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
