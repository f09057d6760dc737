"""What tools/train.py and tools/test.py share: options, the config that they give, processes without a GPU."""

import argparse
import atexit
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.registry import init_default_scope

from ..utils.cfg_options import CfgOptions
from ..utils.config_formatting import FormattedOnce
from ..utils.setup_env import register_all_modules


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add --cfg-options, which changes settings of the config that a tool reads."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='settings of the config to change: key=value, key.inner=value, key="[a,b]", key="[(a,b),(c,d)]"; '
        'spaces inside a list are dropped',
    )


def read_config(path: str, options: argparse.Namespace) -> Config:
    """Read a config for a tool that runs nothing, with the settings of --cfg-options.

    Names without a prefix are looked up from now on in the scope that the config names.

    Args:
        path: The config file.
        options: The parsed options.
    """
    cfg = Config.fromfile(path)
    if options.cfg_options is not None:
        cfg.merge_from_dict(options.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmyolo'))
    return cfg


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every tool which builds a runner has."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go; ./work_dirs/<name of the config> by default')
    add_cfg_options(parser)
    add_launcher_options(parser)


def add_launcher_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who started the processes."""
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='who started the processes'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by older launchers')


def config_from_options(path: str, options: argparse.Namespace) -> Config:
    """Read a config and apply the options of `add_launch_options`.

    Args:
        path: The config file.
        options: The parsed options.

    Returns:
        The config, with `launcher` and `work_dir`: the option, else what the file says, else
        ./work_dirs/<name of the config>; and with hooks by which an unreadable image costs only itself, and a
        training does not begin whose parts contradict each other.
    """
    os.environ.setdefault('LOCAL_RANK', str(options.local_rank))
    cfg = FormattedOnce(Config.fromfile(path))
    cfg.launcher = options.launcher
    if options.cfg_options is not None:
        cfg.merge_from_dict(options.cfg_options)
    if options.work_dir is not None:
        cfg.work_dir = options.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(path).stem)
    hooks = [{'type': 'mmyolo.UnreadableImagesHook'}, {'type': 'mmyolo.ConfigCheckHook'}]
    cfg.custom_hooks = [*(one for one in cfg.get('custom_hooks') or [] if one not in hooks), *hooks]
    use_gloo_without_gpu(cfg)
    register_all_modules(init_default_scope=False)
    return cfg


def use_gloo_without_gpu(cfg: Config) -> None:
    """Let several processes without an accelerator work together; mmengine would ask each for a GPU.

    Joins the process group over gloo now and has the model wrapped for CPU tensors. Does nothing for a single process
    or where there is an accelerator. To leave GPUs unused, hide them: CUDA_VISIBLE_DEVICES=-1. Batch norms of CPU
    processes are not synchronised while they train: SyncNormStatisticsHook averages their statistics at validations.

    Args:
        cfg: The config, changed in place.

    Raises:
        ValueError: If the launcher is not 'pytorch'.
    """
    if cfg.launcher == 'none' or get_device() != 'cpu':
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(f"launcher is {cfg.launcher!r}, but without a GPU only 'pytorch' (torchrun) is supported")
    wrapper = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
    }
    wrapper.update(cfg.get('model_wrapper_cfg') or {}, device_ids=None)
    cfg.model_wrapper_cfg = wrapper
    if not is_distributed():
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
        dist.init_process_group('gloo', timeout=timedelta(seconds=seconds))


def leave_processes() -> None:
    """End a run that went well: the last call of a program. Over gloo it does not return, but ends the process with 0.

    The threads of gloo live on after the group. If one still has a tensor to release while Python is torn down, it asks
    for the lock of the interpreter, is ended in the middle of a destructor, and the process aborts (SIGABRT). So Python
    is not torn down: functions registered with atexit run, files and streams are flushed, and the process ends.
    """
    if not is_distributed():
        return
    over_gloo = dist.get_backend() == 'gloo'
    dist.barrier()  # who is left alone by gloo may abort as well
    dist.destroy_process_group()
    if over_gloo:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
