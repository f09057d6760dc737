# ViDT, size small.
_base_ = './vidt_nano_8xb2-50e_coco.py'

model = {'backbone': {'arch': 'small'}}
