"""Rules for the files that result.yaml names: weights, configs, attachments (contract section d.2)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .catalogues import OUT
from .facts import Run
from .finding import ERROR, WARNING, Hit, NotApplicable, Words
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
    return f'{short(file)}: {words[0]}', f'{short(file)}：{words[1]}'


@OUT.rule(
    'training/files',
    'd.2, l.7',
    ERROR,
    en=(
        'The files of a stage are a list of names, even if there is only one; a bare text or null rejects the '
        'whole result.',
        'Write "files: [name.pth]".',
    ),
    zh=(
        '阶段的 files 是文件名列表，即使只有一个文件；单独的文字或 null 会使整个结果被拒绝。',
        '请写 “files: [name.pth]”。',
    ),
)
def files(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        names = value.get('files', [])
        if not isinstance(names, list):
            yield Hit(run.result.place('model_stages', key, 'files'), short(names))
            continue
        for index, name in enumerate(names):
            if not isinstance(name, (str, int, float)):
                yield Hit(run.result.place('model_stages', key, 'files', index), short(name))


@OUT.rule(
    'training/files-given',
    'd.2',
    WARNING,
    en=(
        'A stage names at least one file; without one the platform stores a model that nothing can load.',
        'List the weights and what is needed to load them.',
    ),
    zh=('每个阶段至少列出一个文件；否则平台保存的模型无法加载。', '请列出权重以及加载所需的文件。'),
)
def files_given(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        if value.get('files') == []:
            yield Hit(run.result.place('model_stages', key, 'files'), '[]')


@OUT.rule(
    'training/file-relative',
    'd.2, l.8',
    ERROR,
    en=(
        'File names are relative to models; the platform looks for them on the host, where /out does not exist.',
        'Write "best.pth" instead of "/out/models/best.pth".',
    ),
    zh=(
        '文件名相对于 models 目录；平台在宿主机上查找，那里没有 /out。',
        '请写 “best.pth”，而不是 “/out/models/best.pth”。',
    ),
)
def file_relative(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if os.path.isabs(file):
            yield Hit(run.result.place(*keys), short(file))


@OUT.rule(
    'training/file-inside',
    'd.2',
    ERROR,
    en=('Files lie below models: no "..", no empty name.', 'Copy the file into models and name it from there.'),
    zh=('文件位于 models 之下：不含 “..”，不为空。', '请把文件复制到 models 中，并以相对名称引用。'),
)
def file_inside(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if not file.strip() or '\0' in file or '..' in file.split('/'):
            yield Hit(run.result.place(*keys), short(file))


@OUT.rule(
    'training/file-exists',
    'd.2, l.8',
    ERROR,
    en=(
        'Every file that result.yaml names exists, in models/<stage>/ or in models/; a missing one rejects the '
        'whole result (160011).',
        'Write result.yaml after the file, and take a stage out of it before its files are removed.',
    ),
    zh=(
        'result.yaml 列出的每个文件都存在于 models/<阶段>/ 或 models/；缺一个，整个结果被拒绝（160011）。',
        '请先写文件再写 result.yaml，并在删除文件之前先从中移除该阶段。',
    ),
)
def file_exists(run: Run) -> Iterator[Hit]:
    for path, keys, file in _relative_files(run):
        if not os.path.lexists(path):
            yield Hit(run.result.place(*keys), _named(file, DOES_NOT_EXIST))


@OUT.rule(
    'training/file-regular',
    'd.2',
    ERROR,
    en=('What result.yaml names are regular files, no folders.', 'List every file of the folder, or pack it into one.'),
    zh=('result.yaml 列出的都是普通文件，不是目录。', '请列出目录中的每个文件，或打包成一个文件。'),
)
def file_regular(run: Run) -> Iterator[Hit]:
    for path, keys, file in _relative_files(run):
        if os.path.lexists(path) and not path.is_symlink() and not os.path.isfile(path):
            yield Hit(run.result.place(*keys), _named(file, NO_REGULAR_FILE))


@OUT.rule(
    'training/file-link',
    'd.2, l.8',
    ERROR,
    en=(
        'What result.yaml names are no links: a link is packed as a link, and the model is useless.',
        'Copy the file instead of linking it.',
    ),
    zh=('result.yaml 列出的文件不是链接：链接会原样打包，模型因此无法使用。', '请复制文件，而不是建立链接。'),
)
def file_link(run: Run) -> Iterator[Hit]:
    for path, keys, file in _relative_files(run):
        if path.is_symlink():
            target = os.readlink(path)
            yield Hit(run.result.place(*keys), f'{short(file)} -> {short(target)}')


@OUT.rule(
    'training/platform-files',
    'd.2',
    ERROR,
    en=(
        'No file of a stage is called ymir-info.yaml or model.tar.gz; the platform writes these itself.',
        'Rename the file.',
    ),
    zh=('阶段文件不得命名为 ymir-info.yaml 或 model.tar.gz；这两个文件由平台写入。', '请重命名该文件。'),
)
def platform_files(run: Run) -> Iterator[Hit]:
    for _, file, keys in files_of(run):
        if file in PLATFORM_FILES:
            yield Hit(run.result.place(*keys), file)


def _attachments(run: Run) -> dict[Any, Any]:
    root = root_of(run)
    if 'attachments' not in root:
        raise NotApplicable
    return root['attachments']


@OUT.rule(
    'training/attachments',
    'd.2',
    ERROR,
    en=(
        'attachments is a mapping of section names to lists of file names; null rejects the whole result.',
        'Leave the key out, or write "attachments: {plots: [curve.png]}".',
    ),
    zh=(
        'attachments 是栏目名到文件名列表的映射；null 会使整个结果被拒绝。',
        '请省略该键，或写 “attachments: {plots: [curve.png]}”。',
    ),
)
def attachments(run: Run) -> Iterator[Hit]:
    values = _attachments(run)
    if not isinstance(values, dict):
        yield Hit(run.result.place('attachments'), short(values))
        return
    for section, names in values.items():
        if not isinstance(names, list):
            yield Hit(run.result.place('attachments', section), short(names))


@OUT.rule(
    'training/attachment-files',
    'd.2',
    ERROR,
    en=(
        'Every attachment exists as models/attachments/<section>/<file>; a missing one rejects the whole result.',
        'Put the file there, or take it out of the list.',
    ),
    zh=(
        '每个附件都位于 models/attachments/<栏目>/<文件>；缺一个，整个结果被拒绝。',
        '请把文件放到该处，或从列表中删除。',
    ),
)
def attachment_files(run: Run) -> Iterator[Hit]:
    values = _attachments(run)
    if not isinstance(values, dict):
        raise NotApplicable
    for section, names in values.items():
        for index, name in enumerate(names if isinstance(names, list) else []):
            if not os.path.isfile(run.models_dir / 'attachments' / str(section) / str(name)):
                yield Hit(run.result.place('attachments', section, index), _named(str(name), DOES_NOT_EXIST))
