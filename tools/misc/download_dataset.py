"""Downloads a public data set: python tools/misc/download_dataset.py --dataset-name cat --save-dir data/cat --unzip."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmyolo.tools.converters.datasets.download import ARCHIVES, DownloadError, download_all


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Download a data set')
    parser.add_argument('--dataset-name', default='coco2017', choices=list(ARCHIVES), help='which one')
    parser.add_argument('--save-dir', default='data/coco', help='where it goes')
    parser.add_argument('--unzip', action='store_true', help='extract the archives')
    parser.add_argument('--delete', action='store_true', help='remove each archive once it is extracted')
    parser.add_argument('--threads', type=int, default=4, help='downloads at a time')
    args = parser.parse_args(argv)
    if args.delete and not args.unzip:
        parser.error('--delete removes archives that were extracted, so it needs --unzip')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        download_all(ARCHIVES[args.dataset_name], Path(args.save_dir), args.unzip, args.delete, args.threads)
    except DownloadError as error:
        sys.exit(str(error))
    print(f'{args.dataset_name} is in {args.save_dir}')


if __name__ == '__main__':
    main()
