# ViDT, size large.
_base_ = './vidt_nano_8xb2-50e_coco.py'

model = {'backbone': {'arch': 'large'}}  # swin_large_win7_22k of the published executor
