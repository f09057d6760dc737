"""Draws what training sees: python tools/analysis_tools/browse_dataset.py CONFIG -m pipeline -n 10 --not-show."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset

from mmyolo.registry import DATASETS
from mmyolo.tools.analysis.pictures import Gallery, Painter, Steps, grid
from mmyolo.tools.analysis.plotting import windows_wanted
from mmyolo.tools.launch import add_cfg_options, read_config
from mmyolo.utils.terminal import progress


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw the images and objects of a data set through its pipeline')
    parser.add_argument('config', help='the config file')
    parser.add_argument('-p', '--phase', choices=('train', 'test', 'val'), default='train', help='which data set')
    parser.add_argument(
        '-m',
        '--mode',
        choices=('original', 'transformed', 'pipeline'),
        default='transformed',
        help='images as they are read, at the end of the pipeline, or after each of its steps side by side',
    )
    parser.add_argument('--out-dir', default='output', help='where the pictures go')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('-n', '--show-number', type=int, help='how many images; all by default')
    parser.add_argument('-i', '--show-interval', type=float, default=3, help='seconds that a window stays')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if args.show_number is not None and args.show_number < 1:
        parser.error(f'--show-number {args.show_number}: at least 1')
    return args


def read_objects_early(node: Any) -> None:
    """Move LoadAnnotations behind the first transform, so that the others move its boxes with the image.

    Args:
        node: The config of a data set, with wrappers; changed in place.
    """
    if not isinstance(node, dict):
        return
    for inner in [node.get('dataset'), *(node.get('datasets') or ())]:
        read_objects_early(inner)
    pipeline = node.get('pipeline')
    if pipeline:
        loading = [transform for transform in pipeline if transform['type'].split('.')[-1] == 'LoadAnnotations']
        others = [transform for transform in pipeline if transform not in loading]
        node['pipeline'] = [*others[:1], *loading, *others[1:]]


def record_steps(dataset: BaseDataset) -> list[Steps]:
    """Put a recorder in the place of the pipeline of a data set, or of those within a wrapper."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    found = [steps for entry in inner if entry is not None for steps in record_steps(entry)]
    if not found:
        dataset.pipeline = Steps(dataset.pipeline.transforms)
        found = [dataset.pipeline]
    return found


def recorded(dataset: BaseDataset, count: int) -> Iterator[tuple[str, list]]:
    """Give the name of each image and its steps."""
    recorders = record_steps(dataset)
    for index in progress(range(count), 'Drawing'):
        for recorder in recorders:
            recorder.recorded = []
        dataset[index]
        steps = next(recorder.recorded for recorder in recorders if recorder.recorded)
        name = Path(dataset.get_data_info(index).get('img_path') or f'{index:06d}.jpg').name
        yield name, steps


def picture_of(painter: Painter, steps: list, mode: str) -> np.ndarray:
    """Draw the steps of one image.

    Args:
        painter: Draws.
        steps: (name of the transform, image, instances) each.
        mode: 'original': the first step that knows the objects; 'transformed': the last; 'pipeline': all.
    """
    if mode == 'pipeline':
        drawn = [painter.draw(image, instances) for _, image, instances in steps]
        return grid(drawn, [f'{number}. {name}' for number, (name, _, _) in enumerate(steps, 1)])
    with_objects = [step for step in steps if 'bboxes' in step[2]]
    _, image, instances = steps[-1] if mode == 'transformed' else (with_objects or steps)[0]
    return painter.draw(image, instances)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    dataset_cfg: ConfigDict = cfg[f'{args.phase}_dataloader'].dataset
    if args.phase != 'train':
        read_objects_early(dataset_cfg)
    dataset = DATASETS.build(dataset_cfg)
    painter = Painter(dataset.metainfo, cfg.get('visualizer'))
    gallery = Gallery(painter, args.out_dir, windows_wanted(not args.not_show), args.show_interval)
    count = min(args.show_number or len(dataset), len(dataset))
    for name, steps in recorded(dataset, count):
        gallery.add(name, picture_of(painter, steps, args.mode))
    print(f'Wrote {count} pictures to {args.out_dir}')


if __name__ == '__main__':
    main()
