"""A config that changes another one says only what it changes."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / 'configs'

# What starts a family or a task explains each of its numbers; the rest builds on these.
STARTS = """_base_/det_p5_tta _base_/default_runtime _base_/pose/coco _base_/rtmdet_distiller _base_/small_data
    ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco
    vidt/vidt_nano_8xb2-50e_coco
    rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco
    rtmdet/rtmdet_l_syncbn_fast_8xb32-300e_coco rtmdet/rtmdet_s_syncbn_fast_8xb32-300e_coco
    rtmdet/cspnext_imagenet_pretrain/cspnext-s_8xb256-rsb-a1-600e_in1k
    rtmdet/rotated/rtmdet-r_l_syncbn_fast_2xb4-36e_dota rtmdet/rotated/rtmdet-r_l_syncbn_fast_2xb4-aug-100e_dota
    yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco yolov5/yolov5_s-p6-v62_syncbn_fast_8xb16-300e_coco
    yolov5/crowdhuman/yolov5_s-v61_fast_8xb16-300e_crowdhuman yolov5/voc/yolov5_s-v61_fast_1xb64-50e_voc
    yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance
    yolov5/yolov5u/yolov5u_s_syncbn_fast_8xb16-300e_coco
    yolov6/yolov6_s_syncbn_fast_8xb32-400e_coco
    yolov7/yolov7_l_syncbn_fast_8x16b-300e_coco yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco
    yolov7/yolov7_w-p6_syncbn_fast_8x16b-300e_coco
    yolov8/yolov8_s_syncbn_fast_8xb16-500e_coco
    yolox/yolox_s_fast_8xb8-300e_coco yolox/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco yolox/yolox_p5_tta
    yolox/pose/yolox-pose_s_8xb32-300e-rtmdet-hyp_coco""".split()
VARIANTS = sorted({path.relative_to(ROOT).with_suffix('').as_posix() for path in ROOT.rglob('*.py')} - set(STARTS))


def test_starts_exist():
    assert [name for name in STARTS if not (ROOT / f'{name}.py').is_file()] == []


@pytest.mark.parametrize('name', VARIANTS)
def test_lines(name):
    """At most 10 for sizes n and x and all ViDT, which change widths alone; at most 30 for the others."""
    lines = (ROOT / f'{name}.py').read_text().count('\n')
    parts = name.rpartition('/')[2].replace('-', '_').split('_')
    assert lines <= (10 if {'n', 'x', 'vidt'} & set(parts) else 30)
