"""Arguments and options that several commands share."""
from enum import Enum
from pathlib import Path
from typing import Annotated, List, Optional

import typer


class Language(str, Enum):
    """Languages of the output."""
    en = 'en'
    zh = 'zh'


Json = Annotated[bool, typer.Option(
    '--json', help='One JSON object on standard output, everything else on standard error.')]
Quiet = Annotated[bool, typer.Option('--quiet', '-q', help='Nothing but errors and the end.')]
Lang = Annotated[Optional[Language], typer.Option(
    '--lang', help='Language of the output; default: that of the locale.')]

Data = Annotated[Path, typer.Argument(
    metavar='DATA', help='Folder of a COCO, VOC or YOLO data set, of images, or of a task (in/).')]
Overrides = Annotated[Optional[List[str]], typer.Argument(
    metavar='KEY=VALUE', help='Hyper-parameters of the executor, typed as the form of the platform does.')]
Format = Annotated[Optional[str], typer.Option(
    '--format', help='Format of DATA where it is not clear: coco, voc, yolo, ymir or images.')]
Classes = Annotated[Optional[str], typer.Option(
    '--classes', help='Class names, separated by commas, or a file with one per line.')]
Image = Annotated[Optional[str], typer.Option(
    '--image', help='Run this image with Docker, with the command line of the platform.')]
Executor = Annotated[Optional[str], typer.Option(
    '--executor', metavar='COMMAND', help='Run this command instead of the executor of this package; it finds its task '
    'through DEFAULT_ENV_FILE_PATH.')]
ImgMan = Annotated[Optional[Path], typer.Option(
    '--img-man', metavar='DIR', help='Templates that belong to --executor.')]
Gpus = Annotated[str, typer.Option(
    '--gpus', help='How many GPUs (2), which ones (1,3; a single one as 3,), 0 for the CPU, or auto: the first one if '
    'there is any.')]
User = Annotated[Optional[str], typer.Option(
    '--user', metavar='UID:GID', help='User in the container; default: the caller; root: no --user.')]
Out = Annotated[Optional[Path], typer.Option(
    '--out', metavar='DIR', help='New folder of the run; default: ./ymir_runs/<date>-<task>-<model>.')]
