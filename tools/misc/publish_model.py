"""Makes a checkpoint ready for others: python tools/misc/publish_model.py IN_FILE OUT_FILE."""

import argparse
from collections.abc import Sequence

from mmyolo.tools.converters.publish import publish


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Leave out of a checkpoint what only a resumed training needs, and name it by its hash'
    )
    parser.add_argument('in_file', help='the checkpoint')
    parser.add_argument('out_file', help='the new one; -<8 digits of its SHA-256>.pth is added')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    print(f'Wrote {publish(args.in_file, args.out_file)}')


if __name__ == '__main__':
    main()
