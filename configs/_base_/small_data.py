# Small data sets, each as the settings that a config takes over whole to train on it:
#     globals().update(_base_._cat)
# A second base may not set what the first one sets; a dict in it may hold the same names.


def _settings(data_root, classes, train, val, batch_size, num_workers):
    """Return the settings for a data set: colours of its classes, and per part annotation file and folder of images."""
    metainfo = {'classes': tuple(classes), 'palette': list(classes.values())}

    def dataset(ann_file, images):
        return {'data_root': data_root, 'metainfo': metainfo, 'ann_file': ann_file, 'data_prefix': {'img': images}}

    evaluator = {'ann_file': data_root + val[0]}
    return {
        'data_root': data_root,
        'train_ann_file': train[0],
        'train_data_prefix': train[1],
        'val_ann_file': val[0],
        'val_data_prefix': val[1],
        'class_name': metainfo['classes'],
        'num_classes': len(classes),
        'metainfo': metainfo,
        'train_batch_size_per_gpu': batch_size,
        'train_num_workers': num_workers,
        'train_dataloader': {'batch_size': batch_size, 'num_workers': num_workers, 'dataset': dataset(*train)},
        'val_dataloader': {'dataset': dataset(*val)},
        'test_dataloader': {'dataset': dataset(*val)},
        'val_evaluator': evaluator,
        'test_evaluator': evaluator,
    }


# 100 images of cats for training
_cat = _settings(
    './data/cat/',
    {'cat': (20, 220, 60)},
    ('annotations/trainval.json', 'images/'),
    ('annotations/test.json', 'images/'),
    batch_size=12,
    num_workers=4,
)
# 61 images of balloons for training
_balloon = _settings(
    'data/balloon/',
    {'balloon': (220, 20, 60)},
    ('train.json', 'train/'),
    ('val.json', 'val/'),
    batch_size=4,
    num_workers=2,
)
