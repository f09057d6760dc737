"""Converts YOLOv7 weights: python tools/model_converters/yolov7_to_mmyolo.py yolov7-tiny.pt mmyolov7_tiny.pt.

The name of the file decides the model. What lacks in the result are the auxiliary heads, which only training needs.
"""

import sys
from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.yolov7 import translator


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser('Convert YOLOv7 weights').parse_args(argv)
    try:
        translate = translator(args.src)
    except ValueError as error:
        sys.exit(str(error))
    run(args, translate, may_lack=(r'\.aux_convs_pred\.',))


if __name__ == '__main__':
    main()
