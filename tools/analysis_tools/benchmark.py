"""Measures images per second: python tools/analysis_tools/benchmark.py CONFIG CHECKPOINT [--fuse-conv-bn]."""

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_main_process
from mmengine.logging import MMLogger

from mmyolo.tools.analysis.throughput import build_loader, build_model, measure
from mmyolo.tools.launch import (
    add_cfg_options,
    add_launcher_options,
    leave_processes,
    read_config,
    use_gloo_without_gpu,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure how many images of the test set a detector takes per second')
    parser.add_argument('config', help='the config file')
    parser.add_argument('checkpoint', help='the checkpoint file')
    parser.add_argument('--repeat-num', type=int, default=1, help='measure so many times')
    parser.add_argument('--max-iter', type=int, default=2000, help='images of each time')
    parser.add_argument('--log-interval', type=int, default=50, help='images between lines of the log')
    parser.add_argument('--work-dir', help='write benchmark.log here')
    parser.add_argument('--fuse-conv-bn', action='store_true', help='merge batch norms into convolutions first')
    add_cfg_options(parser)
    add_launcher_options(parser)
    args = parser.parse_args(argv)
    for option in 'repeat_num', 'max_iter', 'log_interval':
        if getattr(args, option) < 1:
            parser.error(f'--{option.replace("_", "-")} must be at least 1')
    return args


def join_processes(cfg: Config, args: argparse.Namespace) -> None:
    """Let each of several processes measure its share on its own device."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.launcher == 'none':
        return
    if get_device() == 'cpu':
        use_gloo_without_gpu(cfg)
    else:
        init_dist(args.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {}))


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args)
    join_processes(cfg, args)
    file = None
    if args.work_dir is not None and is_main_process():
        Path(args.work_dir).mkdir(parents=True, exist_ok=True)
        file = str(Path(args.work_dir) / 'benchmark.log')
    logger = MMLogger('benchmark', logger_name='benchmark', log_file=file, log_level='INFO')
    model = build_model(cfg, args.checkpoint, args.fuse_conv_bn)
    loader = build_loader(cfg)
    logger.info(f'{args.config} on {get_device()}, {len(loader)} images of the test set for each process')
    if len(loader) < args.max_iter:
        logger.info(f'They end before --max-iter {args.max_iter}')
    speeds = []
    for number in range(1, args.repeat_num + 1):
        speed = measure(model, loader, args.max_iter, args.log_interval, logger.info)
        logger.info(
            f'Time {number} of {args.repeat_num}: {speed.fps:.1f} img/s, {speed.milliseconds:.1f} ms/img, '
            f'{speed.images} images'
        )
        speeds.append(speed)
    if len(speeds) > 1:
        fps = statistics.mean(speed.fps for speed in speeds)
        milliseconds = statistics.mean(speed.milliseconds for speed in speeds)
        logger.info(f'Mean of {len(speeds)}: {fps:.1f} img/s, {milliseconds:.1f} ms/img')
    leave_processes()


if __name__ == '__main__':
    main()
