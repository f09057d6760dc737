"""Counts and draws what is in a data set: python tools/analysis_tools/dataset_analysis.py CONFIG [--val-dataset]."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from rich.console import Console
from rich.table import Table

from mmyolo.tools.analysis.annotations import build_without_pipelines
from mmyolo.tools.analysis.dataset_plots import plot_areas, plot_numbers, plot_ratios, plot_sizes
from mmyolo.tools.analysis.dataset_statistics import DatasetStatistics, area_sides, collect
from mmyolo.tools.analysis.plotting import save_figure
from mmyolo.tools.launch import add_cfg_options, read_config
from mmyolo.utils.misc import show_data_classes

FUNCTIONS = ('show_bbox_num', 'show_bbox_wh', 'show_bbox_wh_ratio', 'show_bbox_area')
ROWS = 25  # of a column of the table


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Count and draw what is in a data set')
    parser.add_argument('config', help='the config file')
    parser.add_argument('--val-dataset', action='store_true', help='the validation set instead of the training set')
    parser.add_argument('--class-name', help='only this class')
    parser.add_argument(
        '--area-rule', nargs='+', type=int, help='up to three sides in pixels whose squares part the areas; 32 96'
    )
    parser.add_argument('--func', choices=FUNCTIONS, help='only this picture; all four by default')
    parser.add_argument('--out-dir', default='./dataset_analysis', help='where the pictures go')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    try:
        args.sides = area_sides(args.area_rule)
    except ValueError as error:
        parser.error(str(error))
    return args


def print_tables(statistics: DatasetStatistics, title: str) -> None:
    """Print how many images and objects there are, and how many of each class."""
    console = Console()
    table = Table(title=title)
    table.add_column('images')
    table.add_column('objects')
    table.add_column('objects per image')
    per_image = len(statistics.labels) / max(statistics.num_images, 1)
    table.add_row(str(statistics.num_images), str(len(statistics.labels)), f'{per_image:.2f}')
    console.print(table)
    rows = list(zip(statistics.classes, map(str, statistics.counts())))
    table = Table(title='Objects per class')
    columns = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    for _ in columns:
        table.add_column('class')
        table.add_column('objects', justify='right')
    for row in range(min(len(rows), ROWS)):
        table.add_row(*(cell for column in columns for cell in (column[row] if row < len(column) else ('', ''))))
    console.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    loader = cfg.val_dataloader if args.val_dataset else cfg.train_dataloader
    statistics = collect(build_without_pipelines(loader.dataset))
    name = cfg.get('dataset_type') or loader.dataset.type
    if args.class_name is not None:
        statistics, name = statistics.of_class(args.class_name), args.class_name
    show_data_classes(statistics.classes)
    print_tables(statistics, f'{args.config}, {"validation" if args.val_dataset else "training"} set')
    pictures = {
        'show_bbox_num': ('bbox_num', lambda: plot_numbers(statistics)),
        'show_bbox_wh': ('bbox_wh', lambda: plot_sizes(statistics)),
        'show_bbox_wh_ratio': ('bbox_ratio', lambda: plot_ratios(statistics)),
        'show_bbox_area': ('bbox_area', lambda: plot_areas(statistics, args.sides)),
    }
    for function in FUNCTIONS if args.func is None else (args.func,):
        suffix, draw = pictures[function]
        path = Path(args.out_dir) / f'{name.replace("/", "_")}_{suffix}.jpg'
        save_figure(draw(), path)
        print(f'Wrote {path}')


if __name__ == '__main__':
    main()
