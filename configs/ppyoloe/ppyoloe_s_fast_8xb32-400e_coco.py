_base_ = './ppyoloe_s_fast_8xb32-300e_coco.py'

max_epochs = 400
initial_epoch = 133

model = {'train_cfg': {'initial_epoch': initial_epoch}}

default_hooks = {'param_scheduler': {'total_epochs': int(max_epochs * _base_.cosine_ratio)}}
train_cfg = {'max_epochs': max_epochs}
