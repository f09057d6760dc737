"""Draws which classes are taken for which: confusion_matrix.py CONFIG PREDICTIONS.pkl SAVE_DIR."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import matplotlib

from mmyolo.tools.analysis.annotations import build_without_pipelines
from mmyolo.tools.analysis.confusion_matrix import count, normalize, plot
from mmyolo.tools.analysis.plotting import save_figure, show_figures, windows_wanted
from mmyolo.tools.converters.checkpoints.reading import read_predictions
from mmyolo.tools.launch import add_cfg_options, read_config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw which classes of the test set are taken for which')
    parser.add_argument('config', help='the config file')
    parser.add_argument('prediction_path', help='the .pkl that tools/test.py --out wrote')
    parser.add_argument('save_dir', help='where confusion_matrix.png goes')
    parser.add_argument('--show', action='store_true', help='show it in a window too')
    parser.add_argument('--color-theme', default='plasma', help='a colour map of matplotlib')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score that counts')
    parser.add_argument('--tp-iou-thr', type=float, default=0.5, help='lowest IoU of a detection with its object')
    parser.add_argument(
        '--nms-iou-thr', type=float, help='drop detections that overlap a better one of their class more than this'
    )
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if args.color_theme not in matplotlib.colormaps:
        parser.error(f'--color-theme {args.color_theme} is not a colour map of matplotlib, such as plasma or viridis')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    dataset = build_without_pipelines(cfg.test_dataloader.dataset)
    matrix = count(dataset, read_predictions(args.prediction_path), args.score_thr, args.tp_iou_thr, args.nms_iou_thr)
    show = windows_wanted(args.show)
    figure = plot(normalize(matrix), dataset.metainfo['classes'], args.color_theme, show)
    path = Path(args.save_dir) / 'confusion_matrix.png'
    save_figure(figure, path, trim=True)
    print(f'Wrote {path}')
    if show:
        show_figures()


if __name__ == '__main__':
    main()
