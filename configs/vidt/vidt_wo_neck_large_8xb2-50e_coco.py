# ViDT without neck, size large.
_base_ = './vidt_wo_neck_nano_8xb2-50e_coco.py'

model = {'backbone': {'arch': 'large'}}
