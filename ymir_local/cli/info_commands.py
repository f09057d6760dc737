"""`ymir models`, `ymir explain` and `ymir demo`."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options
from .completion import listed_models
from .output import EXIT_FAILED, Output, UsageMistake

WIDTH_OF_ALL = 110  # columns of a terminal that shows the names of the configs, too


@options.spread
def models(
    shown: options.OutputOptions,
    words: Annotated[
        list[str] | None, typer.Argument(metavar='WORD', help='Only names that hold all of these.')
    ] = None,
) -> None:
    """List what --model and model_name can be, with size and published accuracy.

    Example: ymir models yolov8
    """
    with shown.reporting() as output:
        try:
            models = listed_models()
        except RuntimeError as error:
            output.fail(str(error), EXIT_FAILED)
        wanted = [word.lower() for word in words or []]
        listed = [
            model for model in models if all(word in f'{model["name"]} {model["config"]}'.lower() for word in wanted)
        ]
        if not listed:
            near = get_close_matches('_'.join(wanted).replace('-', '_'), [model['name'] for model in models])
            raise UsageMistake(
                output.text('no match', words=' '.join(words or []))
                + (output.text('nearest models', names=', '.join(near)) if near else '')
            )
        if not shown.as_json:
            headings = ['model_name', output.text('parameters'), 'COCO AP', 'input', 'config']
            rows = [
                (
                    model['name'],
                    f'{model["parameters"]:.2f} M' if model['parameters'] else '',
                    f'{model["ap"]:.1f}' if model['ap'] else '',
                    model['input'] or '',
                    model['config'],
                )
                for model in listed
            ]
            shown = len(headings) if output.console.width >= WIDTH_OF_ALL else len(headings) - 1
            output.table(output.text('models'), headings[:shown], [row[:shown] for row in rows], (1, 2))
        output.finish({'ok': True, 'models': listed})


@options.spread
def explain(
    shown: options.OutputOptions,
    code: Annotated[str | None, typer.Argument(metavar='CODE', help='Number or name; none: all.')] = None,
) -> None:
    """Say what an error code of the platform means, what usually causes it and what to do.

    Example: ymir explain 300103
    """
    with shown.reporting() as output:
        from ..platform.return_codes import find_code, nearest_codes, return_codes

        if code is None:
            entries = list(return_codes().values())
            if not shown.as_json:
                output.table(
                    output.text('codes'),
                    [output.text('code'), output.text('name'), output.text('meaning')],
                    [(str(entry.code), entry.name, entry['meaning'].in_language(output.language)) for entry in entries],
                )
            output.finish({'ok': True, 'codes': [_plain(entry, output.language) for entry in entries]})
        by_name = {entry.name.lower(): entry.code for entry in return_codes().values() if entry.name}
        number = int(code) if code.isdigit() else by_name.get(code.lower(), -1)
        entry = find_code(number)
        if entry is None:
            near = nearest_codes(code)
            words = output.text('nearest', codes=', '.join(map(str, near))) if near else ''
            raise UsageMistake(output.text('no such code', code=code, near=words))
        if entry.code != number:
            output.say(output.text('old number', old=number, code=entry.code))
        output.end(f'{entry.code} {entry.name}'.rstrip(), 'bold')
        for key, words in entry.explained(output.language).items():
            output.end(f'{output.text(key)}: {words}')
        output.finish(dict(ok=True, **_plain(entry, output.language)))


def _plain(entry: Any, language: str) -> dict[str, Any]:
    return {'code': entry.code, 'name': entry.name, **entry.explained(language)}


def demo(
    out: Annotated[
        Path,
        typer.Option(
            '--out', metavar='DIR', help='Folder for everything that is written; an earlier demo in it is replaced.'
        ),
    ] = Path('demo_out'),
    gpus: options.Gpus = '0',
    as_json: options.Json = False,
) -> None:
    """Train, mine and infer on generated images, through the same steps as on the platform (2 to 5 minutes).

    Example: ymir demo --out demo_out
    """
    output = Output(as_json)
    with output.reporting():
        from ..demo.demo import demo as run_demo
        from ..platform.parameters import split_gpus
        from ..platform.run import TaskFailed

        try:
            run_demo(out, len(split_gpus(gpus)), output.console)
        except TaskFailed as error:
            output.fail(str(error), EXIT_FAILED)
        output.finish({'ok': True, 'folder': str(out)})
