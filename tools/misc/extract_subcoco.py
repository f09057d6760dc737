"""Takes a small data set out of COCO 2017: python tools/misc/extract_subcoco.py ROOT OUT_DIR --num-img 50."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmyolo.tools.converters.datasets.coco_extract import AREAS, extract


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Take a small data set out of COCO 2017. Training and validation images both come from val2017, '
        'drawn independently, unless --use-training-set is given'
    )
    parser.add_argument('root', help='the data set: annotations/, train2017/, val2017/')
    parser.add_argument('out_dir', help='gets the same layout')
    parser.add_argument('--num-img', type=int, default=50, help='images of each part; -1: all')
    parser.add_argument('--area-size', choices=list(AREAS), help='only objects of this size')
    parser.add_argument('--classes', nargs='+', help='only objects of these classes')
    parser.add_argument('--use-training-set', action='store_true', help='take training images from train2017')
    parser.add_argument('--seed', type=int, default=-1, help='of the draw; -1: another every time')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    parts = extract(
        Path(args.root),
        Path(args.out_dir),
        args.num_img,
        args.use_training_set,
        None if args.seed == -1 else args.seed,
        area_size=args.area_size,
        classes=args.classes,
    )
    for name, part in parts.items():
        print(f'{name}: {len(part["images"])} images, {len(part["annotations"])} annotations')


if __name__ == '__main__':
    main()
