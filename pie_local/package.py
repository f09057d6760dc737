"""Builds the zip that a user uploads as a network: `networkMeta.json` and `network/` with train.py.

A folder with train.py may hold a file `package.yaml` that says what else the script needs:

    meta: {name: ..., description: ...}     # of networkMeta.json
    folders: [., ../tmi]                    # copied beside train.py, each under its own name
    leave_out: [mmyolo/.mim/demo]           # paths within network/ that are not needed

Without it the folder itself becomes `network/`.
"""

import ast
import json
import lzma
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import yaml

from .causes import cause_of
from .texts import PieError, say

META = 'networkMeta.json'
REQUIRED = ('name', 'description', 'language', 'weight_format')
OPTIONAL = (
    'networkImage',
    'input_h',
    'input_w',
    'input_data_type',
    'input_interval',
    'input_bands',
    'output_format',
    'output_data_type',
    'output_bands',
)
SCRIPTS = ('train.py', 'Predict.py', 'PredictModel.py')
RECIPE = 'package.yaml'
LEFT_BY_RUNS = ('output', 'data')  # beside train.py
LEFT_OUT = shutil.ignore_patterns('__pycache__', '*.pyc', '.git', '*.egg-info')
MAX_BYTES, MAX_FILES = 4 * 10**9, 100_000  # unpacked; code and weights are far below
# What zipfile raises for a broken archive; RuntimeError: it is encrypted, or packed by an unknown method.
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError)
DATE = (1980, 1, 1, 0, 0, 0)  # of each file, so that the same content gives the same zip


def build_package(source: Path, target: Path, changes: dict[str, str]) -> dict[str, str]:
    """Build a network package.

    Args:
        source: The folder with train.py.
        target: The zip; written whole or not at all.
        changes: Values of networkMeta.json.

    Returns:
        networkMeta.json.

    Raises:
        PieError: There is no train.py or it is no Python, or a key is unknown or missing.
    """
    if not (source / 'train.py').is_file():
        raise PieError('run.no_script', folder=source)
    try:
        ast.parse((source / 'train.py').read_text(encoding='utf-8'))
    except (SyntaxError, ValueError) as error:
        raise PieError('package.no_python', file=source / 'train.py', cause=cause_of(error)) from None
    recipe = _read_recipe(source / RECIPE)
    meta = _meta(source, recipe, changes)
    with tempfile.TemporaryDirectory(prefix='pie-') as folder:
        root = Path(folder)
        (root / META).write_text(json.dumps(meta, ensure_ascii=False, indent=4), encoding='utf-8')
        network = root / 'network'
        if 'folders' in recipe:
            network.mkdir()
            for name in SCRIPTS:
                if (source / name).is_file():
                    shutil.copyfile(source / name, network / name)
            for name in recipe['folders']:
                part = (source / name).resolve()
                if not part.is_dir():
                    raise PieError('package.no_folder', file=source / RECIPE, folder=name)
                copy_code(part, network / part.name)
        else:
            copy_code(source, network)
            (network / META).unlink(missing_ok=True)
        for name in recipe.get('leave_out', []):
            shutil.rmtree(network / name, ignore_errors=True)
        if 'networkImage' in meta and (source / meta['networkImage']).is_file():
            shutil.copyfile(source / meta['networkImage'], root / Path(meta['networkImage']).name)
        _zip(root, target)
    return meta


def copy_code(source: Path, target: Path) -> None:
    """Copy a folder of code without what runs left there; links become what they lead to.

    Args:
        source: The folder.
        target: A new folder.
    """

    def left_out(folder: str, names: list[str]) -> set[str]:
        found = LEFT_OUT(folder, names)
        return {*found, *LEFT_BY_RUNS} if Path(folder) == source and 'train.py' in names else found

    shutil.copytree(source, target, ignore=left_out)


def unpack(package: Path, folder: Path) -> None:
    """Unpack `network/` of a package, as the platform does.

    Args:
        package: The zip.
        folder: A new folder that becomes `network/`.

    Raises:
        PieError: It is no zip, is too large, or lacks networkMeta.json, one of its keys, or network/train.py.
    """
    try:
        with zipfile.ZipFile(package) as archive, tempfile.TemporaryDirectory(prefix='pie-') as temporary:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)  # no entry gives more bytes than it says
            if size > MAX_BYTES or len(entries) > MAX_FILES:
                raise PieError(
                    'package.too_large',
                    file=package,
                    megabytes=-(-size // 10**6),
                    files=len(entries),
                    max_megabytes=MAX_BYTES // 10**6,
                    max_files=MAX_FILES,
                )
            archive.extractall(temporary)
            root = Path(temporary)
            if not (root / META).is_file() or not (root / 'network/train.py').is_file():
                raise PieError('package.incomplete', file=package)
            content = json.loads((root / META).read_text(encoding='utf-8'))
            missing = [key for key in REQUIRED if not isinstance(content, dict) or not content.get(key)]
            if missing:
                raise PieError('package.missing_meta', keys=', '.join(missing))
            shutil.copytree(root / 'network', folder)
    except UNREADABLE as error:
        raise PieError('package.no_zip', file=package, cause=cause_of(error)) from None


def _read_recipe(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        recipe = yaml.safe_load(file.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PieError('package.bad_recipe', file=file, cause=cause_of(error)) from None
    if not isinstance(recipe, dict) or set(recipe) - {'meta', 'folders', 'leave_out'}:
        raise PieError('package.bad_recipe', file=file, cause=say('cause.recipe_keys'))
    return recipe


def _meta(source: Path, recipe: dict[str, Any], changes: dict[str, str]) -> dict[str, str]:
    meta: dict[str, Any] = {'language': 'python{}.{}'.format(*sys.version_info), 'weight_format': 'th'}
    if (source / META).is_file():
        try:
            meta.update(json.loads((source / META).read_text(encoding='utf-8')))
        except (OSError, ValueError, TypeError) as error:
            raise PieError('package.bad_recipe', file=source / META, cause=cause_of(error)) from None
    meta.update(recipe.get('meta') or {})
    meta.update(changes)
    unknown = [key for key in meta if key not in (*REQUIRED, *OPTIONAL)]
    if unknown:
        raise PieError('package.unknown_meta', key=unknown[0], allowed=', '.join((*REQUIRED, *OPTIONAL)))
    missing = [key for key in REQUIRED if not meta.get(key)]
    if missing:
        raise PieError('package.missing_meta', keys=', '.join(missing))
    return {key: str(value) for key, value in meta.items()}


def _zip(root: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + '.part')
    try:
        with zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(root.rglob('*')):
                if path.is_file():
                    info = zipfile.ZipInfo(path.relative_to(root).as_posix(), DATE)
                    info.external_attr = 0o644 << 16
                    archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
