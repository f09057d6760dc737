# ViDT, size base.
_base_ = './vidt_nano_8xb2-50e_coco.py'

model = {'backbone': {'arch': 'base'}}  # swin_base_win7_22k of the published executor
