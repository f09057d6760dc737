# What every config shares: hooks, processes, logging. Detectors and data are described in the folder of each family.
default_scope = 'mmyolo'  # names without a prefix are looked up here, then in mmengine; mmdet's need `mmdet.`

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),  # a line in the log every so many iterations
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1),  # a checkpoint every so many epochs
    sampler_seed=dict(type='DistSamplerSeedHook'),  # another order of the images in every epoch
    visualization=dict(type='mmdet.DetVisualizationHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),  # the loader's workers are the parallelism, not OpenCV
    dist_cfg=dict(backend='nccl'))  # CPU processes use gloo whatever stands here

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='mmdet.DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)  # losses are averaged over this many iterations

log_level = 'INFO'
load_from = None  # weights to start from: a file or an address
resume = False  # True: go on from the last checkpoint of work_dir
backend_args = None  # where files are read from; None is the local disk
