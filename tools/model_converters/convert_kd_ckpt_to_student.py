"""Takes the student out of a distillation: python tools/model_converters/convert_kd_ckpt_to_student.py CHECKPOINT."""

import argparse
import sys
from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.student import extract_student


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Take the student out of a checkpoint of a distillation')
    parser.add_argument('checkpoint', help='the checkpoint')
    parser.add_argument('--out-path', help='folder of the new file; that of the checkpoint by default')
    parser.add_argument('--inplace', action='store_true', help='write into the checkpoint itself')
    args = parser.parse_args(argv)
    try:
        print(extract_student(args.checkpoint, args.out_path, args.inplace))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
