# People in crowds. Losses keep the weights that the base computes for COCO.
_base_ = '../yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

data_root = 'data/CrowdHuman/'
dataset_type = 'YOLOv5CrowdHumanDataset'
train_ann_file = 'annotation_train.odgt'
train_data_prefix = 'Images/'
val_ann_file = 'annotation_val.odgt'
val_data_prefix = 'Images/'
num_classes = 1
anchors = [
    [(6, 14), (12, 28), (19, 48)],  # stride 8
    [(29, 79), (46, 124), (142, 54)],  # stride 16
    [(73, 198), (124, 330), (255, 504)],  # stride 32
]

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco/yolov5_s-v61_syncbn_fast_8xb16-300e_coco_20220918_084700-86e02187.pth'  # noqa: E501

model = {'bbox_head': {'head_module': {'num_classes': num_classes}, 'prior_generator': {'base_sizes': anchors}}}

train_dataloader = {
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'ann_file': train_ann_file,
        'data_prefix': {'img': train_data_prefix},
    }
}
val_dataloader = {
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'ann_file': val_ann_file,
        'data_prefix': {'img': val_data_prefix},
        'batch_shapes_cfg': None,
    }
}
test_dataloader = val_dataloader

val_evaluator = {
    '_delete_': True,
    'type': 'mmdet.CrowdHumanMetric',
    'ann_file': data_root + val_ann_file,
    'metric': ['AP', 'MR', 'JI'],
}  # average precision, miss rate, Jaccard index
test_evaluator = val_evaluator
