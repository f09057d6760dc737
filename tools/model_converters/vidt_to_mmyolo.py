"""Converts ViDT weights: python tools/model_converters/vidt_to_mmyolo.py --src vidt_nano_50.pth --dst vidt.pth."""

from collections.abc import Sequence

import mmyolo.datasets  # noqa: F401  imports mmdet's data sets without a word, and mmyolo stands in for mmcv._ext

# isort: split
from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from vidt.checkpoint import from_public
from vidt.coco import CLASS_NAMES, has_coco_outputs, select_coco_classes

COMPUTED = r'.*\.relative_position_index$'  # of windows; public files hold it


def main(argv: Sequence[str] | None = None) -> None:
    run(
        make_parser('Convert ViDT weights', 'vidt_nano_50.pth', 'vidt.pth').parse_args(argv),
        lambda state: select_coco_classes(from_public(state)),
        name_classes=lambda state: CLASS_NAMES if has_coco_outputs(state) else None,
        may_lack=(COMPUTED,),
    )


if __name__ == '__main__':
    main()
