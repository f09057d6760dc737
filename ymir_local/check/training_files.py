"""Rules for the files that result.yaml names: weights, configs, attachments (contract section d.2)."""

import os
from collections.abc import Iterator
from typing import Any

from ymir_exc.reading.training_result import OLD_STAGE, locate_model_file

from ..texts import t
from .facts import Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable, Words
from .reading import DOES_NOT_EXIST, NO_REGULAR_FILE, short
from .training import faults_of, root_of, stages_of

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


def _named_faults(run: Run, kind: str, words: Words) -> Iterator[Hit]:
    """Yield a hit for each fault of a kind, with words that follow the name of the file."""
    root_of(run)
    for fault in run.result_faults:
        if fault.kind == kind:
            yield Hit(run.result.place(*fault.keys), t('check.of a file', file=short(fault.value), words=words))


@OUT.rule('training/files', 'd.2, l.7', ERROR)
def files(run: Run) -> Iterator[Hit]:
    stages_of(run)
    yield from faults_of(run, 'files')


@OUT.rule('training/files-given', 'd.2', WARNING)
def files_given(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        if value.get('files') == []:
            yield Hit(run.result.place('model_stages', key, 'files'), '[]')


@OUT.rule('training/file-relative', 'd.2, l.8', ERROR)
def file_relative(run: Run) -> Iterator[Hit]:
    yield from faults_of(run, 'file-relative')


@OUT.rule('training/file-inside', 'd.2', ERROR)
def file_inside(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if not file.strip() or '\0' in file or '..' in file.split('/'):
            yield Hit(run.result.place(*keys), short(file))


@OUT.rule('training/file-exists', 'd.2, l.8', ERROR)
def file_exists(run: Run) -> Iterator[Hit]:
    yield from _named_faults(run, 'file-exists', DOES_NOT_EXIST)


@OUT.rule('training/file-regular', 'd.2', ERROR)
def file_regular(run: Run) -> Iterator[Hit]:
    yield from _named_faults(run, 'file-regular', NO_REGULAR_FILE)


@OUT.rule('training/file-link', 'd.2, l.8', ERROR)
def file_link(run: Run) -> Iterator[Hit]:
    for stage, file, keys in files_of(run):
        path = None if os.path.isabs(file) else locate_model_file(run.models_dir, stage, file)
        if path is not None and path.is_symlink():
            yield Hit(run.result.place(*keys), f'{short(file)} -> {short(os.readlink(path))}')


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
    _attachments(run)
    yield from faults_of(run, 'attachments')


@OUT.rule('training/attachment-files', 'd.2', ERROR)
def attachment_files(run: Run) -> Iterator[Hit]:
    if not isinstance(_attachments(run), dict):
        raise NotApplicable
    yield from _named_faults(run, 'attachment-files', DOES_NOT_EXIST)
