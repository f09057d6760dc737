_base_ = './ppyoloe_s_fast_8xb32-300e_coco.py'

checkpoint = 'weights/cspresnet_x_imagenet1k_pretrained.pth'

deepen_factor = 1.33
widen_factor = 1.25
train_batch_size_per_gpu = 16

model = dict(
    backbone=dict(
        deepen_factor=deepen_factor, widen_factor=widen_factor, init_cfg=dict(checkpoint=checkpoint)),
    neck=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    bbox_head=dict(head_module=dict(widen_factor=widen_factor)))

train_dataloader = dict(batch_size=train_batch_size_per_gpu)
