"""Splits a COCO file: python tools/misc/coco_split.py --json FILE --out-dir FOLDER --ratios 0.8 0.1 0.1 --shuffle."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmyolo.tools.converters.datasets.coco_split import split_coco
from mmyolo.utils.coco_file import read_coco
from mmyolo.utils.files import write_json


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Split the images of a COCO file')
    parser.add_argument('--json', required=True, help='the COCO file')
    parser.add_argument('--out-dir', required=True, help='where the parts are written')
    parser.add_argument(
        '--ratios',
        nargs='+',
        type=float,
        required=True,
        help='two numbers write trainval.json and test.json, three train.json, val.json and test.json',
    )
    parser.add_argument('--shuffle', action='store_true', help='draw images by chance instead of in their order')
    parser.add_argument('--seed', type=int, default=-1, help='of --shuffle; -1: another draw every time')
    args = parser.parse_args(argv)
    if len(args.ratios) not in (2, 3) or min(args.ratios) <= 0:
        parser.error(f'--ratios {args.ratios}: two or three positive numbers are needed')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        parts = split_coco(
            read_coco(args.json, defaults=False), args.ratios, args.shuffle, None if args.seed == -1 else args.seed
        )
    except ValueError as error:
        raise ValueError(f'{args.json} cannot be split: {error}') from error
    for name, part in parts.items():
        path = Path(args.out_dir) / f'{name}.json'
        write_json(path, part)
        print(f'{path}: {len(part["images"])} images, {len(part["annotations"])} annotations')


if __name__ == '__main__':
    main()
