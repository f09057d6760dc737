"""Rules for the files that result.yaml names: weights, configs, attachments (contract section d.2)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..texts import t
from .facts import Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable, Words
from .reading import DOES_NOT_EXIST, NO_REGULAR_FILE, short
from .training import OLD_STAGE, root_of, stages_of

PLATFORM_FILES = ('ymir-info.yaml', 'model.tar.gz')


def files_of(run: Run) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Return the stage name, file name and keys of every file that result.yaml names, in either form."""
    root = root_of(run)
    if isinstance(root.get('model'), list):
        return [(OLD_STAGE, str(file), ('model', index)) for index, file in enumerate(root['model'])]
    return [
        (str(key), str(file), ('model_stages', key, 'files', index))
        for key, stage in stages_of(run)
        if isinstance(stage.get('files'), list)
        for index, file in enumerate(stage['files'])
        if isinstance(file, (str, int, float))
    ]


def _located(run: Run, stage: str, file: str) -> Path:
    """Return where a file lies; the second place if in neither."""
    first = run.models_dir / stage / file
    return first if os.path.lexists(first) else run.models_dir / file


def _relative_files(run: Run) -> Iterator[tuple[Path, tuple[Any, ...], str]]:
    for stage, file, keys in files_of(run):
        if '\0' not in file and not os.path.isabs(file):
            yield _located(run, stage, file), keys, file


def _named(file: str, words: Words) -> tuple[str, str]:
    return t('check.of a file', file=short(file), words=words)


@OUT.rule('training/files', 'd.2, l.7', ERROR)
def files(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        names = value.get('files', [])
        if not isinstance(names, list):
            yield Hit(run.result.place('model_stages', key, 'files'), short(names))
            continue
        for index, name in enumerate(names):
            if not isinstance(name, (str, int, float)):
                yield Hit(run.result.place('model_stages', key, 'files', index), short(name))


@OUT.rule('training/files-given', 'd.2', WARNING)
def files_given(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        if value.get('files') == []:
            yield Hit(run.result.place('model_stages', key, 'files'), '[]')


@OUT.rule('training/file-relative', 'd.2, l.8', ERROR)
def file_relative(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if os.path.isabs(file):
            yield Hit(run.result.place(*keys), short(file))


@OUT.rule('training/file-inside', 'd.2', ERROR)
def file_inside(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if not file.strip() or '\0' in file or '..' in file.split('/'):
            yield Hit(run.result.place(*keys), short(file))


@OUT.rule('training/file-exists', 'd.2, l.8', ERROR)
def file_exists(run: Run) -> Iterator[Hit]:
    for path, keys, file in _relative_files(run):
        if not os.path.lexists(path):
            yield Hit(run.result.place(*keys), _named(file, DOES_NOT_EXIST))


@OUT.rule('training/file-regular', 'd.2', ERROR)
def file_regular(run: Run) -> Iterator[Hit]:
    for path, keys, file in _relative_files(run):
        if os.path.lexists(path) and not path.is_symlink() and not os.path.isfile(path):
            yield Hit(run.result.place(*keys), _named(file, NO_REGULAR_FILE))


@OUT.rule('training/file-link', 'd.2, l.8', ERROR)
def file_link(run: Run) -> Iterator[Hit]:
    for path, keys, file in _relative_files(run):
        if path.is_symlink():
            target = os.readlink(path)
            yield Hit(run.result.place(*keys), f'{short(file)} -> {short(target)}')


@OUT.rule('training/platform-files', 'd.2', ERROR)
def platform_files(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if file in PLATFORM_FILES:
            yield Hit(run.result.place(*keys), file)


def _attachments(run: Run) -> dict[Any, Any]:
    root = root_of(run)
    if 'attachments' not in root:
        raise NotApplicable
    return root['attachments']


@OUT.rule('training/attachments', 'd.2', ERROR)
def attachments(run: Run) -> Iterator[Hit]:
    values = _attachments(run)
    if not isinstance(values, dict):
        yield Hit(run.result.place('attachments'), short(values))
        return
    for section, names in values.items():
        if not isinstance(names, list):
            yield Hit(run.result.place('attachments', section), short(names))


@OUT.rule('training/attachment-files', 'd.2', ERROR)
def attachment_files(run: Run) -> Iterator[Hit]:
    values = _attachments(run)
    if not isinstance(values, dict):
        raise NotApplicable
    for section, names in values.items():
        for index, name in enumerate(names if isinstance(names, list) else []):
            if not os.path.isfile(run.models_dir / 'attachments' / str(section) / str(name)):
                yield Hit(run.result.place('attachments', section, index), _named(str(name), DOES_NOT_EXIST))
