"""Finds anchors for a data set: python tools/analysis_tools/optimize_anchors.py CONFIG --algorithm v5-k-means."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mmyolo.tools.analysis.anchors import (
    ALGORITHMS,
    best_possible_recall,
    collect_sizes,
    mean_best_iou,
    optimize,
    per_level,
    random_scales,
)
from mmyolo.tools.analysis.annotations import build_without_pipelines
from mmyolo.tools.launch import add_cfg_options, read_config
from mmyolo.utils.device import choose_device
from mmyolo.utils.files import write_json

GENERATOR = 'YOLOAnchorGenerator'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Find anchors that fit the training set of a config')
    parser.add_argument('config', help='the config file; it must have anchors')
    parser.add_argument('--input-shape', type=int, nargs='+', default=[640, 640], help='width and height of the input')
    parser.add_argument('--algorithm', choices=ALGORITHMS, default='DE', help='how they are found')
    parser.add_argument('--iters', type=int, default=1000, help='rounds of the algorithm')
    parser.add_argument(
        '--prior-match-thr', type=float, default=4.0, help='an anchor matches a box if no side is so many times longer'
    )
    parser.add_argument(
        '--mutation-args', type=float, nargs=2, default=[0.9, 0.1], help='v5-k-means: probability, sigma of mutations'
    )
    parser.add_argument(
        '--augment-args',
        type=float,
        nargs=2,
        default=[0.9, 1.1],
        help='boxes are scaled by a factor between these before their recall is measured',
    )
    parser.add_argument('--device', default='cuda:0', help='where to compute; the CPU if it is not there')
    parser.add_argument('--out-dir', help='write anchor_optimize_result.json here')
    parser.add_argument('--seed', type=int, help='makes the result repeatable')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if len(args.input_shape) > 2 or min(args.input_shape) <= 0:
        parser.error(f'--input-shape {args.input_shape}: one side of a square, or width and height')
    if args.iters < 1:
        parser.error(f'--iters {args.iters}: at least 1')
    if args.prior_match_thr <= 1:
        parser.error(f'--prior-match-thr {args.prior_match_thr}: more than 1')
    args.input_shape = tuple(args.input_shape * (2 // len(args.input_shape)))
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    generator = cfg.model.get('bbox_head', {}).get('prior_generator', {})
    if not str(generator.get('type', '')).endswith(GENERATOR):
        raise SystemExit(
            f'{args.config} has no anchors to optimize: model.bbox_head.prior_generator is '
            f'{generator.get("type")!r}, not mmdet.{GENERATOR}'
        )
    dataset = build_without_pipelines(cfg.train_dataloader.dataset)
    device = torch.device(choose_device(args.device))
    sizes = torch.as_tensor(collect_sizes(dataset, args.input_shape), dtype=torch.float32, device=device)
    former = [list(map(list, level)) for level in generator.base_sizes]
    counts = [len(level) for level in former]
    found = per_level(
        optimize(
            args.algorithm,
            sizes,
            sum(counts),
            args.input_shape,
            args.iters,
            args.prior_match_thr,
            args.mutation_args,
            args.seed,
        ),
        counts,
    )

    augmented = random_scales(sizes, args.augment_args, np.random.default_rng(args.seed))
    table = Table(title=f'Anchors for {len(sizes)} boxes in {args.input_shape[0]} x {args.input_shape[1]} pixels')
    table.caption = (
        'best IoU: of each box with the anchor that fits best, averaged; recall: share of boxes that some '
        'anchor matches'
    )
    for name in ('', 'anchors of each level', 'best IoU', 'recall'):
        table.add_column(name)
    for name, levels in ('config', former), (args.algorithm, found):
        anchors = torch.tensor([anchor for level in levels for anchor in level], dtype=sizes.dtype, device=device)
        lines = ['  '.join(f'{width}x{height}' for width, height in level) for level in levels]
        table.add_row(
            name,
            '\n'.join(lines),
            f'{mean_best_iou(sizes, anchors):.4f}',
            f'{best_possible_recall(augmented, anchors, args.prior_match_thr):.4f}',
        )
    Console().print(table)
    if args.out_dir is not None:
        path = Path(args.out_dir) / 'anchor_optimize_result.json'
        write_json(path, found)
        print(f'Wrote {path}')


if __name__ == '__main__':
    main()
