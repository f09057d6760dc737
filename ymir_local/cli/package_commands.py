"""`ymir pack` and `ymir unpack`: the platform's model packages."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import UsageMistake, size


@options.spread
def pack(
    run: Annotated[
        Path,
        typer.Argument(
            metavar='RUN', help='Folder of a training, finished or stopped, or its out/; or of an unpacked package.'
        ),
    ],
    shown: options.OutputOptions,
    file: Annotated[Path, typer.Argument(metavar='FILE', help='The package to write.')] = Path('model.tar'),
    force: Annotated[bool, typer.Option('--force', help='Replace FILE if it exists.')] = False,
) -> None:
    """Pack a trained model as the platform stores it.

    Example: ymir pack ymir_runs/20240101-120000-train-yolov8_n model.tar
    """
    with shown.reporting() as output:
        from ..platform import package

        if file.exists() and not force:
            raise UsageMistake(f'{file} exists already; --force replaces it')
        if not run.is_dir():
            raise UsageMistake(f'{run} is not a folder; name the folder of a training')
        package.pack(run, file)
        sha1 = package.sha1_of(file)
        output.end(output.text('packed', file=file, size=size(file.stat().st_size), sha1=sha1))
        output.finish({'ok': True, 'file': str(file), 'bytes': file.stat().st_size, 'sha1': sha1})


@options.spread
def unpack(
    file: Annotated[Path, typer.Argument(metavar='FILE', help='A model package.')],
    folder: Annotated[Path, typer.Argument(metavar='DIR', help='New folder for its files.')],
    shown: options.OutputOptions,
    max_gib: Annotated[
        int,
        typer.Option(
            '--max-gib',
            min=0,
            metavar='N',
            help='Allow files of N GiB together; 0: 1, or 100 times the package where that is more.',
        ),
    ] = 0,
) -> None:
    """Extract a model package.

    Example: ymir unpack model.tar model/
    """
    with shown.reporting() as output:
        from ..platform import package
        from ..platform.folder_changes import files_below

        info = package.unpack(file, folder, max_gib << 30 or None)
        files = [name for name, _ in files_below(folder)]
        names = info.executor_config['class_names']
        output.end(
            output.text(
                'unpacked',
                count=len(files),
                folder=folder,
                version=info.version,
                best=info.best,
                names=', '.join(map(str, names)),
            )
        )
        output.finish(
            {
                'ok': True,
                'folder': str(folder),
                'version': info.version,
                'best_stage': info.best,
                'class_names': names,
                'stages': info.stages,
                'files': files,
            }
        )
