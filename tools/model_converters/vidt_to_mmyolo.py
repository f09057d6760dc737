"""Converts ViDT weights: python tools/model_converters/vidt_to_mmyolo.py --src vidt_nano_50.pth --dst vidt.pth."""

from collections.abc import Mapping, Sequence
from typing import Any

import mmyolo.datasets  # noqa: F401  imports mmdet's data sets without a word, and mmyolo stands in for mmcv._ext

# isort: split
from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.reading import read_torch
from vidt.checkpoint import from_public
from vidt.coco import CLASS_NAMES, is_coco, select_coco_classes

COMPUTED = r'.*\.relative_position_index$'  # of windows; public files hold it


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser('Convert ViDT weights', 'vidt_nano_50.pth', 'vidt.pth').parse_args(argv)
    content = _read(args.src)

    def translate(state: dict[str, Any]) -> dict[str, Any]:
        return select_coco_classes(from_public(state)) if is_coco(content, state) else from_public(state)

    run(
        args,
        translate,
        name_classes=lambda state: CLASS_NAMES if is_coco(content, state) else None,
        may_lack=(COMPUTED,),
    )


def _read(src: str) -> Mapping[str, Any]:
    """Return what a file holds beside its weights; nothing where it cannot be read, which the conversion says."""
    try:
        content = read_torch(src)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}


if __name__ == '__main__':
    main()
