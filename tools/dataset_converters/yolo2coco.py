"""Converts labels in the format of YOLO to COCO: python tools/dataset_converters/yolo2coco.py FOLDER."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ymir_local.datasets.to_coco import convert_yolo, reporting


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert labels in the format of YOLO to COCO')
    parser.add_argument(
        'image_dir',
        help='has images/, labels/ and classes.txt, perhaps with train/ and val/ in both or with train.txt, val.txt, '
        'test.txt; annotations/ is written here',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with reporting() as warn:
        for path, coco in convert_yolo(Path(args.image_dir), warn).items():
            print(f'{path}: {len(coco["images"])} images, {len(coco["annotations"])} annotations')


if __name__ == '__main__':
    main()
