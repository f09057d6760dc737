# The tiny size mixes fewer images, and mixes up every other one only, as rtmdet_tiny does.
_base_ = './rtmdet-ins_s_syncbn_fast_8xb32-300e_coco.py'
checkpoint = (
    'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-tiny_imagenet_600e.pth'  # noqa: E501
)

deepen_factor = 0.167
widen_factor = 0.375

mosaic_max_cached_images = 20
mixup_max_cached_images = 10

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor, 'init_cfg': {'checkpoint': checkpoint}},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

train_pipeline = [
    *_base_._load,
    dict(
        _base_.train_pipeline[2], max_cached_images=mosaic_max_cached_images, random_pop=False
    ),  # the oldest image leaves
    _base_.train_pipeline[3],
    *_base_._augment,
    dict(_base_.train_pipeline[8], max_cached_images=mixup_max_cached_images, random_pop=False, prob=0.5),
    *_base_._end,
]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
