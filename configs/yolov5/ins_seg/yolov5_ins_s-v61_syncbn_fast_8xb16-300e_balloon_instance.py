# One class, 61 images. Losses and the optimizer keep the values that the base computes for COCO.
_base_ = './yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'

data_root = 'data/balloon/'
train_ann_file = 'train.json'
train_data_prefix = 'train/'
val_ann_file = 'val.json'
val_data_prefix = 'val/'
class_name = ('balloon',)
num_classes = len(class_name)
metainfo = {'classes': class_name, 'palette': [(220, 20, 60)]}
train_batch_size_per_gpu = 4
train_num_workers = 2
log_interval = 1  # steps between lines of the log

model = {'bbox_head': {'head_module': {'num_classes': num_classes}}}

train_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
    'dataset': {
        'data_root': data_root,
        'metainfo': metainfo,
        'ann_file': train_ann_file,
        'data_prefix': {'img': train_data_prefix},
    },
}
val_dataloader = {
    'dataset': {
        'data_root': data_root,
        'metainfo': metainfo,
        'ann_file': val_ann_file,
        'data_prefix': {'img': val_data_prefix},
    }
}
test_dataloader = val_dataloader

val_evaluator = {'ann_file': data_root + val_ann_file}
test_evaluator = val_evaluator

default_hooks = {'logger': {'interval': log_interval}}
