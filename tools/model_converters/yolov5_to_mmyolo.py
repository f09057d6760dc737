"""Converts YOLOv5 weights: python tools/model_converters/yolov5_to_mmyolo.py --src yolov5s.pt --dst mmyolov5s.pt."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.ultralytics import translate_yolov5


def main(argv: Sequence[str] | None = None) -> None:
    run(make_parser('Convert YOLOv5 weights', 'yolov5s.pt', 'mmyolov5s.pt').parse_args(argv), translate_yolov5)


if __name__ == '__main__':
    main()
