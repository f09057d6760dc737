"""Builds the work directory of a task as the platform does (contract sections a.1, a.2, b.3 and c).

    <work>/in      config.yaml, env.yaml, index files, assets -> <work>/asset_cache, annotations, models
    <work>/out     monitor.txt, models, tensorboard -> <work>/tensorboard/<task id>
    <work>/sources.tsv    of a training: file name in the cache, and the image that its owner knows

Differs on purpose in two things: paths inside the files begin with `/in` and `/out` for a container only, a process on
this machine gets the real paths; and the cache may hold links to the images instead of copies. The cache is not
read-only, on the platform neither, so links are for an executor that is known to read only (see assets.py).
"""

import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ymir_exc.errors import DatasetError
from ymir_exc.monitor import format_monitor
from ymir_exc.reading import MonitorLine, read_mapping, read_training_result
from ymir_exc.reading.monitor import STATE_PENDING
from ymir_exc.reading.package_info import INFO_FILE, make_package_info
from ymir_exc.stage_values import main_metric
from ymir_exc.threads import OnProgress, in_threads

from .annotations import annotation_format, ark_bytes, coco_bytes, voc_bytes
from .assets import add_assets
from .image_hash import asset_id, asset_ids
from .input_checks import check_consistent_labels, check_no_copies, label_store
from .labels import LabelledImage

__all__ = [
    'IMG_MAN',
    'REPOSITORY',
    'SOURCES_FILE',
    'Host',
    'ModelStage',
    'Task',
    'asset_id',
    'hyper_parameters',
    'prepare_candidates',
    'prepare_training',
    'submitted',
]

PROTOCOL_VERSION = '1.1.0'
REPOSITORY = Path(__file__).resolve().parents[2]
IMG_MAN = REPOSITORY / 'ymir' / 'img-man'
SOURCES_FILE = 'sources.tsv'
DETECTION, INSTANCE_SEGMENTATION = 2, 4  # object types
TEMPLATE_FOLDERS = {DETECTION: '.', INSTANCE_SEGMENTATION: 'instance-seg'}  # of this executor
# Written for training and named by nothing in env.yaml.
UNREFERENCED_INDEX_FILES = (
    'idx-assets.tsv',
    'idx-gt.tsv',
    'idx-pred.tsv',
    'test-index.tsv',
    'pred-train-index.tsv',
    'pred-val-index.tsv',
    'pred-test-index.tsv',
)


@dataclass(frozen=True)
class Host:
    """Where a task will run.

    Args:
        gpu_count: how many GPUs; 0 means CPU.
        in_container: in a container.
        link_assets: link to the images instead of copying them; only for an executor that never writes to them.
        img_man: folder with the manifest of an executor that runs as a process.
    """

    gpu_count: int = 0
    in_container: bool = False
    link_assets: bool = True
    img_man: Path = IMG_MAN


@dataclass(frozen=True)
class Task:
    """A prepared work directory.

    Args:
        work_dir: holds `in` and `out`.
        task_id: name of the task, and of its container.
        in_container: the files name `/in` and `/out`.
    """

    work_dir: Path
    task_id: str
    in_container: bool

    @property
    def in_dir(self) -> Path:
        return self.work_dir / 'in'

    @property
    def out_dir(self) -> Path:
        return self.work_dir / 'out'

    @property
    def in_prefix(self) -> str:
        """`in` as the executor sees it."""
        return '/in' if self.in_container else str(self.in_dir)

    @property
    def out_prefix(self) -> str:
        """`out` as the executor sees it."""
        return '/out' if self.in_container else str(self.out_dir)

    @property
    def monitor_file(self) -> Path:
        return self.out_dir / 'monitor.txt'

    @property
    def log_file(self) -> Path:
        return self.out_dir / 'ymir-executor-out.log'


@dataclass(frozen=True)
class ModelStage:
    """One stage of a model package.

    Args:
        name: stage name.
        files: its files on this machine, in the order of the package.
        training_config: the config.yaml of the training that made it, `class_names` among it.
        metric: mAP, or maskAP.
        timestamp: seconds.
    """

    name: str
    files: Sequence[Path]
    training_config: Mapping[str, Any]
    metric: float = 0.0
    timestamp: int = 0

    @property
    def object_type(self) -> int:
        """2 for a model that detects, 4 for one that segments instances."""
        kind = self.training_config.get('object_type')
        return kind if isinstance(kind, int) and kind else 2

    @classmethod
    def of_training(cls, task: Task, name: str | None = None) -> 'ModelStage':
        """Take a stage out of a finished training.

        Args:
            task: the training.
            name: stage name, default the best one.

        Raises:
            ResultRejected: the platform would reject the training.
            KeyError: there is no such stage.
        """
        result = read_training_result(task.out_dir / 'models')
        stage = result.stages[name or result.best]
        config = read_mapping(task.in_dir / 'config.yaml')
        metric = stage.metrics[main_metric(stage.metrics)]
        return cls(stage.name, tuple(stage.files.values()), config, metric, stage.timestamp)


def hyper_parameters(
    task_type: str, edits: Mapping[str, Any] | None = None, img_man: Path = IMG_MAN, object_type: int = DETECTION
) -> dict[str, Any]:
    """Return the values that the web form would submit: the template, edited, without what the form drops.

    Args:
        task_type: 'training', 'mining' or 'infer'.
        edits: what the user changes or adds.
        img_man: folder of the templates.
        object_type: of the templates; they lie in a folder of their own if it is not detection.
    """
    folder = img_man / TEMPLATE_FOLDERS[object_type]
    return submitted(task_type, read_mapping(folder / f'{task_type}-template.yaml'), edits)


def submitted(task_type: str, template: Mapping[str, Any], edits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the web form submits of a template: edited, without what the form drops (section b.3).

    Differs on purpose in one thing: a zero that the user gives for mining or inference is kept, for whoever writes
    `conf_threshold=0` means it.

    Args:
        task_type: 'training', 'mining' or 'infer'.
        template: keys with their defaults.
        edits: what the user changes or adds.
    """
    values = {**template, **(edits or {})}
    return {
        key: value
        for key, value in values.items()
        if value != '' and (value or task_type == 'training' or key in (edits or {}))
    }


def prepare_training(
    work_dir: Path,
    class_names: Sequence[str],
    train: Sequence[LabelledImage],
    val: Sequence[LabelledImage],
    parameters: Mapping[str, Any] | None = None,
    pretrained: ModelStage | None = None,
    host: Host | None = None,
    on_progress: OnProgress | None = None,
    object_type: int = DETECTION,
) -> Task:
    """Prepare a training.

    Args:
        work_dir: a folder that holds no task yet.
        class_names: the user's targets, by class index; lower-cased and stripped, as the platform's label store does.
        train: images with labels; may be empty.
        val: images with labels; may be empty.
        parameters: as `hyper_parameters('training', ...)` gives them, which is also the default.
        pretrained: the model to start from.
        host: where the task will run.
        on_progress: called now and then with the number of images done and of all.
        object_type: of the project: 2 for detection, 4 for instance segmentation.

    Raises:
        FileExistsError: `work_dir` holds a task already.
        ConfigError: export_format is one that the platform rejects.
        DatasetError: two classes have the same name or there is none, or an image occurs twice in a set or with
            different labels.
    """
    parameters = dict(hyper_parameters('training', object_type=object_type) if parameters is None else parameters)
    annotation_format(parameters.get('export_format'))
    class_names = label_store(class_names)
    check_consistent_labels({'train': train, 'val': val}, on_progress)
    host = host or Host()
    task = _new_task(work_dir, host.in_container)
    _write_training_indexes(task, class_names, {'train': train, 'val': val}, parameters, host.link_assets)
    parameters.pop('pretrained_model_params', None)
    if pretrained:
        parameters['pretrained_model_params'] = _add_model(task, pretrained)
    _write_config(task, parameters, class_names, host.gpu_count, object_type)
    _write_env(task, host.img_man, run_training=True)
    _make_out(task, training=True)
    return task


def prepare_candidates(
    work_dir: Path,
    images: Sequence[Path],
    model: ModelStage,
    parameters: Mapping[str, Any] | None = None,
    mining: bool = False,
    infer: bool = False,
    host: Host | None = None,
    on_progress: OnProgress | None = None,
) -> Task:
    """Prepare mining, inference or both in one run.

    Args:
        work_dir: a folder that holds no task yet.
        images: the candidates, in the order of the index.
        model: the model to use; its training decides the class names and the object type.
        parameters: as `hyper_parameters(...)` gives them; default: the mining template's if `mining`, else the infer
            template's, for a combined run gets nothing of the latter.
        mining: whether to mine.
        infer: whether to infer.
        host: where the task will run.
        on_progress: called now and then with the number of images done and of all.

    Raises:
        FileExistsError: `work_dir` holds a task already.
        ValueError: neither mining nor inference is wanted.
        DatasetError: there is no candidate, or two are the same image.
    """
    if not (mining or infer):
        raise ValueError('neither mining nor inference is wanted')
    if not images:
        raise DatasetError('there are no candidates; the platform never starts a task without')
    task_type = 'mining' if mining else 'infer'
    if parameters is None:
        parameters = hyper_parameters(task_type, object_type=model.object_type)
    parameters = dict(parameters)
    names = asset_ids(images, on_progress)
    check_no_copies('candidates', images, names)
    host = host or Host()
    task = _new_task(work_dir, host.in_container)
    assets = _add_assets(task, dict(zip(names, images)), host.link_assets)
    _write_lines(task.in_dir / 'candidate-src-index.tsv', [os.path.realpath(image) for image in images])
    _write_lines(task.in_dir / 'candidate-index.tsv', [assets[name] for name in names])
    parameters['model_params_path'] = _add_model(task, model)
    _write_config(
        task,
        dict(parameters, run_mining=mining, run_infer=infer),
        model.training_config['class_names'],
        host.gpu_count,
        model.object_type,
    )
    _write_env(task, host.img_man, run_mining=mining, run_infer=infer)
    _make_out(task, training=False)
    return task


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines as UTF-8; bytes of file names that are not UTF-8 pass through."""
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8', errors='surrogateescape')


def _new_task(work_dir: Path, in_container: bool) -> Task:
    task_id = f't0000001000001{secrets.token_hex(3)}{int(time.time()):010d}'
    task = Task(Path(work_dir).resolve(), task_id, in_container)
    task.in_dir.mkdir(parents=True)
    for name in ('annotations', 'predictions', 'models'):
        (task.in_dir / name).mkdir()
    cache = task.work_dir / 'asset_cache'
    cache.mkdir()
    (task.in_dir / 'assets').symlink_to(cache)
    return task


def _add_assets(task: Task, images: Mapping[str, Path], link: bool) -> dict[str, str]:
    """Put images, by sha1, into the cache; return their paths as the executor sees them, by sha1."""
    # A symbolic link would point to nothing within a container.
    relative = add_assets(task.work_dir / 'asset_cache', images, link, symlink=not task.in_container)
    return {name: f'{task.in_prefix}/assets/{path}' for name, path in relative.items()}


def _write_training_indexes(
    task: Task,
    class_names: Sequence[str],
    splits: Mapping[str, Sequence[LabelledImage]],
    parameters: Mapping[str, Any],
    link: bool,
) -> None:
    kind = annotation_format(parameters.get('export_format'))
    listed = [image for images in splits.values() for image in images]
    names = asset_ids([image.path for image in listed])
    by_name = dict(zip(names, listed))
    assets = _add_assets(task, {name: image.path for name, image in by_name.items()}, link)
    _write_lines(
        task.work_dir / SOURCES_FILE,
        [f'{Path(assets[name]).name}\t{os.path.realpath(image.path)}' for name, image in by_name.items()],
    )
    folder = task.in_dir / 'annotations'
    if kind == 'coco':
        images_by_name = {name: (Path(assets[name]).name, image) for name, image in by_name.items()}
        (folder / 'coco-annotations.json').write_bytes(coco_bytes(images_by_name, class_names))
    elif kind:
        for name in by_name:
            (folder / name[-2:]).mkdir(exist_ok=True)

    def annotation_of(name: str) -> str:
        return 'coco-annotations.json' if kind == 'coco' else f'{name[-2:]}/{name}.{"txt" if kind == "ark" else "xml"}'

    def write_annotation(item: tuple[str, LabelledImage]) -> None:
        name, image = item
        content = (
            ark_bytes(image.boxes)
            if kind == 'ark'
            else voc_bytes(assets[name], image.width, image.height, image.boxes, class_names)
        )
        (folder / annotation_of(name)).write_bytes(content)

    if kind in ('ark', 'voc'):
        for _ in in_threads(write_annotation, list(by_name.items())):
            pass
    start = 0
    for split, images in splits.items():
        own = names[start : start + len(images)]
        start += len(images)
        lines = [f'{assets[name]}\t{task.in_prefix}/annotations/{annotation_of(name)}' for name in own] if kind else []
        _write_lines(task.in_dir / f'{split}-index.tsv', lines)
    for name in UNREFERENCED_INDEX_FILES:
        (task.in_dir / name).touch()


def _add_model(task: Task, model: ModelStage) -> list[str]:
    """Extract a stage into in/models and return its paths as the executor sees them."""
    models = task.in_dir / 'models'
    (models / model.name).mkdir()
    for file in model.files:
        shutil.copy(file, models / model.name / file.name)
    names = [file.name for file in model.files]
    stage = {'stage_name': model.name, 'files': names, 'timestamp': model.timestamp}
    stage['maskAP' if model.object_type == INSTANCE_SEGMENTATION else 'mAP'] = model.metric
    info = make_package_info(model.name, {model.name: stage}, model.training_config, {'executor': 'det/mmyolo:tmi'})
    (models / INFO_FILE).write_text(yaml.safe_dump(info, allow_unicode=True), encoding='utf-8')
    return [f'{task.in_prefix}/models/{model.name}/{name}' for name in names]


def _write_config(
    task: Task, parameters: Mapping[str, Any], class_names: Sequence[str], gpu_count: int, object_type: int
) -> None:
    config = dict(
        parameters,
        task_id=task.task_id,
        class_names=list(class_names),
        object_type=object_type,
        gpu_count=gpu_count,
        gpu_id=','.join(map(str, range(gpu_count))),
    )
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump(config, allow_unicode=True), encoding='utf-8')


def _write_env(
    task: Task, img_man: Path, run_training: bool = False, run_mining: bool = False, run_infer: bool = False
) -> None:
    root_in, root_out = task.in_prefix, task.out_prefix
    env = {
        'input': {
            'root_dir': root_in,
            'assets_dir': f'{root_in}/assets',
            'annotations_dir': f'{root_in}/annotations',
            'models_dir': f'{root_in}/models',
            'config_file': f'{root_in}/config.yaml',
            'training_index_file': f'{root_in}/train-index.tsv' if run_training else '',
            'val_index_file': f'{root_in}/val-index.tsv' if run_training else '',
            'candidate_index_file': '' if run_training else f'{root_in}/candidate-index.tsv',
        },
        'output': {
            'root_dir': root_out,
            'models_dir': f'{root_out}/models',
            'tensorboard_dir': f'{root_out}/tensorboard',
            'training_result_file': f'{root_out}/models/result.yaml',
            'mining_result_file': f'{root_out}/result.tsv',
            'infer_result_file': f'{root_out}/infer-result.json',
            'monitor_file': f'{root_out}/monitor.txt',
            'executor_log_file': f'{root_out}/ymir-executor-out.log',
        },
        'manifest_file': '/img-man/manifest.yaml' if task.in_container else os.path.abspath(img_man / 'manifest.yaml'),
        'protocol_version': PROTOCOL_VERSION,
        'task_id': task.task_id,
        'run_training': run_training,
        'run_mining': run_mining,
        'run_infer': run_infer,
    }
    (task.in_dir / 'env.yaml').write_text(yaml.safe_dump(env, allow_unicode=True), encoding='utf-8')


def _make_out(task: Task, training: bool) -> None:
    (task.out_dir / 'models').mkdir(parents=True)
    tensorboard = task.out_dir / 'tensorboard'
    task.monitor_file.write_text(format_monitor(MonitorLine(task.task_id, time.time(), state=STATE_PENDING)))
    if training:
        task.log_file.touch()
        target = task.work_dir / 'tensorboard' / task.task_id
        target.mkdir(parents=True)
        tensorboard.symlink_to(target)
        (target / 'executor.log').symlink_to(task.log_file)
    else:
        tensorboard.mkdir()
    for root in (task.out_dir, tensorboard):
        root.chmod(0o777)
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                (Path(folder) / name).chmod(0o777)
