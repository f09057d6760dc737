# Fine-tunes on one class and 100 images, with the backbone frozen. Losses keep the weights computed for COCO.
_base_ = ['./yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py', '../_base_/small_data.py']
globals().update(_base_._cat)

max_epochs = 40
anchors = [
    [(68, 69), (154, 91), (143, 162)],  # stride 8
    [(242, 160), (189, 287), (391, 207)],  # stride 16
    [(353, 337), (539, 341), (443, 432)],  # stride 32
]

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco/yolov5_s-v61_syncbn_fast_8xb16-300e_coco_20220918_084700-86e02187.pth'  # noqa: E501

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': _base_._cat.num_classes}, 'prior_generator': {'base_sizes': anchors}},
}

optim_wrapper = {'optimizer': {'batch_size_per_gpu': _base_._cat.train_batch_size_per_gpu}}
default_hooks = {
    'logger': {'interval': 5},
    'param_scheduler': {'max_epochs': max_epochs, 'warmup_mim_iter': 10},
    'checkpoint': {'interval': 10, 'max_keep_ckpts': 2},
}
train_cfg = {'max_epochs': max_epochs, 'val_interval': 10}
