"""`ymir convert`: a data set in another format."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from . import options
from .data_progress import data_progress
from .output import UsageMistake


class WrittenFormat(str, Enum):
    """Formats that can be written."""

    coco = 'coco'
    voc = 'voc'
    yolo = 'yolo'
    ymir = 'ymir'


@options.spread
def convert(
    data: options.Data,
    folder: Annotated[Path, typer.Argument(metavar='DIR', help='New folder.')],
    to: Annotated[WrittenFormat, typer.Option('--to', help='Format to write.')],
    shown: options.ProgressOptions,
    data_format: Annotated[
        options.DataFormat | None,
        typer.Option('--from', '--format', help='Format of DATA; default: what is found in it.'),
    ] = None,
    classes: options.Classes = None,
    val: Annotated[
        float,
        typer.Option(
            '--val',
            metavar='SHARE',
            min=0,
            max=0.9,
            help='Share of the images that become validation where the data set has none.',
        ),
    ] = 0,
    link: Annotated[bool, typer.Option('--link/--copy', help='Link to the images instead of copying them.')] = False,
) -> None:
    """Convert a data set between COCO, VOC, YOLO and YMIR; labelme and VIA are read, too.

    Whatever cannot be taken over is named with its file and place; the boxes are those that the platform would have.

    Example: ymir convert voc/ yolo/ --to yolo
    """
    with shown.reporting() as output:
        from ..datasets import check_has_boxes, check_unused, read_dataset, with_validation, write_dataset
        from .task_commands import class_names

        check_unused(folder)  # before minutes of reading
        if data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
            raise UsageMistake(output.text('within data', folder=folder, data=data))
        with data_progress(output, output.text('reading', path=data)) as show:
            dataset = read_dataset(data, data_format.value if data_format else None, class_names(classes), show)
            check_has_boxes(dataset, f'no box was read from {data}, so nothing was converted')
            if val and dataset.splits.get('val'):
                output.warn(output.text('share not used', data=data, option=f'--val {val:g}'))
            if val:
                dataset = with_validation(dataset, val, show)
        with data_progress(output, output.text('writing', path=folder)) as show:
            warnings = [*dataset.warnings, *write_dataset(dataset, folder, to.value, link, show)]
        for sentence in () if shown.quiet else warnings:
            output.warn(sentence)
        count = len(dataset.images())
        output.end(output.text('converted', count=count, folder=folder, format=to.value))
        output.finish(
            {
                'ok': True,
                'folder': str(folder),
                'format': to.value,
                'images': count,
                'boxes': dataset.num_boxes(),
                'class_names': list(dataset.class_names),
                'splits': {name: len(images) for name, images in dataset.splits.items()},
                'warnings': warnings,
            }
        )
