_base_ = './ppyoloe_s_fast_8xb32-300e_coco.py'

checkpoint = 'weights/cspresnet_m_imagenet1k_pretrained.pth'

deepen_factor = 0.67
widen_factor = 0.75
train_batch_size_per_gpu = 28

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor, 'init_cfg': {'checkpoint': checkpoint}},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

train_dataloader = {'batch_size': train_batch_size_per_gpu}
