# Size e2e: size e with the sum of two blocks in place of each.
_base_ = './yolov7_e-p6_syncbn_fast_8x16b-300e_coco.py'

model = {'backbone': {'arch': 'E2E'}, 'neck': {'block_cfg': {'type': 'EELANBlock', 'num_elan_block': 2}}}
