"""Converts YOLOv5u weights: python tools/model_converters/yolov5u_to_mmyolo.py --src yolov5su.pt --dst mmyolov5u.pt."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.ultralytics import translate_yolov5u


def main(argv: Sequence[str] | None = None) -> None:
    run(make_parser('Convert YOLOv5u weights', 'yolov5su.pt', 'mmyolov5u.pt').parse_args(argv), translate_yolov5u)


if __name__ == '__main__':
    main()
