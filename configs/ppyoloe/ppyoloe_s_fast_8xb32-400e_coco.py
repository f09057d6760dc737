_base_ = './ppyoloe_s_fast_8xb32-300e_coco.py'

max_epochs = 400
initial_epoch = 133

model = dict(train_cfg=dict(initial_epoch=initial_epoch))

default_hooks = dict(param_scheduler=dict(total_epochs=int(max_epochs * _base_.cosine_ratio)))
train_cfg = dict(max_epochs=max_epochs)
