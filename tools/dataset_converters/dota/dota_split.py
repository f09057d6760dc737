"""Cuts the images of DOTA into patches:

python tools/dataset_converters/dota/dota_split.py split_config/single_scale.json data/DOTA data/split_ss_dota
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmyolo.tools.converters.datasets.dota import PHASES, SplitConfig, split_dota
from mmyolo.utils.files import read_text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Cut the images of DOTA into patches')
    parser.add_argument('split_config', help='a JSON file; split_config/ beside this script has two')
    parser.add_argument('data_root', help='folder of DOTA with train, val and test')
    parser.add_argument('out_dir', help='folder to write <phase>/images and <phase>/annfiles into')
    parser.add_argument('--ann-subdir', default='labelTxt-v1.0', help='folder of the text files below train and val')
    parser.add_argument('--phase', '-p', nargs='+', default=['trainval', 'test'], choices=PHASES, help='what is cut')
    parser.add_argument('--nproc', type=int, default=8, help='processes that work at once')
    parser.add_argument('--save-ext', default='.png', help='ending of the patches')
    parser.add_argument('--overwrite', action='store_true', help='write into folders that hold files already')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    config = SplitConfig.from_dict(json.loads(read_text(args.split_config)))
    suffix = '.' + args.save_ext.lstrip('.')
    counts = split_dota(
        config,
        Path(args.data_root),
        Path(args.out_dir),
        args.phase,
        args.ann_subdir,
        args.nproc,
        suffix,
        args.overwrite,
    )
    for phase, (images, patches) in counts.items():
        print(f'{phase}: {images} images, {patches} patches')


if __name__ == '__main__':
    main()
