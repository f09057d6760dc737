"""Counts parameters and multiply-adds: python tools/analysis_tools/get_flops.py CONFIG [--shape 640 640]."""

import argparse
from collections.abc import Sequence

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split

from mmyolo.tools.analysis.complexity import complexity, deployed_model
from mmyolo.tools.launch import add_cfg_options, read_config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Count parameters and multiply-adds of the deployed detector')
    parser.add_argument('config', help='the config file')
    parser.add_argument('--shape', type=int, nargs='+', default=[640, 640], help='height and width, or one side')
    parser.add_argument('--show-arch', action='store_true', help='print the layers too')
    parser.add_argument('--not-show-table', action='store_true', help='leave out the table')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if len(args.shape) > 2 or min(args.shape) <= 0:
        parser.error(f'--shape {args.shape}: one side of a square, or height and width')
    args.shape = tuple(args.shape * (2 // len(args.shape)))
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    result = complexity(deployed_model(read_config(args.config, args)), args.shape, args.show_arch)
    if args.show_arch:
        print(result['out_arch'])
    if not args.not_show_table:
        print(result['out_table'])
    line = '=' * 30
    print(
        f'{line}\nInput shape: {args.shape}\nFlops: {result["flops_str"]}\nParams: {result["params_str"]}\n{line}\n'
        'A flop is a multiplication with its addition. Counted are the operators that have weights or move as much '
        'data; check the number before you publish it.'
    )


if __name__ == '__main__':
    main()
