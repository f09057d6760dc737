"""What every detection config of YOLOv5, YOLOv5u and YOLOv8 comes to, one row per file.

A row is its family's values with the ones that differ. `losses` are the effective weights: class, box, objectness for
YOLOv5, and class, box, distribution for the others.
"""

from functools import partial

from state_spec import v5, v8

SIZES = {'n': (0.33, 0.25), 's': (0.33, 0.5), 'm': (0.67, 0.75), 'l': (1.0, 1.0), 'x': (1.33, 1.25)}
V8_SIZES = {
    'n': (0.33, 0.25, 1024),
    's': (0.33, 0.5, 1024),
    'm': (0.67, 0.75, 768),
    'l': (1.0, 1.0, 512),
    'x': (1.0, 1.25, 512),
}

# Parameters and entries of the state_dict of each network, as published.
NETWORKS = {
    ('v5', 'n'): (1872157, 348),
    ('v5', 's'): (7235389, 348),
    ('v5', 'm'): (21190557, 480),
    ('v5', 'l'): (46563709, 612),
    ('v5', 'x'): (86749405, 744),
    ('v5-p6', 'n'): (3246940, 458),
    ('v5-p6', 's'): (12626620, 458),
    ('v5-p6', 'm'): (35731932, 626),
    ('v5-p6', 'l'): (76770172, 794),
    ('v5-p6', 'x'): (140794780, 962),
    ('v5-20', 'n'): (1790977, 348),
    ('v5-20', 's'): (7073569, 348),
    ('v5-20', 'm'): (20948097, 480),
    ('v5-20', 'l'): (46240609, 612),
    ('v5-20', 'x'): (86345665, 744),
    ('v5-1', 's'): (7022326, 348),
    ('v5u', 'n'): (2654800, 426),
    ('v5u', 's'): (9153136, 426),
    ('v5u', 'm'): (25111440, 558),
    ('v5u', 'l'): (53225008, 690),
    ('v5u', 'x'): (97276432, 822),
    ('v8', 'n'): (3157184, 354),
    ('v8', 's'): (11166544, 354),
    ('v8', 'm'): (25902624, 474),
    ('v8', 'l'): (43691504, 594),
    ('v8', 'x'): (68229632, 594),
    ('v8-1', 's'): (11135971, 354),
}

_STATES = {
    'v5': v5,
    'v5-p6': partial(v5, arch='P6'),
    'v5-20': partial(v5, classes=20),
    'v5-1': partial(v5, classes=1),
    'v5u': partial(v5, anchor_free=True),
    'v8': v8,
    'v8-1': partial(v8, classes=1),
}


def expected_state(network):
    """Name -> shape of every entry of the state_dict of a network of NETWORKS."""
    kind, size = network
    return _STATES[kind](*(V8_SIZES if kind.startswith('v8') else SIZES)[size])


V5 = {
    'epochs': 300,
    'batch': 16,
    'optimizer_batch': 16,
    'workers': 8,
    'lr': 0.01,
    'lr_factor': 0.01,
    'decay': 0.0005,
    'clip': None,
    'keep': 3,
    'every': 10,
    'scale': (640, 640),
    'affine': 0.5,
    'translate': None,
    'mixup': None,
    'paste': None,
    'refine': False,
    'area': None,
    'aspect': None,
    'last': None,
    'losses': (0.5, 0.05, 1.0),
    'nms': 0.65,
    'classes': 80,
    'batch_shapes': (640, 32),
    'frozen': None,
    'load': None,
}
V5U = dict(V5, decay=0.001, aspect=100, last=(290, None, 100), losses=(0.5, 7.5, 0.375), nms=0.7)
V8 = dict(V5U, epochs=500, decay=0.0005, clip=10.0, keep=2, last=(490, None, 100), batch_shapes=None)
M = {'lr_factor': 0.1, 'affine': 0.9, 'mixup': 0.1, 'losses': (0.3, 0.05, 0.7)}
REFINE = {'refine': True, 'area': 0.01}
PERSON = {'classes': 1, 'batch_shapes': None, 'load': 'v61_syncbn_fast_8xb16-300e_coco_20220918_084700-86e02187.pth'}
CAT = {'classes': 1, 'epochs': 40, 'batch': 12, 'optimizer_batch': 12, 'workers': 4, 'frozen': 4}
V5_CAT = dict(CAT, keep=2, load='v61_syncbn_fast_8xb16-300e_coco_20220918_084700-86e02187.pth')
VOC = {
    'classes': 20,
    'epochs': 50,
    'batch': 64,
    'optimizer_batch': 64,
    'lr': 0.00334,
    'lr_factor': 0.15135,
    'decay': 0.00025,
    'scale': (512, 512),
    'affine': 0.75544,
    'translate': 0.04591,
    'mixup': 0.04266,
    'nms': 0.6,
    'batch_shapes': (512, 32),
    'losses': (0.21638 * 20 / 80, 0.02, 0.51728 * (512 / 640) ** 2),
}

_F = 'syncbn_fast_8xb16-300e_coco'
CONFIGS = {
    'yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco': ('v5', 's', V5, {}),
    'yolov5/yolov5_s-v61_syncbn-detect_8xb16-300e_coco': ('v5', 's', V5, {'nms': 0.45, 'batch_shapes': None}),
    f'yolov5/yolov5_n-v61_{_F}': ('v5', 'n', V5, {}),
    f'yolov5/yolov5_s-v61_{_F}': ('v5', 's', V5, {}),
    **{f'yolov5/yolov5_{size}-v61_{_F}': ('v5', size, V5, M) for size in 'mlx'},
    **{
        f'yolov5/yolov5_{size}-p6-v62_{_F}': (
            'v5-p6',
            size,
            V5,
            {'scale': (1280, 1280), 'batch_shapes': (1280, 64), 'losses': (0.375, 0.0375, 3.0)},
        )
        for size in 'ns'
    },
    **{
        f'yolov5/yolov5_{size}-p6-v62_{_F}': (
            'v5-p6',
            size,
            V5,
            dict(M, scale=(1280, 1280), batch_shapes=(1280, 64), losses=(0.225, 0.0375, 2.1)),
        )
        for size in 'mlx'
    },
    'yolov5/yolov5_s-v61_syncbn_fast_1xb4-300e_balloon': ('v5-1', 's', V5, {'classes': 1, 'batch': 4, 'workers': 2}),
    'yolov5/yolov5_s-v61_fast_1xb12-40e_cat': ('v5-1', 's', V5, V5_CAT),
    'yolov5/yolov5_s-v61_fast_1xb12-ms-40e_cat': ('v5-1', 's', V5, V5_CAT),
    'yolov5/yolov5_s-v61_fast_1xb12-40e_608x352_cat': (
        'v5-1',
        's',
        V5,
        dict(V5_CAT, scale=(608, 352), batch_shapes=None, losses=(0.5, 0.05, 0.3025)),
    ),
    'yolov5/crowdhuman/yolov5_s-v61_fast_8xb16-300e_crowdhuman': ('v5-1', 's', V5, PERSON),
    'yolov5/crowdhuman/yolov5_s-v61_8xb16-300e_ignore_crowdhuman': ('v5-1', 's', V5, PERSON),
    **{f'yolov5/mask_refine/yolov5_{size}_mask-refine-v61_{_F}': ('v5', size, V5, REFINE) for size in 'ns'},
    f'yolov5/mask_refine/yolov5_m_mask-refine-v61_{_F}': ('v5', 'm', V5, dict(M, **REFINE)),
    **{
        f'yolov5/mask_refine/yolov5_{size}_mask-refine-v61_{_F}': ('v5', size, V5, dict(M, **REFINE, paste=0.1))
        for size in 'lx'
    },
    'yolov5/voc/yolov5_n-v61_fast_1xb64-50e_voc': ('v5-20', 'n', V5, dict(VOC, load='0919_090739-b804c1ad.pth')),
    'yolov5/voc/yolov5_s-v61_fast_1xb64-50e_voc': ('v5-20', 's', V5, dict(VOC, load='0918_084700-86e02187.pth')),
    'yolov5/voc/yolov5_m-v61_fast_1xb64-50e_voc': ('v5-20', 'm', V5, dict(VOC, load='0917_204944-516a710f.pth')),
    'yolov5/voc/yolov5_l-v61_fast_1xb32-50e_voc': (
        'v5-20',
        'l',
        V5,
        dict(VOC, batch=32, optimizer_batch=32, load='0917_031007-096ef0eb.pth'),
    ),
    'yolov5/voc/yolov5_x-v61_fast_1xb32-50e_voc': ('v5-20', 'x', V5, dict(VOC, batch=32, optimizer_batch=32)),
    **{f'yolov5/yolov5u/yolov5u_{size}_{_F}': ('v5u', size, V5U, {}) for size in SIZES},
    **{f'yolov5/yolov5u/yolov5u_{size}_mask-refine_{_F}': ('v5u', size, V5U, dict(REFINE, aspect=20)) for size in 'ns'},
    f'yolov5/yolov5u/yolov5u_m_mask-refine_{_F}': (
        'v5u',
        'm',
        V5U,
        dict(REFINE, affine=0.9, mixup=0.1, paste=0.1, last=(290, 0.01, 100)),
    ),
    **{
        f'yolov5/yolov5u/yolov5u_{size}_mask-refine_{_F}': (
            'v5u',
            size,
            V5U,
            dict(REFINE, affine=0.9, mixup=0.15, paste=0.3, last=(290, 0.01, 100)),
        )
        for size in 'lx'
    },
    **{f'yolov8/yolov8_{size}_syncbn_fast_8xb16-500e_coco': ('v8', size, V8, {}) for size in 'ns'},
    'yolov8/yolov8_m_syncbn_fast_8xb16-500e_coco': ('v8', 'm', V8, {'affine': 0.9, 'mixup': 0.1}),
    **{
        f'yolov8/yolov8_{size}_syncbn_fast_8xb16-500e_coco': ('v8', size, V8, {'affine': 0.9, 'mixup': 0.15})
        for size in 'lx'
    },
    **{
        f'yolov8/yolov8_{size}_mask-refine_syncbn_fast_8xb16-500e_coco': (
            'v8',
            size,
            V8,
            dict(REFINE, last=(490, 0.01, 100)),
        )
        for size in 'ns'
    },
    'yolov8/yolov8_m_mask-refine_syncbn_fast_8xb16-500e_coco': (
        'v8',
        'm',
        V8,
        dict(REFINE, affine=0.9, mixup=0.1, paste=0.1, last=(490, 0.01, 100)),
    ),
    **{
        f'yolov8/yolov8_{size}_mask-refine_syncbn_fast_8xb16-500e_coco': (
            'v8',
            size,
            V8,
            dict(REFINE, affine=0.9, mixup=0.15, paste=0.3, last=(490, 0.01, 100)),
        )
        for size in 'lx'
    },
    'yolov8/yolov8_s_fast_1xb12-40e_cat': (
        'v8-1',
        's',
        V8,
        dict(CAT, last=(35, None, 100), load='500e_coco_20230117_180101-5aa5f0f1.pth'),
    ),
}

# Single values that only some files have.
DETAILS = [
    ('yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco', 'model.data_preprocessor.type', 'mmdet.DetDataPreprocessor'),
    ('yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco', 'train_dataloader.collate_fn', None),
    (f'yolov5/yolov5_s-v61_{_F}', 'model.data_preprocessor.type', 'YOLOv5DetDataPreprocessor'),
    (f'yolov5/yolov5_s-v61_{_F}', 'train_dataloader.collate_fn.type', 'yolov5_collate'),
    (f'yolov5/yolov5_s-v61_{_F}', 'model.data_preprocessor.std', [255.0] * 3),
    (f'yolov5/yolov5_s-v61_{_F}', 'model.bbox_head.obj_level_weights', [4.0, 1.0, 0.4]),
    (f'yolov5/yolov5_s-v61_{_F}', 'model.test_cfg.nms_pre', 30000),
    (f'yolov5/yolov5_s-v61_{_F}', 'optim_wrapper.optimizer.momentum', 0.937),
    (f'yolov5/yolov5_s-v61_{_F}', 'custom_hooks.0.momentum', 0.0001),
    (f'yolov5/yolov5_s-v61_{_F}', 'env_cfg.cudnn_benchmark', True),
    (f'yolov5/yolov5_s-v61_{_F}', 'env_cfg.mp_cfg.mp_start_method', 'fork'),
    (f'yolov5/yolov5_n-p6-v62_{_F}', 'model.bbox_head.obj_level_weights', [4.0, 1.0, 0.25, 0.06]),
    (
        f'yolov5/yolov5_x-p6-v62_{_F}',
        'model.bbox_head.prior_generator.base_sizes.3',
        [(436, 615), (739, 380), (925, 792)],
    ),
    (f'yolov5/yolov5_x-p6-v62_{_F}', 'tta_pipeline.1.transforms.0.2.transforms.1.scale', (1536, 1536)),
    ('yolov5/yolov5_s-v61_syncbn-detect_8xb16-300e_coco', 'model.test_cfg.multi_label', False),
    ('yolov5/yolov5_s-v61_syncbn-detect_8xb16-300e_coco', 'model.test_cfg.score_thr', 0.25),
    ('yolov5/yolov5_s-v61_fast_1xb12-40e_cat', 'default_hooks.param_scheduler.warmup_mim_iter', 10),
    (
        'yolov5/yolov5_s-v61_fast_1xb12-40e_cat',
        'model.bbox_head.prior_generator.base_sizes.0',
        [(68, 69), (154, 91), (143, 162)],
    ),
    (
        'yolov5/yolov5_s-v61_fast_1xb12-40e_608x352_cat',
        'model.bbox_head.prior_generator.base_sizes.2',
        [(376, 108), (339, 176), (483, 190)],
    ),
    (
        'yolov5/yolov5_s-v61_fast_1xb12-ms-40e_cat',
        'model.data_preprocessor.batch_augments.0.random_size_range',
        (480, 800),
    ),
    ('yolov5/crowdhuman/yolov5_s-v61_fast_8xb16-300e_crowdhuman', 'val_evaluator.type', 'mmdet.CrowdHumanMetric'),
    ('yolov5/crowdhuman/yolov5_s-v61_8xb16-300e_ignore_crowdhuman', 'model.bbox_head.ignore_iof_thr', 0.5),
    ('yolov5/crowdhuman/yolov5_s-v61_8xb16-300e_ignore_crowdhuman', 'train_pipeline.1.type', 'mmdet.LoadAnnotations'),
    ('yolov5/voc/yolov5_l-v61_fast_1xb32-50e_voc', 'model.bbox_head.prior_match_thr', 3.3744),
    ('yolov5/voc/yolov5_l-v61_fast_1xb32-50e_voc', 'model.bbox_head.loss_obj.class_weight', 0.67198),
    ('yolov5/voc/yolov5_l-v61_fast_1xb32-50e_voc', 'default_hooks.param_scheduler.warmup_bias_lr', 0.18657),
    ('yolov5/voc/yolov5_l-v61_fast_1xb32-50e_voc', 'tta_pipeline.1.transforms.0.1.transforms.0.scale', (416, 416)),
    ('yolov5/voc/yolov5_l-v61_fast_1xb32-50e_voc', 'optim_wrapper.optimizer.momentum', 0.74832),
    ('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco', 'train_cfg.dynamic_intervals', [(490, 1)]),
    ('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco', 'model.train_cfg.assigner.topk', 10),
    ('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco', 'tta_model.tta_cfg.nms.iou_threshold', 0.65),
    ('yolov8/yolov8_s_fast_1xb12-40e_cat', 'model.train_cfg.assigner.num_classes', 1),
    ('yolov8/yolov8_s_fast_1xb12-40e_cat', 'default_hooks.param_scheduler.warmup_mim_iter', 10),
    (f'yolov5/yolov5u/yolov5u_x_{_F}', 'train_cfg.dynamic_intervals', None),
    (f'yolov5/yolov5u/yolov5u_x_{_F}', 'model.train_cfg.assigner.use_ciou', True),
]
