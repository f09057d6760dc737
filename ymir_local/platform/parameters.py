"""Hyper-parameters as the platform's web form gives them (contract sections b.2 and b.3).

The form shows the keys of the image's template. A key whose default is a number has a number box; every other value
that a user types comes back as text, so `precision=16` is the text '16' and `ymir_debug=true` the text 'true'. What the
form drops is not in config.yaml: for training empty texts, for mining and inference everything empty, zero or false;
but a zero that is given here is kept.
"""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ymir_exc.near_names import near_name
from ymir_exc.reading import Document
from ymir_exc.reading.document import MISSING
from ymir_exc.yaml_text import load_yaml

from .prepare import IMG_MAN

# What the platform sets, and how to say it here.
RESERVED = {
    'task_id': 'it is drawn anew for every task',
    'gpu_id': 'use --gpus',
    'gpu_count': 'use --gpus',
    'class_names': 'use --classes',
    'object_type': 'the image decides it',
    'pretrained_model_params': 'use --model',
    'model_params_path': 'use --model',
    'run_infer': 'use `ymir infer`',
    'run_mining': 'use `ymir mine` or `ymir infer --mine`',
}
# Read by the platform or the reference executors though no template need name them.
KNOWN_ELSEWHERE = ('export_format', 'shm_size')
FOLDERS = {2: '/img-man/det', 3: '/img-man/semantic-seg', 4: '/img-man/instance-seg', 50: '/img-man/multi-modal'}
TYPE_NAMES = {2: 'detection', 3: 'semantic segmentation', 4: 'instance segmentation', 50: 'multi-modal task'}
INSPECT_SECONDS = 120


class ParameterError(ValueError):
    """A hyper-parameter on the command line is wrong, or an image has no template."""


def read_template(task_type: str, folder: Path = IMG_MAN, object_type: int = 2) -> dict[str, Any]:
    """Read a template from a folder.

    Args:
        task_type: 'training', 'mining' or 'infer'.
        folder: of manifest and templates, `img-man` of an image; without a manifest it is one of detection.
        object_type: 2 for detection, 4 for instance segmentation.

    Raises:
        ParameterError: there is none, so the image cannot do this.
    """
    manifest = Document.read(Path(folder) / 'manifest.yaml')
    content = '' if manifest.problem else manifest.text
    path = Path(folder) / _subfolder(content, str(folder), object_type) / f'{task_type}-template.yaml'
    document = Document.read(path)
    if document.problem:
        ending = f': this executor does no {task_type}' if document.problem == MISSING else ''
        raise ParameterError(f'{path} {document.reason}{ending}')
    return _parse_template(document.text, str(path), task_type)


def _subfolder(manifest: str, place: str, object_type: int | None) -> str:
    """Return where the templates of an object type lie below those of all, '' if there is one type alone.

    Args:
        manifest: text of manifest.yaml.
        place: where it comes from, for messages.
        object_type: None for the first that the manifest has, or detection if it is among them.

    Raises:
        ParameterError: the image does not do this type.
    """
    try:
        content = load_yaml(manifest)
    except yaml.YAMLError as error:
        raise ParameterError(f'{place}/manifest.yaml cannot be read: {" ".join(str(error).split())}') from None
    types = content.get('object_type', 2) if isinstance(content, dict) else 2
    is_list = isinstance(types, list)
    listed = types if is_list else [types]
    if object_type is None:
        object_type = 2 if 2 in listed or not listed else listed[0]
        if is_list and object_type not in list(FOLDERS):
            raise ParameterError(f'{place}/manifest.yaml: object_type is {types}; the platform knows {list(FOLDERS)}')
    elif object_type != 2 and object_type not in listed:
        raise ParameterError(
            f'{place}/manifest.yaml: object_type is {types}, so this executor does no {TYPE_NAMES[object_type]}'
        )
    return Path(FOLDERS[object_type]).name if is_list else ''


def describe_template(task_type: str, folder: Path = IMG_MAN) -> list[tuple[str, str]]:
    """Read what the comments of a template say of its keys.

    The comment of a key stands above it, as 'English / Chinese'; lines of it such as '#   name: words' are values of
    the key. The first line of the file is its title.

    Args:
        task_type: 'training', 'mining' or 'infer'.
        folder: of the templates.

    Returns:
        'key=default', or '  value' of the key before it, and the English words, which may be empty.

    Raises:
        ParameterError: there is no such template.
    """
    template = read_template(task_type, folder)
    rows: list[tuple[str, str]] = []
    words: list[str] = []
    values: list[tuple[str, str]] = []
    for line in (Path(folder) / f'{task_type}-template.yaml').read_text(encoding='utf-8').splitlines()[1:]:
        comment, key = re.match(r'#\s?(.*)', line), line.partition(':')[0].strip()
        if comment:
            text = _english(comment[1])
            value = re.fullmatch(r'\s+(\w+): (.*)', text)
            if value:
                values.append((f'  {value[1]}', value[2]))
            else:
                words.append(text.strip())
        elif key in template:
            default = template[key]
            rows += [
                (f'{key}={"" if default is None else default}', ' '.join(filter(None, words)).rstrip(':')),
                *values,
            ]
            words, values = [], []
    return rows


def _english(text: str) -> str:
    """Return a comment without its Chinese part, 'English / Chinese'."""
    english, slash, other = text.rpartition(' / ')
    if not slash or not any('\u3000' <= letter <= '\u9fff' for letter in other):
        return text
    return english + ':' * other.endswith(':')


def read_template_of_image(image: str, task_type: str, object_type: int | None = None) -> dict[str, Any]:
    """Read a template from an image with the platform's own command.

    Args:
        image: name of the image, which must be on this machine or can be pulled.
        task_type: 'training', 'mining' or 'infer'.
        object_type: as the platform counts them; None: detection, or what the image does if it does not detect.

    Raises:
        ParameterError: Docker cannot run the image, or it has no such template.
    """
    _pull_if_absent(image)
    manifest = _cat(image, '/img-man/manifest.yaml', required=False)
    folder = '/'.join(filter(None, ('/img-man', _subfolder(manifest, f'{image}:/img-man', object_type))))
    path = f'{folder}/{task_type}-template.yaml'
    return _parse_template(_cat(image, path), f'{image}:{path}', task_type)


def _pull_if_absent(image: str) -> None:
    """Pull an image as the platform does. It may take many minutes, so Docker shows its progress on standard error."""
    try:
        found = subprocess.run(['docker', 'image', 'inspect', image], capture_output=True, stdin=subprocess.DEVNULL)
        if found.returncode == 0 or b'no such image' not in found.stderr.lower():
            return  # what else may be wrong, the next command says
        pulled = subprocess.run(['docker', 'pull', image], stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise ParameterError('there is no docker command on this machine') from None
    if pulled.returncode:
        words = ' '.join(pulled.stderr.decode(errors='replace').split())
        raise ParameterError(f'the image {image} is not on this machine and cannot be pulled: {words}')


def _cat(image: str, path: str, required: bool = True) -> str:
    command = ['docker', 'run', '--rm', image, 'cat', path]
    try:
        done = subprocess.run(command, capture_output=True, timeout=INSPECT_SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise ParameterError('there is no docker command on this machine') from None
    except subprocess.TimeoutExpired:
        raise ParameterError(f'`{" ".join(command)}` gave no answer in {INSPECT_SECONDS} seconds') from None
    if done.returncode in (125, 126, 127) or (done.returncode and required):
        words = ' '.join(done.stderr.decode(errors='replace').split())
        raise ParameterError(f'`{" ".join(command)}` failed with exit code {done.returncode}: {words}')
    return '' if done.returncode else done.stdout.decode('utf-8', errors='replace')


def _parse_template(text: str, place: str, task_type: str) -> dict[str, Any]:
    try:
        template = load_yaml(text)
    except yaml.YAMLError as error:
        raise ParameterError(f'{place} cannot be read: {" ".join(str(error).split())}') from None
    if not isinstance(template, dict):
        raise ParameterError(f'{place} holds no mapping: this executor does no {task_type}')
    return template


def parse_overrides(
    arguments: Sequence[str], template: Mapping[str, Any], warn: Callable[[str], None]
) -> dict[str, Any]:
    """Read `key=value` arguments, each value with the type that the form would give it.

    Args:
        arguments: of the command line.
        template: the image's template for this task.
        warn: called with one sentence for a key that the template does not have.

    Raises:
        ParameterError: no `=`, a key that is given twice or that the platform itself sets, or text for a number.
    """
    edits: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition('=')
        key = key.strip()
        if not equals or not key:
            raise ParameterError(f'{argument!r} is not a hyper-parameter; write key=value, for example max_epochs=20')
        if key in edits:
            raise ParameterError(f'{key} is given twice, as {edits[key]!r} and in {argument!r}; give it once')
        if key in RESERVED:
            raise ParameterError(f'{key} is set by the platform: {RESERVED[key]}')
        if key not in template and key not in KNOWN_ELSEWHERE:
            near = near_name(key, template)
            warn(f'{key} is not in the template of this executor' + (f'; did you mean {near}?' if near else ''))
        edits[key] = _as_the_form(key, text.strip(), template.get(key, ''))
    return edits


def warn_of_the_form(edits: Mapping[str, Any], task_type: str, warn: Callable[[str], None]) -> None:
    """Warn of values that the platform's form would drop, so that the executor's own default counts there.

    Args:
        edits: what `parse_overrides` gave.
        task_type: 'training', 'mining' or 'infer'.
        warn: called with one sentence for each.
    """
    for key, value in edits.items():
        if value == '':
            warn(
                f'{key} is empty, so config.yaml has no {key}, and the default of the executor itself counts, which '
                'may be another one than that of its template; give a value'
            )
        elif not value and task_type != 'training':
            warn(
                f'{key}={value} counts here; on the platform it would not, for the form of {task_type} drops zeros, '
                'and the default of the executor would count'
            )


def _as_the_form(key: str, text: str, default: Any) -> Any:
    """Return the value of a number box if the default is a number, else the text."""
    if isinstance(default, bool) or not isinstance(default, (int, float)) or not text:
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    # The templates write "0 = the model's own" for what may be text too, such as "640,480".
    if any(character.isdigit() for character in text):
        return text
    raise ParameterError(f'{key} is {text!r}; a number is needed, as the default {default!r} is one')


def time_budget(config: Mapping[str, Any]) -> float:
    """Return the time budget of a training in minutes; 0 for none, and where it is no number, which the image reports.

    Args:
        config: config.yaml, in which the number may be text.
    """
    try:
        minutes = float(config.get('max_minutes') or 0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return minutes if minutes > 0 else 0.0


def split_gpus(text: str) -> tuple[int, ...]:
    """Read `--gpus`: how many (`2`), which (`1,3` or `3,`), or `auto`.

    Args:
        text: what the user wrote.

    Returns:
        The numbers of the GPUs; none for the CPU.

    Raises:
        ParameterError: it is nothing of these.
    """
    text = text.strip().lower()
    if text == 'auto':
        return (0,) if _visible_gpus() else ()
    try:
        if ',' in text:
            ids = tuple(int(part) for part in text.split(',') if part.strip())
        else:
            ids = tuple(range(int(text))) if int(text) >= 0 else (-1,)
    except ValueError:
        ids = (-1,)
    if any(number < 0 for number in ids) or len(set(ids)) < len(ids):
        raise ParameterError(f'--gpus is {text!r}; allowed are a count (2), numbers (1,3; a single one as 3,) and auto')
    return ids


def _visible_gpus() -> int:
    try:
        done = subprocess.run(['nvidia-smi', '-L'], capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return 0
    return 0 if done.returncode else len([line for line in done.stdout.splitlines() if line.startswith(b'GPU')])
