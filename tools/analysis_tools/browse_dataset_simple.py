"""Draws what the training loader gives: browse_dataset_simple.py CONFIG --output-dir FOLDER --not-show."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import numpy as np

from mmyolo.registry import DATASETS
from mmyolo.tools.analysis.pictures import Gallery, Painter
from mmyolo.tools.analysis.plotting import windows_wanted
from mmyolo.tools.launch import add_cfg_options, read_config
from mmyolo.utils.terminal import progress


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw every image of the training set at the end of its pipeline')
    parser.add_argument('config', help='the config file')
    parser.add_argument('--output-dir', help='where the pictures go; none are written without it')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('--show-interval', type=float, default=0, help='seconds that a window stays; 0: until a key')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    args.show = windows_wanted(not args.not_show)
    if not args.show and args.output_dir is None:
        parser.error('nothing to do: no window is shown, and there is no --output-dir')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    painter = Painter(dataset.metainfo, cfg.get('visualizer'))
    gallery = Gallery(painter, args.output_dir, args.show, args.show_interval)
    for index in progress(range(len(dataset)), 'Drawing'):
        packed = dataset[index]
        image, sample = packed['inputs'].permute(1, 2, 0).numpy(), packed['data_samples']
        name = Path(sample.get('img_path') or f'{index:06d}.jpg').name
        rgb = np.ascontiguousarray(image[..., ::-1]).clip(0, 255).astype(np.uint8)
        gallery.add(name, painter.draw(rgb, sample.gt_instances))
    if args.output_dir is not None:
        print(f'Wrote {len(dataset)} pictures to {args.output_dir}')


if __name__ == '__main__':
    main()
