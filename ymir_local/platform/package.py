"""Model packages: what the platform stores of a training, and reads again (contract sections d.2, k and c.9).

A package is a gzipped tar with `<stage>/<file>` for every stage, `attachments/<section>/<file>` and `ymir-info.yaml`.
The same files give the same bytes, also those of an extracted package, so that a package can be known by its sha1 as in
the platform's store. Reading is stricter than the platform's, which extracts whatever a tar file holds
(tar_archive.py).
"""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ymir_exc.atomic import DISK_FULL, atomic_file
from ymir_exc.errors import ConfigError, ResultRejected
from ymir_exc.reading import (
    PackageInfo,
    StageResult,
    TrainingResult,
    read_mapping,
    read_package_info,
    read_training_result,
)
from ymir_exc.reading.package_info import INFO_FILE, make_package_info
from ymir_exc.stage_values import main_metric

from .prepare import ModelStage
from .tar_archive import ArchiveError, extract, is_tar
from .weight_file import class_names_in

WEIGHT_SUFFIXES = ('.pth', '.pt')
MINING_STATS_FILES = 'mining_stats*.npz'  # what mining knows of the labelled images; it belongs to one weight file


class PackageError(Exception):
    """A model cannot be packed or read; the message says which and why."""


def run_folders(folder: Path) -> tuple[Path, Path | None]:
    """Find `out` and `in` of a run.

    Args:
        folder: of the run, or its `out`.

    Returns:
        `out`, and `in` beside it if there is one.
    """
    folder = Path(folder)
    out_dir = folder / 'out' if (folder / 'out').is_dir() else folder
    in_dir = out_dir.resolve().parent / 'in'
    return out_dir, in_dir if (in_dir / 'config.yaml').is_file() else None


def pack(out_dir: Path, file: Path, in_dir: Path | None = None, executor: str = '', producer: str = '') -> Path:
    """Pack the result of a training as the platform does, also of one that was stopped.

    Args:
        out_dir: folder of the run or its `out`; or an extracted package, whose description is kept as it is.
        file: the package to write; it appears whole or not at all.
        in_dir: the task's `in`; default: beside `out_dir`.
        executor: name of the image, for `task_context`.
        producer: name of the person, for `task_context`.

    Returns:
        `file`.

    Raises:
        PackageError: the platform would reject the result, or there is no config.yaml.
    """
    out_dir, file = Path(out_dir), Path(file)
    if (out_dir / INFO_FILE).is_file():
        stages, attachments, info = _content_of_package(out_dir)
    else:
        stages, attachments, info = _content_of_training(out_dir, in_dir, executor, producer)
    newest = max(stage.timestamp for stage in stages.values())
    members: dict[str, tuple[Path, int]] = {}  # by name: a file may be listed twice
    for _, stage in sorted(stages.items()):
        for name, path in stage.files.items():
            members[_member_name(f'{stage.name}/{name}')] = path, stage.timestamp
    for name, path in sorted(attachments.items()):
        members[_member_name(name)] = path, newest
    for path, _ in members.values():
        if path.is_symlink():
            raise PackageError(f'{path} is a link: the platform would store the link, which names nothing later')
    try:
        with (
            atomic_file(file, 'wb') as stream,
            gzip.GzipFile('', 'wb', 1, stream, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode='w', format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, (path, seconds) in members.items():
                with open(path, 'rb') as content:
                    archive.addfile(_member(name, os.fstat(content.fileno()).st_size, seconds), content)
            archive.addfile(_member(INFO_FILE, len(info), newest), io.BytesIO(info))
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        need = len(info) + sum(path.stat().st_size for path, _ in members.values())
        raise _disk_full(error, file, need) from error
    return file


def _disk_full(error: OSError, file: Path, need: int) -> OSError:
    """Return the error of a disk that has no room for a package; it says how much is missing.

    Args:
        error: of the system.
        file: that was written.
        need: bytes of what it holds, which are compressed by little.
    """
    words = f'{error.strerror}: up to {_amount(need)} are needed'
    with suppress(OSError):
        free = shutil.disk_usage(file.parent).free
        if free < need:
            words += f', {_amount(free)} are free, so up to {_amount(need - free)} are missing'
    return OSError(error.errno, f'{words}. Free some, or write to another disk', str(file))


def _amount(size: int) -> str:
    return f'{size / 1e6:.1f} MB'


# What a package holds: its stages, the files of its attachments by member name, and the bytes of its description.
Content = tuple[Mapping[str, StageResult], dict[str, Path], bytes]


def _content_of_training(out_dir: Path, in_dir: Path | None, executor: str, producer: str) -> Content:
    out_dir, beside = run_folders(out_dir)
    in_dir = Path(in_dir) if in_dir else beside
    if in_dir is None or not (in_dir / 'config.yaml').is_file():
        raise PackageError(
            f'{in_dir or out_dir.parent / "in"}: no config.yaml of the training, whose class_names the '
            'package needs; name the folder of the run, which holds `in` and `out`'
        )
    config = _read_config(in_dir / 'config.yaml')
    result = _read_result(out_dir)
    attachments = {
        f'attachments/{section}/{name}': out_dir / 'models' / 'attachments' / section / name
        for section, names in result.attachments.items()
        for name in names
    }
    info = yaml.safe_dump(_info_of(result, config, executor, producer), allow_unicode=True).encode()
    return result.stages, attachments, info


def _content_of_package(folder: Path) -> Content:
    info = read_info(folder)
    stages = {}
    for name, stage in info.stages.items():
        files = {file: _file_of_stage(folder, folder, name, file) for file in stage['files']}
        stages[name] = StageResult(name, files, stage['timestamp'], {})
    root = folder / 'attachments'
    attachments = {path.relative_to(folder).as_posix(): path for path in root.rglob('*') if not path.is_dir()}
    return stages, attachments, (folder / INFO_FILE).read_bytes()


def _read_result(out_dir: Path) -> TrainingResult:
    try:
        return read_training_result(out_dir / 'models')
    except ResultRejected as error:
        raise PackageError(error.reason) from None


def _read_config(path: Path) -> dict[str, Any]:
    """Return the config.yaml of a training, whose class_names every model needs."""
    try:
        config = read_mapping(path)
    except ConfigError as error:
        raise PackageError(str(error)) from None
    if not isinstance(config.get('class_names'), list) or not config['class_names']:
        raise PackageError(f'{path} has no class_names, the list of the classes of the model')
    return config


def _info_of(result: TrainingResult, config: Mapping[str, Any], executor: str, producer: str) -> dict[str, Any]:
    stages = {
        stage.name: dict(stage_name=stage.name, files=list(stage.files), timestamp=stage.timestamp, **stage.metrics)
        for stage in result.stages.values()
    }
    context = {key: value for key, value in (('executor', executor), ('producer', producer)) if value}
    return make_package_info(result.best, stages, config, context, result.attachments, result.evaluate_config)


def _member(name: str, size: int, seconds: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, max(seconds, 0), 0o644
    return member


def _member_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or '..' in path.parts or not path.parts:
        raise PackageError(f'the file {name!r} of a stage does not lie inside of the package')
    return str(path)


def sha1_of(file: Path) -> str:
    """Return the name of a package in the platform's store: the sha1 of its bytes.

    Args:
        file: of the package.
    """
    digest = hashlib.sha1()
    with open(file, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def unpack(file: Path, folder: Path, max_bytes: int | None = None) -> PackageInfo:
    """Extract a package; the folder appears whole or not at all.

    Args:
        file: any tar, gzipped or not.
        folder: must not exist, or be empty.
        max_bytes: what the files may hold; see tar_archive.extract.

    Raises:
        PackageError: the file is not a package, lacks a file that a stage names, or holds what does not belong into
            one.
    """
    file, folder = Path(file), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PackageError(f'{folder} exists already; name a new folder')
    near = next(parent for parent in folder.absolute().parents if parent.exists())  # nothing is made before all is well
    with tempfile.TemporaryDirectory(prefix=f'.{folder.name}-', dir=near) as temporary:
        content = Path(temporary) / 'content'
        content.mkdir()
        try:
            extract(file, content, max_bytes)
        except ArchiveError as error:
            raise PackageError(str(error)) from None
        info = read_info(content)
        for name, stage in info.stages.items():
            for member in stage['files']:
                _file_of_stage(file, content, name, member)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        os.replace(content, folder)
    return info


def read_info(folder: Path) -> PackageInfo:
    """Read ymir-info.yaml of an extracted package.

    Args:
        folder: holds it.

    Raises:
        PackageError: a key is missing or a version unknown.
    """
    path = Path(folder) / INFO_FILE
    if not path.exists():
        deeper = next(
            (
                f'; there is one in {found.parent.relative_to(folder)}/, so pack what is in that folder'
                for found in Path(folder).rglob(INFO_FILE)
            ),
            '',
        )
        raise PackageError(f'there is no {INFO_FILE} at the root of the package{deeper}')
    try:
        return read_package_info(path)
    except ResultRejected as error:
        raise PackageError(error.reason) from None


def read_package(
    source: Path, folder: Path, class_names: list[str] | None = None, to_train: bool = False
) -> ModelStage:
    """Take one stage out of a model, wherever it comes from.

    Args:
        source: a package, an extracted package, the folder of an earlier run or a weight file; `@stage` at the end
            names another stage than the best one.
        folder: where a package is extracted to.
        class_names: for a weight file that does not say which classes it knows.
        to_train: a training starts from it, which may do so from weights whose classes are unknown.

    Raises:
        PackageError: there is no model.
    """
    source, stage_name = _split_stage(str(source))
    if source.is_dir() and not (source / INFO_FILE).is_file():
        return _stage_of_run(source, stage_name)
    if source.is_file() and source.suffix.lower() in WEIGHT_SUFFIXES and not is_tar(source):
        return _stage_of_file(source, class_names, to_train)
    if not source.exists():
        raise PackageError(
            f'{source} does not exist; a model package, the folder of an earlier run or a weight file is needed'
        )
    if source.is_dir():
        folder, info = source, read_info(source)
    else:
        folder, info = Path(folder), unpack(source, folder)
    name = stage_name or info.best
    if name not in info.stages:
        raise PackageError(f'{source}: no stage {name}; it has {", ".join(info.stages)}')
    stage = info.stages[name]
    files = tuple(_file_of_stage(source, folder, name, file) for file in stage['files'])
    if not files:
        raise PackageError(f'{source}: stage {name} has no files')
    return ModelStage(name, files, info.executor_config, _metric_of(stage), stage['timestamp'])


def _file_of_stage(source: Path, folder: Path, stage: str, file: str) -> Path:
    """Return `<stage>/<file>`, or `<file>` at the root as packages that were not made by the platform have it."""
    inside = _member_name(file)
    path = next((p for p in (folder / _member_name(stage) / inside, folder / inside) if os.path.isfile(p)), None)
    if path is None:
        raise PackageError(f'{source}: stage {stage} names {file}, which is not in the package')
    return path


def _split_stage(source: str) -> tuple[Path, str | None]:
    head, at, stage = source.rpartition('@')
    if at and not Path(source).exists() and Path(head).exists():
        return Path(head), stage
    return Path(source), None


def _stage_of_run(folder: Path, stage_name: str | None) -> ModelStage:
    out_dir, in_dir = run_folders(folder)
    if in_dir is None or not (out_dir / 'models').is_dir():
        raise PackageError(f'{folder} is not a folder of a run: `in/config.yaml` and `out/models` are needed')
    result = _read_result(out_dir)
    name = stage_name or result.best
    if name not in result.stages:
        raise PackageError(f'{folder}: no stage {name}; it has {", ".join(result.stages)}')
    stage = result.stages[name]
    if not stage.files:
        raise PackageError(f'{folder}: stage {name} has no files')
    return ModelStage(
        name,
        tuple(stage.files.values()),
        _read_config(in_dir / 'config.yaml'),
        _metric_of(stage.metrics),
        stage.timestamp,
    )


def _metric_of(stage: Mapping[str, Any]) -> float:
    return stage.get(main_metric(stage), 0.0)


def _stage_of_file(file: Path, class_names: list[str] | None, to_train: bool) -> ModelStage:
    """Return a single weight file, with the files that belong to it.

    Its classes are those that it says itself, else what the user says, else those of the run that it lies in.
    """
    config: dict[str, Any] = {}
    out_dir = next(
        (
            parent.parent
            for parent in file.resolve().parents
            if parent.name == 'models' and (parent.parent.parent / 'in' / 'config.yaml').is_file()
        ),
        None,
    )
    if out_dir is not None:
        config = _read_config(out_dir.parent / 'in' / 'config.yaml')
    names = class_names_in(file) or class_names
    if names:
        config = dict(config, class_names=list(names))
    if not config.get('class_names') and not to_train:
        raise PackageError(
            f'{file} does not say which classes it knows, and lies in no run: name them with --classes, in '
            'the order in which it was trained'
        )
    files = (file, *_files_with(file, out_dir))
    return ModelStage('weights', files, config, timestamp=int(file.stat().st_mtime))


def _files_with(file: Path, out_dir: Path | None) -> list[Path]:
    """Return the files that belong to a weight file.

    Args:
        file: the weight file.
        out_dir: `out` of the run that it lies in, if it lies in one.

    Returns:
        What a stage of the run names beside it; for a file that no stage names the config beside it if there is one
        alone, and the statistics for mining if there are no others and no other weights that they may belong to.
    """
    if out_dir is not None:
        with suppress(PackageError):
            for stage in _read_result(out_dir).stages.values():
                if file.resolve() in (path.resolve() for path in stage.files.values()):
                    return [path for path in stage.files.values() if path.suffix.lower() not in WEIGHT_SUFFIXES]
    configs = sorted(file.parent.glob('*.py'))
    weights = [path for path in file.parent.iterdir() if path.suffix.lower() in WEIGHT_SUFFIXES]
    stats = sorted(file.parent.glob(MINING_STATS_FILES)) if len(weights) == 1 else []
    return [path for found in (configs, stats) if len(found) == 1 for path in found]
