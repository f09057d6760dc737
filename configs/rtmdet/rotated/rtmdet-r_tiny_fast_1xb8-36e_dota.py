_base_ = './rtmdet-r_l_syncbn_fast_2xb4-36e_dota.py'
checkpoint = (
    'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-tiny_imagenet_600e.pth'  # noqa: E501
)

deepen_factor = 0.167
widen_factor = 0.375
train_batch_size_per_gpu = 8  # the recipe is for 1 process: 8 images a step

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor, 'init_cfg': {'checkpoint': checkpoint}},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

train_dataloader = {'batch_size': train_batch_size_per_gpu}
