# ViDT+, size base.
_base_ = './vidt_plus_nano_8xb2-50e_coco.py'

model = {'backbone': {'arch': 'base'}}
