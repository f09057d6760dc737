"""Converts YOLOv6 v3 weights: python tools/model_converters/yolov6_v3_to_mmyolo.py --src yolov6s.pt --dst mm.pt."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.yolov6 import translate_yolov6_v3


def main(argv: Sequence[str] | None = None) -> None:
    run(make_parser('Convert YOLOv6 v3 weights', 'yolov6s.pt', 'mmyolov6.pt').parse_args(argv), translate_yolov6_v3)


if __name__ == '__main__':
    main()
