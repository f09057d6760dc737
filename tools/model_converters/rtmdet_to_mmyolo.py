"""Converts RTMDet weights of mmdet: python tools/model_converters/rtmdet_to_mmyolo.py rtmdet.pth mmrtmdet.pth."""
from typing import Optional, Sequence

from mmyolo.converters.checkpoints.mmdet_rtmdet import translate_rtmdet
from mmyolo.converters.checkpoints.command_line import make_parser, run


def main(argv: Optional[Sequence[str]] = None) -> None:
    run(make_parser('Convert RTMDet weights of mmdet').parse_args(argv), translate_rtmdet)


if __name__ == '__main__':
    main()
