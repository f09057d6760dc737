# What every config shares: hooks, processes, logging. Detectors and data are described in the folder of each family.
default_scope = 'mmyolo'  # names without a prefix are looked up here, then in mmengine; mmdet's need `mmdet.`

default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 50},  # a line in the log every so many iterations
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1},  # a checkpoint every so many epochs
    'sampler_seed': {'type': 'DistSamplerSeedHook'},  # another order of the images in every epoch
    'visualization': {'type': 'mmdet.DetVisualizationHook'},
}

env_cfg = {
    'cudnn_benchmark': False,
    'mp_cfg': {
        'mp_start_method': 'fork',
        'opencv_num_threads': 0,
    },  # the loader's workers are the parallelism, not OpenCV
    'dist_cfg': {'backend': 'nccl'},
}  # CPU processes use gloo whatever stands here

vis_backends = [{'type': 'LocalVisBackend'}]
visualizer = {'type': 'mmdet.DetLocalVisualizer', 'vis_backends': vis_backends, 'name': 'visualizer'}
log_processor = {
    'type': 'LogProcessor',
    'window_size': 50,
    'by_epoch': True,
}  # losses are averaged over this many iterations

log_level = 'INFO'
load_from = None  # weights to start from: a file or an address
resume = False  # True: go on from the last checkpoint of work_dir
backend_args = None  # where files are read from; None is the local disk
