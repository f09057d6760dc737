"""ymir-info.yaml of a model package, in its present form and the older one, read and made (contract section k)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ..errors import ResultRejected
from .document import Document, Fault
from .text import PathLike
from .training_result import OLD_STAGE, parse_stage

INFO_FILE = 'ymir-info.yaml'
VERSIONS = ('2.0.0', '2.0.1', '2.0.2')
OLD_VERSION = '1.1.0'
DETECTION = 2
MAX_INFO = 16 << 20


@dataclass(frozen=True)
class PackageInfo:
    """ymir-info.yaml, with the older form brought into the present one.

    Args:
        version: of the package as it was written.
        best: name of the best stage.
        stages: name to stage_name, files, timestamp and metrics.
        executor_config: the config.yaml of the training, `class_names` among it.
        task_context: who made it.
        object_type: 2 is detection.
    """

    version: str
    best: str
    stages: dict[str, dict[str, Any]]
    executor_config: dict[str, Any]
    task_context: dict[str, Any]
    object_type: int = DETECTION


def make_package_info(
    best: str,
    stages: Mapping[str, Mapping[str, Any]],
    executor_config: Mapping[str, Any],
    task_context: Mapping[str, Any],
    attachments: Mapping[str, list[str]] | None = None,
    evaluate_config: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Make the content of a ymir-info.yaml.

    Args:
        best: name of the best stage.
        stages: name to stage_name, files, timestamp and metrics.
        executor_config: the config.yaml of the training.
        task_context: who made it.
        attachments: section to file names.
        evaluate_config: numbers by name.
    """
    return {
        'package_version': VERSIONS[0],
        'object_type': executor_config.get('object_type', DETECTION),
        'best_stage_name': best,
        'executor_config': dict(executor_config),
        'task_context': dict(task_context),
        'stages': {name: dict(stage) for name, stage in stages.items()},
        'attachments': dict(attachments or {}),
        'evaluate_config': dict(evaluate_config or {}),
        'model_hash': '',
        'stage_name': '',
    }


def read_package_info(path: PathLike) -> PackageInfo:
    """Read the ymir-info.yaml of an extracted package.

    Args:
        path: the file.

    Raises:
        ResultRejected: it cannot be read, a key is missing or wrong, or the version is unknown.
    """
    document = Document.read(path, INFO_FILE, MAX_INFO).as_yaml()
    if document.problem:
        raise ResultRejected(f'{INFO_FILE} {document.reason}')
    content = document.value
    if not isinstance(content, dict):
        raise ResultRejected(f'{INFO_FILE} holds no mapping')
    version = str(content.get('package_version') or OLD_VERSION)
    config, context = content.get('executor_config'), content.get('task_context') or {}
    if not isinstance(config, dict) or not isinstance(config.get('class_names'), list) or not config['class_names']:
        raise ResultRejected(f'{INFO_FILE}: executor_config.class_names is missing; it lists the classes of the model')
    if not isinstance(context, dict):
        raise ResultRejected(f'{INFO_FILE}: task_context is {context!r}, a mapping is needed')
    if version == OLD_VERSION:
        if not isinstance(content.get('models'), list):
            raise ResultRejected(
                f'{INFO_FILE}: a package without package_version needs `models`, a list of file names; '
                'one with stages needs package_version: 2.0.0'
            )
        stage = {'stage_name': OLD_STAGE, 'files': content['models'], 'timestamp': 0, 'mAP': context.get('mAP') or 0}
        return PackageInfo(version, OLD_STAGE, {OLD_STAGE: _checked_stage(OLD_STAGE, stage)}, config, context)
    if version not in VERSIONS:
        raise ResultRejected(
            f'{INFO_FILE}: package_version is {version}; known are {", ".join((*VERSIONS, OLD_VERSION))}'
        )
    stages, best, kind = (content.get(key) for key in ('stages', 'best_stage_name', 'object_type'))
    if not isinstance(stages, dict) or best not in list(stages):
        raise ResultRejected(f'{INFO_FILE}: best_stage_name is {best!r}, stages are {stages!r}')
    if not isinstance(kind or DETECTION, int):
        raise ResultRejected(f'{INFO_FILE}: object_type is {kind!r}; it is a number, 2 for detection')
    checked = {str(name): _checked_stage(str(name), stage) for name, stage in stages.items()}
    return PackageInfo(version, str(best), checked, config, context, kind or DETECTION)


def _checked_stage(name: str, stage: Any) -> dict[str, Any]:
    """Give a stage with numbers that are numbers."""

    def reject(fault: Fault) -> None:
        raise ResultRejected(f'{INFO_FILE}: {fault.message}', fault.code)

    files, timestamp, metrics = parse_stage(stage, f'stage {name}:', ('stages', name), reject)
    return dict(stage_name=str(stage['stage_name']), files=files, timestamp=timestamp, **metrics)
