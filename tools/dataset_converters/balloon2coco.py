"""Converts the balloon data set to COCO: python tools/dataset_converters/balloon2coco.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ymir_local.datasets.to_coco import convert_balloon, reporting


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert data/balloon/{train,val}/via_region_data.json to data/balloon/{train,val}.json'
    )
    parser.add_argument('--data-root', default='data/balloon', help='the data set, if it is elsewhere')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with reporting() as warn:
        for path, coco in convert_balloon(Path(args.data_root), warn).items():
            print(f'{path}: {len(coco["images"])} images, {len(coco["annotations"])} annotations')


if __name__ == '__main__':
    main()
