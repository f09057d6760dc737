_base_ = './rtmdet-r_l_syncbn_fast_2xb4-36e_dota.py'
checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-m_8xb256-rsb-a1-600e_in1k-ecb3bbd9.pth'  # noqa: E501

deepen_factor = 0.67
widen_factor = 0.75

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor, 'init_cfg': {'checkpoint': checkpoint}},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}
