"""`ymir train`, `ymir infer` and `ymir mine`: from a data set and a model to a finished task."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .completion import model_names
from .data_progress import data_progress
from .output import Output, UsageMistake

if TYPE_CHECKING:
    from .engine import Engine

DataVal = Annotated[
    Path | None,
    typer.Option('--val', metavar='DATA', help='Validation set; default: that of DATA, else a share of its images.'),
]
ValShare = Annotated[
    float | None,
    typer.Option(
        '--val-share',
        metavar='SHARE',
        min=0.01,
        max=0.9,
        help='Share of the images, 0.01 to 0.9, that is split off for validation where there is none; default: 0.1.',
    ),
]
TrainModel = Annotated[
    str | None,
    typer.Option(
        '--model',
        '-m',
        metavar='MODEL',
        autocompletion=model_names,
        help='Name of a model (`ymir models`), or what to '
        'start from: a model package, the folder of an earlier run, a weight file; @STAGE at the end names a stage. '
        'Default: the model_name of the template.',
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        '--minutes',
        metavar='MINUTES',
        min=0.01,
        help='Minutes that the whole task may take: it trains as many epochs as fit (the key max_minutes).',
    ),
]
TrainData = Annotated[
    Path | None,
    typer.Argument(
        metavar='DATA',
        parser=options.path_with_a_name,
        help='Folder of a COCO, VOC, YOLO, labelme or VIA data set, of images, or of a task (in/). Not with --resume.',
        show_default=False,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        '--resume',
        metavar='RUN',
        parser=options.path_with_a_name,
        help='Go on with the training in this folder of an earlier run, with its data and its settings but for '
        'KEY=VALUE: one that was stopped or has failed; or a finished one, for more epochs (max_epochs).',
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        '--ray',
        metavar='ADDRESS',
        help='Predict on the machines of a Ray cluster that share the folders of DATA and --out: HOST:PORT of its '
        'head, or auto (the key ray_address).',
    ),
]
CandidateModel = Annotated[
    str,
    typer.Option(
        '--model',
        '-m',
        metavar='MODEL',
        help='Model package, folder of an earlier run or weight file; @STAGE at the end names a stage.',
    ),
]


@options.spread
def train(
    task: options.TaskOptions,
    data: TrainData = None,
    overrides: options.Overrides = None,
    model: TrainModel = None,
    val: DataVal = None,
    val_share: ValShare = None,
    minutes: Minutes = None,
    resume: Resume = None,
) -> None:
    """Train a model on a folder of labelled images, or let an earlier training go on.

    Example: ymir train coco/ --model yolov8_n max_epochs=50 samples_per_gpu=16
    """
    with task.reporting() as output:
        minutes_text = None if minutes is None else f'{minutes:g}'
        if resume is not None:
            from .resume_training import resume_training

            given = {
                '--model': model,
                '--val': val,
                '--val-share': val_share,
                '--classes': task.classes,
                '--format': task.data_format,
                '--link or --copy': task.link,
                '--out': task.out,
                '--masks': task.masks or None,
            }
            words = [str(data), *(overrides or [])] if data else list(overrides or [])
            _check_only_settings(words, [name for name, value in given.items() if value is not None])
            resume_training(output, resume, task, _with_key(words, 'max_minutes', '--minutes', minutes_text) or [])
        if data is None:
            raise UsageMistake(
                "Missing argument 'DATA': Folder of a COCO, VOC, YOLO, labelme or VIA data set, of images, or of a "
                'task (in/); or --resume with the folder of an earlier training.'
            )
        from ..platform.prepare import DETECTION, INSTANCE_SEGMENTATION, prepare_training, submitted
        from . import tasks
        from .engine import Engine
        from .task_run import TaskRun

        engine = Engine.of(task)
        object_type = INSTANCE_SEGMENTATION if task.masks else DETECTION
        overrides = _with_key(overrides, 'max_minutes', '--minutes', minutes_text)
        template, edits = _parameters(output, engine, 'training', overrides, object_type)
        if val and val_share is not None:
            raise UsageMistake('--val names the validation set, and --val-share would split one off; give one of them')
        source, model_name = _pretrained(model, edits, template)
        name = model_name or edits.get('model_name') or template.get('model_name')
        folder = tasks.new_folder(task.out, 'train', name, bool(engine.image))
        # What costs little is tried first, so that a wrong model is not found out after minutes of reading.
        with tasks.removed_on_error(folder):
            pretrained = tasks.read_model(source, folder, to_train=True) if source else None
            if pretrained and not model_name and 'model_name' in template:
                model_name = pretrained.training_config.get('model_name')
            if model_name:
                edits.setdefault('model_name', model_name)
            dataset = _training_data(output, data, val, val_share, task)
            with data_progress(output, output.text('preparing', path=folder)) as show:
                prepared = prepare_training(
                    folder,
                    dataset.class_names,
                    dataset.splits['train'],
                    dataset.splits['val'],
                    submitted('training', template, edits),
                    pretrained,
                    engine.host(),
                    show,
                    object_type,
                )
        TaskRun(output, engine, prepared, tasks.Wanted(training=True), edits).run(dataset)


@options.spread
def infer(
    data: options.Data,
    model: CandidateModel,
    task: options.TaskOptions,
    overrides: options.Overrides = None,
    mine: Annotated[
        bool, typer.Option('--mine', help='Mine in the same run; the keys are those of mining then.')
    ] = False,
    ray: Ray = None,
) -> None:
    """Find objects in images with a trained model.

    Example: ymir infer photos/ --model model.tar conf_threshold=0.3
    """
    _candidates(data, model, task, overrides, ray, mining=mine, infer=True)


@options.spread
def mine(
    data: options.Data,
    model: CandidateModel,
    task: options.TaskOptions,
    overrides: options.Overrides = None,
    ray: Ray = None,
) -> None:
    """Order images by how much labelling them would help the model.

    Example: ymir mine photos/ --model model.tar mining_algorithm=entropy
    """
    _candidates(data, model, task, overrides, ray, mining=True)


def _candidates(
    data: Path,
    model: str,
    task: options.TaskOptions,
    overrides: list[str] | None,
    ray: str | None,
    mining: bool,
    infer: bool = False,
) -> None:
    with task.reporting() as output:
        from ..platform.prepare import DETECTION, INSTANCE_SEGMENTATION, prepare_candidates, submitted
        from . import tasks
        from .engine import Engine
        from .task_run import TaskRun

        wanted = tasks.Wanted(mining=mining, infer=infer)
        engine = Engine.of(task)
        task_type = 'mining' if mining else 'infer'
        if ray and engine.image:
            raise UsageMistake(
                '--ray is for the executor of this environment: a container of --image is no machine of a cluster; '
                'where it is one, give ray_address=ADDRESS'
            )
        overrides = _with_key(overrides, 'ray_address', '--ray', ray)
        template, edits = _parameters(output, engine, task_type, overrides, DETECTION)
        names = class_names(task.classes)
        _need(model, '--model')
        folder = tasks.new_folder(task.out, wanted.name, model, bool(engine.image))
        with tasks.removed_on_error(folder):
            stage = tasks.read_model(model, folder, names)
            if task.masks:
                stage = replace(stage, training_config={**stage.training_config, 'object_type': INSTANCE_SEGMENTATION})
            if stage.object_type != DETECTION:
                template, edits = _parameters(output, engine, task_type, overrides, stage.object_type)
            if names and list(stage.training_config['class_names']) != names:
                output.warn(output.text('classes of the model', names=', '.join(stage.training_config['class_names'])))
            dataset = _read(output, data, task.data_format)
            output.warn_of(dataset.warnings)
            paths = [image.path for image in (*dataset.images(), *dataset.unlabelled)]
            output.say(output.text('candidates', count=len(paths)))
            parameters = submitted(task_type, template, edits)
            with data_progress(output, output.text('preparing', path=folder)) as show:
                prepared = prepare_candidates(folder, paths, stage, parameters, mining, infer, engine.host(), show)
        is_labelled = any(image.boxes for image in dataset.images())
        TaskRun(output, engine, prepared, wanted, edits).run(dataset, data if is_labelled else None)


def _parameters(
    output: Output, engine: 'Engine', task_type: str, overrides: list[str] | None, object_type: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the template of a task, and what the user changes of it."""
    from ..platform.parameters import parse_overrides, warn_of_the_form

    template = engine.template(task_type, object_type)
    edits = parse_overrides(overrides or [], template, output.warn)
    warn_of_the_form(edits, task_type, output.warn)
    return template, edits


def _check_only_settings(words: list[str], given: list[str]) -> None:
    """Reject what cannot change while a training goes on."""
    given += [word for word in words if '=' not in word]
    if given:
        raise UsageMistake(
            f'--resume goes on with the data, the model and the folder of the earlier run; leave {", ".join(given)} out'
        )


def _with_key(overrides: list[str] | None, key: str, option: str, value: str | None) -> list[str] | None:
    """Add what an option means to the hyper-parameters of a task.

    Args:
        overrides: `KEY=VALUE` of the command line.
        key: That the option sets.
        option: Its name.
        value: Of the option; None if it was not given.
    """
    if value is None:
        return overrides
    given = next((item for item in overrides or [] if item.partition('=')[0].strip() == key), None)
    if given:
        raise UsageMistake(f'{option} {value} and {given} say the same thing; give one')
    return [*(overrides or []), f'{key}={value}']


def class_names(text: str | None) -> list[str] | None:
    """Read `--classes`.

    Args:
        text: names separated by commas, or a file with one per line.
    """
    if not text:
        return None
    from ..datasets.files import read_lines

    # Not Path.is_file, which fails for a text longer than a file name can be.
    content = read_lines(Path(text)) if os.path.isfile(text) else text.split(',')
    names = [name.strip() for name in content if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UsageMistake(f'--classes {text!r} gives {names}; every class must be named once')
    return names


def _pretrained(model: str | None, edits: dict[str, Any], template: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return a model to start from and the name of a model, of which one is None."""
    if model is None:
        return None, None
    _need(model, '--model')
    is_name = not any(
        (Path(model).exists(), Path(model.rpartition('@')[0] or model).exists(), '/' in model, '.' in model)
    )
    if not is_name:
        return model, edits.get('model_name')
    if 'model_name' in edits:
        raise UsageMistake(f'--model {model} and model_name={edits["model_name"]} say the same thing; give one')
    if 'model_name' not in template:
        raise UsageMistake(
            f'--model {model}: the template of this executor has no model_name; its keys are '
            f'{", ".join(template)}. A file or folder would be a model to start from'
        )
    return None, model


def _need(text: str, option: str) -> None:
    """Reject what an unset variable of a script leaves, which would be the current folder."""
    if not text.strip():
        raise UsageMistake(f'{option} is empty')


def _read(
    output: Output,
    data: Path,
    data_format: options.DataFormat | None,
    names: list[str] | None = None,
    masks: bool = False,
) -> Any:
    from ..datasets import read_dataset

    title = output.text('reading', path=data)
    if not output.console.is_terminal:
        output.say(title)
    with data_progress(output, title) as show:
        return read_dataset(data, data_format and data_format.value, names, show, masks)


def _training_data(
    output: Output, data: Path, val: Path | None, val_share: float | None, task: options.TaskOptions
) -> Any:
    from ..datasets import with_validation
    from ..platform.image_hash import asset_ids

    dataset = _read(output, data, task.data_format, class_names(task.classes), task.masks)
    if val:
        other = _read(output, val, None, list(dataset.class_names), task.masks)
        held_out = other.splits.get('val') or other.images()
        if dataset.splits.get('val'):
            output.warn(output.text('val not used', data=data, count=len(dataset.splits['val']), option=f'--val {val}'))
        train_images = tuple(
            image for name, part in dataset.splits.items() if name in ('train', 'all') for image in part
        )
        dataset = replace(
            dataset,
            splits={'train': train_images or dataset.images(), 'val': held_out},
            warnings=dataset.warnings + other.warnings,
            left_out=(*dataset.left_out, *(('val', *image[1:]) for image in other.left_out)),
        )
    else:
        if val_share is not None and dataset.splits.get('val'):
            output.warn(output.text('share not used', data=data, option=f'--val-share {val_share:g}'))
        dataset = with_validation(dataset, 0.1 if val_share is None else val_share)
    output.warn_of(dataset.warnings)
    if not dataset.class_names:
        raise UsageMistake(
            f'{data} has no labels, so there is nothing to train on; images alone can be inferred and mined'
        )
    if not dataset.num_boxes('train'):
        sentence = (
            f'none of the {len(dataset.splits["train"])} training images of {data} has a labelled box, so there is '
            'nothing to train on'
        )
        raise UsageMistake('\n  '.join((sentence, *dataset.losses)))
    if dataset.splits['val'] and not dataset.num_boxes('val'):
        output.warn(output.text('no box to validate on', count=len(dataset.splits['val'])))
    if val:
        train_names, val_names = (
            asset_ids([image.path for image in dataset.splits[part]]) for part in ('train', 'val')
        )
        common = len(set(train_names) & set(val_names))
        if common:
            output.warn(output.text('overlap', count=common))
    output.say(
        output.text(
            'data',
            train=len(dataset.splits['train']),
            val=len(dataset.splits['val']),
            classes=len(dataset.class_names),
            names=', '.join(dataset.class_names),
        )
    )
    return dataset
