"""What the shell offers after a TAB: names of models and keys of hyper-parameters. Files it offers itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer


def listed_models() -> list[dict[str, Any]]:
    """Return the models of the executor of this package, as `python -m tmi.zoo.models` prints them.

    Raises:
        RuntimeError: with what the process said.
    """
    from ..platform.prepare import REPOSITORY

    # Asked as a process: what a model is, only the executor knows.
    done = subprocess.run([sys.executable, '-m', 'tmi.zoo.models'], cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def model_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the names for `--model`, each with the COCO AP of its public weights.

    Args:
        incomplete: what is typed so far.
    """
    if '/' in incomplete:
        return []
    try:
        models = listed_models()
    except (RuntimeError, OSError, ValueError):
        return []
    return [
        (model['name'], f'COCO AP {model["ap"]}' if model['ap'] else model['family'])
        for model in models
        if model['name'].startswith(incomplete)
    ]


def hyper_parameters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the keys with their defaults, from the template of this executor or of `--img-man`; an image is not asked.

    Args:
        ctx: the command and its options.
        incomplete: what is typed so far.
    """
    from ..platform.parameters import ParameterError, read_template
    from ..platform.prepare import IMG_MAN

    if ctx.params.get('image'):
        return []
    candidates = 'mining' if ctx.params.get('mine') else 'infer'
    task = {'train': 'training', 'mine': 'mining'}.get(ctx.info_name or '', candidates)
    try:
        template = read_template(task, Path(ctx.params.get('img_man') or IMG_MAN))
    except (ParameterError, OSError):
        return []
    pairs = (f'{key}={"" if value is None else value}' for key, value in template.items())
    return [pair for pair in pairs if pair.startswith(incomplete) and ' ' not in pair]
