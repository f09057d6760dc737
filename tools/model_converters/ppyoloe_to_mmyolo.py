"""Converts PPYOLOE weights: python tools/model_converters/ppyoloe_to_mmyolo.py --src FILE.pdparams --dst FILE.pth."""

from collections.abc import Sequence

from mmyolo.tools.converters.checkpoints.command_line import make_parser, run
from mmyolo.tools.converters.checkpoints.ppyoloe import translate_ppyoloe, translate_ppyoloe_backbone
from mmyolo.tools.converters.checkpoints.reading import read_pdparams


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('Convert PPYOLOE weights', 'ppyoloe_plus_crn_s_80e_coco.pdparams', 'mmppyoloe_plus_s.pt')
    parser.add_argument(
        '--imagenet-pretrain', action='store_true', help='the file is of a classifier; take its backbone'
    )
    args = parser.parse_args(argv)
    backbone = args.imagenet_pretrain
    run(
        args,
        translate_ppyoloe_backbone if backbone else translate_ppyoloe,
        read_pdparams,
        may_lack=(r'^(neck|bbox_head)\.',) if backbone else (),
    )


if __name__ == '__main__':
    main()
