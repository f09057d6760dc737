"""Evaluates a checkpoint on the test set of its config: python tools/test.py CONFIG CHECKPOINT [options]."""

import argparse

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmyolo.tools.demo.tta import use_tta
from mmyolo.tools.launch import add_launch_options, config_from_options, leave_processes
from mmyolo.utils import is_metainfo_lower


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint')
    parser.add_argument('config', help='the config file')
    parser.add_argument('checkpoint', help='the checkpoint file')
    parser.add_argument('--out', help='write the predictions to this .pkl or .pickle file')
    parser.add_argument(
        '--json-prefix', help='write them as COCO JSON to <prefix>.bbox.json instead of evaluating them'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--deploy', action='store_true', help='convert the model to its inference form first')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='write pictures of the predictions below <work dir>/<time>/<this>')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds between pictures')
    add_launch_options(parser)
    args = parser.parse_args()
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out {args.out}: the name must end in .pkl or .pickle')
    return args


def write_only(cfg: Config, prefix: str) -> None:
    """Have the evaluator write files instead of evaluating.

    Raises:
        ValueError: If the config has several evaluators, which would write over each other.
    """
    if not isinstance(cfg.test_evaluator, dict):
        raise ValueError('--json-prefix needs a single test_evaluator in the config')
    cfg.test_evaluator.format_only = True
    cfg.test_evaluator.outfile_prefix = prefix


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = config_from_options(args.config, args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    if args.deploy:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'SwitchToDeployHook'}]
    if args.json_prefix is not None:
        write_only(cfg, args.json_prefix)
    if args.tta:
        use_tta(cfg)
    is_metainfo_lower(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.out is not None:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    runner.test()
    leave_processes()


if __name__ == '__main__':
    main()
