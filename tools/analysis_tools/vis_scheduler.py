"""Draws the learning rate of a training: vis_scheduler.py CONFIG --dataset-size 118287 --ngpus 8 --out-dir FOLDER."""

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import matplotlib.style
from mmengine.logging import MMLogger

from mmyolo.tools.analysis.plotting import new_figure, save_figure, show_figures, windows_wanted
from mmyolo.tools.analysis.schedules import PARAMETERS, simulate
from mmyolo.tools.launch import add_cfg_options, read_config

SEABORN = 'seaborn-v0_8-'  # where matplotlib keeps styles such as whitegrid


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw the learning rate, momentum or weight decay of a training')
    parser.add_argument('config', help='the config file')
    parser.add_argument('-p', '--parameter', choices=list(PARAMETERS), default='lr', help='what to draw')
    parser.add_argument('-d', '--dataset-size', type=int, help='images of the training set; counted without it')
    parser.add_argument('-n', '--ngpus', type=int, default=1, help='processes of the training')
    parser.add_argument('-o', '--out-dir', help='write <name of the config>-<parameter>.jpg here')
    parser.add_argument('--log-level', default='WARNING', help='of the log')
    parser.add_argument('--title', help='above the picture; the name of the config by default')
    parser.add_argument('--style', default='whitegrid', help='a style of matplotlib or seaborn')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('--window-size', default='12*7', help='width*height in inches')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    size = re.fullmatch(r'(\d+(?:\.\d+)?)\*(\d+(?:\.\d+)?)', args.window_size)
    if not size:
        parser.error(f'--window-size {args.window_size}: must be width*height in inches, such as 12*7')
    args.size = tuple(map(float, size.groups()))
    if SEABORN + args.style in matplotlib.style.available:
        args.style = SEABORN + args.style
    elif args.style not in matplotlib.style.available and args.style != 'default':
        parser.error(f'--style {args.style} is unknown; such as whitegrid, darkgrid, ticks, default, ggplot')
    for option in 'dataset_size', 'ngpus':
        if getattr(args, option) is not None and getattr(args, option) < 1:
            parser.error(f'--{option.replace("_", "-")} must be at least 1')
    args.show = windows_wanted(not args.not_show)
    if not args.show and args.out_dir is None:
        parser.error('nothing to do: no window is shown, and there is no --out-dir')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    MMLogger.get_instance('vis_scheduler', log_level=args.log_level)
    logging.getLogger('mmengine').setLevel(args.log_level)
    record = simulate(cfg, args.parameter, args.dataset_size, args.ngpus)
    values, length = record['values'], record['epoch_length']
    with matplotlib.style.context(args.style):
        figure = new_figure(*args.size, args.show)
        axis = figure.add_subplot()
        axis.plot([index / (length or 1) for index in range(len(values))], values, linewidth=1.5)
        axis.set_xlabel(f'epoch ({length} iterations each)' if length else 'iteration')
        axis.set_ylabel(PARAMETERS[args.parameter])
        axis.set_title(args.title or Path(args.config).name)
        axis.margins(x=0.01)
        if args.out_dir is not None:
            path = Path(args.out_dir) / f'{Path(args.config).stem}-{args.parameter}.jpg'
            save_figure(figure, path)
            print(f'Wrote {path}')
        if args.show:
            show_figures()


if __name__ == '__main__':
    main()
