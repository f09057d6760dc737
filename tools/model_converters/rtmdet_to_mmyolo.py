"""Converts RTMDet weights of mmdet: python tools/model_converters/rtmdet_to_mmyolo.py rtmdet.pth mmrtmdet.pth."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.mmdet_rtmdet import translate_rtmdet


def main(argv: Sequence[str] | None = None) -> None:
    run(make_parser('Convert RTMDet weights of mmdet').parse_args(argv), translate_rtmdet)


if __name__ == '__main__':
    main()
