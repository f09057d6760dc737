"""The command line `pie`: `pie serve`, `pie run`, `pie predict`, `pie check`, `pie package`,
`pie draw`, `pie report`, `pie demo`.

What takes time to import is imported inside a command. Exit codes: 0 success, 1 a violation or failure, 2 wrong usage,
130 stopped with Ctrl-C.
"""

import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from .texts import PieError, say

app = typer.Typer(
    name='pie',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={'help_option_names': ['-h', '--help']},
    help='Play the platform PIE-Engine AI on this machine: serve data sets, run a network package, judge its output. '
    'Texts are Chinese where LANG (or PIE_LANG) begins with zh.',
)


@app.command()
def serve(
    data: Annotated[list[Path], typer.Argument(help='Data sets: folders with train/ and valid/.')],
    keep: Annotated[
        Path | None,
        typer.Option(help='Folder of the S3 server, used again at the next start; default: a temporary one.'),
    ] = None,
) -> None:
    """Serve data sets from a real S3 server, as the platform does, until Ctrl-C.

    Example: pie serve ships/ roads/
    """
    from .data_set import read_data_set
    from .platform import start_platform

    sets = [read_data_set(folder) for folder in data]
    with tempfile.TemporaryDirectory(prefix='pie-') if keep is None else nullcontext(str(keep)) as folder:
        with _stopped_by_signals() as stop, start_platform(Path(folder)) as platform:
            # The same folder has the same id each time, so that a script need not be told a new one.
            ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, one.folder.resolve().as_uri())) for one in sets]
            served = [platform.add_data(one.folder, one.task, identity) for one, identity in zip(sets, ids)]
            typer.echo(say('serve.ready', endpoint=platform.s3.endpoint, address=platform.service.address))
            for name, value in platform.environment(served[0].dataset_id).items():
                typer.echo(f'export {name}={value}')
            for one, known in zip(sets, served):
                typer.echo(f'{known.dataset_id}  {one.task}  {known.files}  {one.folder}')
            sys.stdout.flush()
            wait_until_stopped(stop)
    raise typer.Exit(130)


@app.command()
def run(
    package: Annotated[
        Path, typer.Argument(help='A network package: the folder with train.py or network/train.py, or the zip.')
    ],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar='[KEY=VALUE]...', help='Parameters: epochs=3 model_name=yolov8_n')
    ] = None,
    data: Annotated[Path, typer.Option(help='The data set: a folder with train/ and valid/.')] = ...,  # type: ignore[assignment]
    params: Annotated[
        Path | None,
        typer.Option(help='A file of parameters, such as traincfg.json; what it holds comes before the defaults.'),
    ] = None,
    as_file: Annotated[
        bool,
        typer.Option(
            '--as-file', help='Put the bytes of --params beside train.py as traincfg.json; nothing on standard input.'
        ),
    ] = False,
    resume: Annotated[Path | None, typer.Option(help='The folder of a run whose weights to start from.')] = None,
    out: Annotated[Path | None, typer.Option(help='Folder of the results; default: pie_runs/TIME.')] = None,
    python: Annotated[str, typer.Option(help='The Python that runs train.py.')] = sys.executable,
) -> None:
    """Run a network package as the platform does and judge its output at each line [Process: x/y].

    Example: pie run pie/ --data ships/ epochs=3
    """
    from .data_set import read_data_set
    from .parameters import make_parameters, parse_changes, read_parameters
    from .platform import start_platform
    from .run import copy_package, run_training

    if as_file and (params is None or changes):
        raise typer.BadParameter('--as-file needs --params, and no KEY=VALUE: the file is handed over as it is')
    parsed = parse_changes(changes or ())
    data_set = read_data_set(data)
    content = read_parameters(params) if params is not None else {}
    parameters = content if as_file else make_parameters(data_set, {**content, **parsed})
    weights = _weights_of(resume) if resume is not None else None
    out = out or Path('pie_runs') / time.strftime('%Y%m%d-%H%M%S')
    script = copy_package(package, out)
    with _stopped_by_signals() as stop:
        with tempfile.TemporaryDirectory(prefix='pie-') as folder, start_platform(Path(folder)) as platform:
            served = platform.add_data(data_set.folder, data_set.task, str(parameters.get('dataset_id') or '') or None)
            if weights is not None:
                parameters['resume_path'] = platform.add_weights(weights, 'resumed')
            typer.echo(
                say(
                    'run.started',
                    training_id=parameters.get('training_id', ''),
                    model=parameters.get('model_name', ''),
                    files=served.files,
                    out=out,
                )
            )
            result = run_training(
                script,
                parameters,
                platform,
                data_set.task,
                params.read_bytes() if as_file and params is not None else None,
                python,
                on_line=typer.echo,
                on_push=_show_push,
                stop=stop,
                mounted=served.dataset_id,
            )
    for finding in result.findings:
        typer.echo(finding.sentence(), err=True)
    if result.findings:
        typer.echo(say('run.failed', errors=len(result.findings)), err=True)
    elif not stop.is_set():
        typer.echo(say('run.passed', epochs=result.epochs, seconds=round(result.seconds), best=result.log.get('best')))
    raise typer.Exit(1 if result.findings else 130 if stop.is_set() else 0)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help='The folder of a run of pie run.')],
    image: Annotated[str, typer.Argument(help='The picture, or "BEFORE;AFTER" for change detection.')],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar='[KEY=VALUE]...', help='Parameters: output_format=geojson')
    ] = None,
    script: Annotated[str, typer.Option(help='The script of the package.')] = 'Predict.py',
    python: Annotated[str, typer.Option(help='The Python that runs it.')] = sys.executable,
) -> None:
    """Predict a picture of any size with what a run has trained, as the platform does.

    Example: pie predict ships_run/ harbour.tif
    """
    from .parameters import parse_changes
    from .predict import run_prediction

    result = run_prediction(run, image, parse_changes(changes or (), ()), script, python, typer.echo)
    if result.code:
        typer.echo(say('predict.failed', script=script, code=result.code), err=True)
    for path in result.results:
        typer.echo(say('predict.result', file=path))
    raise typer.Exit(1 if result.code else 0)


@app.command()
def check(
    output: Annotated[Path, typer.Argument(help='The folder output/ that train.py wrote, or the folder of a run.')],
) -> None:
    """Judge an output folder: weights, trainlog.json and pictures; each violation is one sentence.

    Example: pie check output/
    """
    from .judge import check_output

    folder = output / 'network/output' if (output / 'network/output').is_dir() else output
    if not any((folder / name).exists() for name in ('trainlog.json', 'files', 'picture')):
        raise PieError('check.no_output', folder=folder)
    findings = check_output(folder)
    for finding in findings:
        typer.echo(finding.sentence())
    if not findings:
        typer.echo(say('check.good', folder=folder))
    raise typer.Exit(1 if findings else 0)


@app.command()
def package(
    source: Annotated[Path, typer.Argument(help='The folder with train.py.')],
    meta: Annotated[
        list[str] | None, typer.Argument(metavar='[KEY=VALUE]...', help='Of networkMeta.json: name=ships input_bands=3')
    ] = None,
    out: Annotated[Path, typer.Option(help='The zip.')] = Path('network.zip'),
) -> None:
    """Build the zip that is uploaded as a network: networkMeta.json and network/.

    Example: pie package pie/ --out detectors.zip
    """
    import zipfile

    from .package import build_package

    pairs = [word.partition('=') for word in meta or ()]
    for key, equals, value in pairs:
        if not key or not equals:
            raise PieError('package.bad_word', word=key + equals + value)
    written = build_package(source, out, {key: value for key, _, value in pairs})
    with zipfile.ZipFile(out) as archive:
        files = len(archive.namelist())
    megabytes = f'{out.stat().st_size / 1e6:.1f}'
    typer.echo(say('package.written', file=out, name=written['name'], megabytes=megabytes, files=files))


@app.command()
def draw(
    task: Annotated[str, typer.Argument(help='detection, segmentation or change.')],
    folder: Annotated[Path, typer.Argument(help='A new folder.')],
    images: Annotated[int, typer.Option(min=2, help='How many pictures; a quarter is for validation.')] = 80,
    size: Annotated[int, typer.Option(min=32, help='Width and height in pixels.')] = 128,
) -> None:
    """Draw a small data set in the layout of the platform.

    Example: pie draw detection ships/
    """
    from .draw import TASKS, draw_data_set

    if task not in TASKS:
        raise typer.BadParameter(f'{task} is no task; allowed: {", ".join(TASKS)}')
    if folder.exists() and any(folder.iterdir()):
        raise PieError('run.out_exists', folder=folder)
    draw_data_set(folder, task, images, size)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help='The folder of a run, or the folder output/ of a script.')],
    out: Annotated[Path | None, typer.Option(help='The HTML file; default: report.html in the folder.')] = None,
) -> None:
    """Write a page with curves, pictures, classes and violations of a training.

    Example: pie report pie_runs/20260101-120000
    """
    from .report import write_report

    if not any(
        (folder / name).exists() for name in ('run.json', 'network/output', 'trainlog.json', 'files', 'picture')
    ):
        raise PieError('check.no_output', folder=folder)
    out = out or folder / 'report.html'
    write_report(folder, out)
    typer.echo(say('report.written', file=out))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help='Folder of the results.')] = Path('pie_demo_out'),
    package: Annotated[Path | None, typer.Option(help='The network package; default: pie/ of this checkout.')] = None,
) -> None:
    """Train each task on data that is drawn, as the platform would, and show what was learned.

    Example: pie demo
    """
    from .demo import DEMOS, PACKAGE, SCRIPT, run_demo

    package = package or PACKAGE
    if not any((package / name).is_file() for name in ('train.py', 'network/train.py')):
        raise PieError('demo.no_package', folder=package)
    results = []
    with _stopped_by_signals() as stop:
        for task, wanted in DEMOS.items():
            epochs = wanted.parameters['epochs']
            typer.echo(say('demo.task', task=task, images=wanted.images, epochs=epochs))
            results.append(run_demo(task, out / task, package, on_push=_show_push, stop=stop))
            if stop.is_set():
                raise typer.Exit(130)
    for result in results:
        for finding in result.run.findings:
            typer.echo(finding.sentence(), err=True)
        wanted = DEMOS[result.task]
        typer.echo(
            say(
                'demo.good' if result.passed else 'demo.bad',
                task=result.task,
                metric=wanted.metric,
                value=f'{result.value:.3f}',
                limit=wanted.limit,
                epochs=result.run.epochs,
                errors=len(result.run.findings),
                seconds=round(result.seconds),
                picture=result.picture,
                log=out / result.task / 'run/log.txt',
            )
        )
        if result.large is not None:
            typer.echo(say('demo.large', task=result.task, file=result.large))
        elif result.said:
            last = ' | '.join(result.said)
            typer.echo(say('demo.no_large', task=result.task, script=SCRIPT, last=last), err=True)
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until_stopped(stop: threading.Event) -> None:
    """Wait for Ctrl-C or SIGTERM.

    Args:
        stop: What they set.
    """
    stop.wait()


def _show_push(push: Any, findings: Sequence[Any]) -> None:
    key = 'run.not_pushed' if findings else 'run.pushed'
    typer.echo(say(key, x=push.epoch, y=push.epochs, errors=len(findings)))


def _weights_of(folder: Path) -> Path:
    from .judge import find_weights

    for place in (folder / 'network/output', folder / 'output', folder):
        found = find_weights(place)
        if found is not None:
            return found
    raise PieError('run.no_weights_to_resume', folder=folder)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: Default: those of the process.
    """
    from .s3_server import ServerError

    try:
        app(args=arguments, prog_name='pie')
    except KeyboardInterrupt:
        sys.exit(130)
    except PieError as error:
        typer.echo(str(error.text), err=True)
        sys.exit(1)
    except ServerError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


if __name__ == '__main__':
    main()
