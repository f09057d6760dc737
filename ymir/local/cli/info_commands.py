"""`ymir models`, `ymir explain` and `ymir demo`."""
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer

from . import options
from .output import EXIT_FAILED, EXIT_STOPPED, Output, UsageMistake


def models(words: Annotated[Optional[List[str]], typer.Argument(metavar='WORD', help='Only names that hold all of '
                                                                'these.')] = None,
           as_json: options.Json = False,
           lang: options.Lang = None) -> None:
    """List what --model and model_name can be, with size and published accuracy.

    Example: ymir models yolov8
    """
    from ..prepare import REPOSITORY
    output = Output(as_json, language=lang.value if lang else '')
    with output.reporting():
        # Asked as a process: what a model is, only the executor knows.
        done = subprocess.run([sys.executable, '-m', 'ymir.zoo'], cwd=REPOSITORY, capture_output=True, text=True)
        if done.returncode:
            output.errors.print(done.stderr, markup=False, highlight=False)
            output.finish(dict(ok=False, error=done.stderr.strip()), EXIT_FAILED)
        listed: List[Dict[str, Any]] = json.loads(done.stdout)
        wanted = [word.lower() for word in words or []]
        listed = [
            model for model in listed if all(word in f'{model["name"]} {model["config"]}'.lower() for word in wanted)
        ]
        if not listed:
            raise UsageMistake(output.text('no match', words=' '.join(wanted)))
        rows = [(model['name'], model['family'], f'{model["parameters"]:.2f} M' if model['parameters'] else '',
                 f'{model["ap"]:.1f}' if model['ap'] else '', model['input'] or '', model['config'])
                for model in listed]
        if not as_json:
            headings = ['model_name', output.text('family'), output.text('parameters'), 'COCO AP', 'input', 'config']
            output.table(output.text('models'), headings, rows, (2, 3))
        output.finish(dict(ok=True, models=listed))


def explain(code: Annotated[Optional[str], typer.Argument(metavar='CODE', help='Number or name; none: all.')] = None,
            as_json: options.Json = False,
            lang: options.Lang = None) -> None:
    """Say what an error code of the platform means, what usually causes it and what to do.

    Example: ymir explain 300103
    """
    from ..return_codes import find_code, nearest_codes, return_codes
    output = Output(as_json, language=lang.value if lang else '')
    with output.reporting():
        if code is None:
            entries = list(return_codes().values())
            if not as_json:
                output.table(output.text('codes'), [output.text('code'), output.text('name'), output.text('meaning')],
                             [(str(entry.code), entry.name, entry.meaning[output.language]) for entry in entries])
            output.finish(dict(ok=True, codes=[_plain(entry, output.language) for entry in entries]))
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
        for key in ('meaning', 'causes', 'remedy'):
            output.end(f'{output.text(key)}: {getattr(entry, key)[output.language]}')
        output.finish(dict(ok=True, **_plain(entry, output.language)))


def _plain(entry: Any, language: str) -> Dict[str, Any]:
    return dict(code=entry.code, name=entry.name, meaning=entry.meaning[language], causes=entry.causes[language],
                remedy=entry.remedy[language])


def demo(out: Annotated[Path, typer.Option('--out', metavar='DIR', help='Folder for everything that is written.')] =
         Path('demo_out'),
         gpus: options.Gpus = '0') -> None:
    """Train, mine and infer on generated images, through the same steps as on the platform (about 5 minutes)."""
    from ..parameters import split_gpus
    from ..run import TaskFailed
    output = Output()
    with output.reporting():
        from ..demo import demo as run_demo
        try:
            run_demo(out, len(split_gpus(gpus)), output.console)
        except TaskFailed as error:
            output.end(str(error), 'red')
            raise typer.Exit(EXIT_FAILED) from None
        except KeyboardInterrupt:
            output.end(output.text('interrupted'))
            raise typer.Exit(EXIT_STOPPED) from None
