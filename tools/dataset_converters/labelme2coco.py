"""Converts rectangles of labelme to COCO: labelme2coco.py --img-dir IMAGES --labels-dir LABELS --out FILE.json."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ymir_local.datasets.to_coco import convert_labelme, reporting


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert the rectangles of labelme to COCO')
    parser.add_argument('--img-dir', required=True, help='the images')
    parser.add_argument('--labels-dir', required=True, help='<name of the image>.json for each')
    parser.add_argument('--out', required=True, help='the COCO file, .json')
    parser.add_argument(
        '--class-id-txt', help='lines `id name`; without it, classes are numbered and class_with_id.txt is written'
    )
    args = parser.parse_args(argv)
    if not args.out.endswith('.json'):
        parser.error(f'--out {args.out}: the name must end in .json')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    txt = None if args.class_id_txt is None else Path(args.class_id_txt)
    with reporting() as warn:
        coco = convert_labelme(Path(args.img_dir), Path(args.labels_dir), Path(args.out), txt, warn)
        print(
            f'{args.out}: {len(coco["images"])} images, {len(coco["annotations"])} annotations, '
            f'{len(coco["categories"])} classes'
        )


if __name__ == '__main__':
    main()
