"""Train the detector of a config: python tools/train.py CONFIG [options]; tools/dist_train.sh for several processes."""

import argparse

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmyolo.tools.launch import add_launch_options, config_from_options, leave_processes
from mmyolo.utils import is_metainfo_lower


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='the config file')
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU; see AmpOptimWrapper'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a name, from the last one in the work directory',
    )
    add_launch_options(parser)
    return parser.parse_args()


def use_amp(cfg: Config) -> None:
    """Turn mixed precision on.

    Raises:
        ValueError: If the config has an optimizer wrapper of its own.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind == 'AmpOptimWrapper':
        print_log('The config asks for mixed precision already; --amp changes nothing', 'current')
    elif kind == 'OptimWrapper':
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    else:
        raise ValueError(
            f"--amp replaces optim_wrapper.type 'OptimWrapper', but the config has {kind!r}; set up mixed "
            'precision in the config instead'
        )


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = config_from_options(args.config, args)
    if args.amp:
        use_amp(cfg)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    is_metainfo_lower(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()
    leave_processes()


if __name__ == '__main__':
    main()
