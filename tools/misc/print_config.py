"""Prints a config with all its bases: python tools/misc/print_config.py CONFIG [--save-path all.py]."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmdet.utils import replace_cfg_vals
from mmengine.config import Config

from mmyolo.tools.launch import add_cfg_options, read_config
from mmyolo.utils.files import replacing

SUFFIXES = ('.py', '.json', '.yml')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print the whole config')
    parser.add_argument('config', help='the config file')
    parser.add_argument('--save-path', help=f'write it to this file too ({", ".join(SUFFIXES)})')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if args.save_path is not None and not args.save_path.endswith(SUFFIXES):
        parser.error(f'--save-path {args.save_path}: the name must end in {", ".join(SUFFIXES)}')
    return args


def move_data_root(cfg: Config, root: str) -> None:
    """Replace `data_root` at the head of every path in a config.

    Args:
        cfg: The config, changed in place; mmdet's `update_data_root` knows only the `data` of mmdet 2.
        root: The folder to use instead.
    """
    former = cfg.get('data_root')
    if not former:
        return

    def moved(node: Any) -> Any:
        if isinstance(node, dict):
            for key, value in node.items():
                node[key] = moved(value)
        elif isinstance(node, (list, tuple)):
            return type(node)(moved(value) for value in node)
        elif isinstance(node, str) and node.startswith(former):
            return root + node[len(former) :]
        return node

    moved(cfg._cfg_dict)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = replace_cfg_vals(read_config(args.config, args))
    if 'MMDET_DATASETS' in os.environ:
        move_data_root(cfg, os.environ['MMDET_DATASETS'])
    print(f'Config:\n{cfg.pretty_text}')
    if args.save_path is not None:
        with replacing(Path(args.save_path)) as temporary:
            cfg.dump(temporary)


if __name__ == '__main__':
    main()
