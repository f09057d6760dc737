# PPYOLOE: without learned weights of branches, from a backbone trained on ImageNet, and longer.
_base_ = './ppyoloe_plus_s_fast_8xb8-80e_coco.py'

load_from = None
# Convert PaddleDetection's CSPResNetb_s_pretrained.pdparams with tools/model_converters/ppyoloe_to_mmyolo.py
# --imagenet-pretrain and put it here.
checkpoint = 'weights/cspresnet_s_imagenet1k_pretrained.pth'

train_batch_size_per_gpu = 32  # the recipe is for 8 processes: 256 images a step
base_lr = 0.01  # for 256 images a step
max_epochs = 300
initial_epoch = 100

model = {
    'data_preprocessor': {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375]},
    'backbone': {
        'block_cfg': {'use_alpha': False},
        'init_cfg': {'type': 'Pretrained', 'prefix': 'backbone.', 'checkpoint': checkpoint, 'map_location': 'cpu'},
    },
    'train_cfg': {'initial_epoch': initial_epoch},
}

train_dataloader = {'batch_size': train_batch_size_per_gpu}
optim_wrapper = {'optimizer': {'lr': base_lr}}
default_hooks = {'param_scheduler': {'total_epochs': int(max_epochs * _base_.cosine_ratio)}}
train_cfg = {'max_epochs': max_epochs}
