"""Converts YOLOX weights: python tools/model_converters/yolox_to_mmyolo.py --src yolox_s.pth --dst mmyolox.pt."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.yolox import translate_yolox


def main(argv: Sequence[str] | None = None) -> None:
    run(make_parser('Convert YOLOX weights', 'yolox_s.pth', 'mmyolox.pt').parse_args(argv), translate_yolox)


if __name__ == '__main__':
    main()
