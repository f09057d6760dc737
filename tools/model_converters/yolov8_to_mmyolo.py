"""Converts YOLOv8 weights: python tools/model_converters/yolov8_to_mmyolo.py --src yolov8s.pt --dst mmyolov8s.pt."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.ultralytics import translate_yolov8


def main(argv: Sequence[str] | None = None) -> None:
    run(make_parser('Convert YOLOv8 weights', 'yolov8s.pt', 'mmyolov8s.pt').parse_args(argv), translate_yolov8)


if __name__ == '__main__':
    main()
