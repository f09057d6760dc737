"""Draws the objects of a COCO file: browse_coco_json.py --data-root data/coco --img-dir val2017 --ann-file FILE."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmengine.registry import init_default_scope

from mmyolo.tools.analysis.coco_browsing import choose_images, objects
from mmyolo.tools.analysis.pictures import Gallery, Painter
from mmyolo.tools.analysis.plotting import windows_wanted
from mmyolo.utils.coco_file import CocoFile
from mmyolo.utils.terminal import progress


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw the objects of a COCO file; crowds are left out')
    parser.add_argument('--data-root', help='the folder that the next two are below')
    parser.add_argument('--img-dir', default='data/coco/train2017', help='the images')
    parser.add_argument('--ann-file', default='data/coco/annotations/instances_train2017.json', help='the COCO file')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a window stays; 0: until a key')
    parser.add_argument('--disp-all', action='store_true', help='masks too')
    parser.add_argument('--category-names', nargs='+', help='only these categories')
    parser.add_argument('--shuffle', action='store_true', help='draw images by chance')
    parser.add_argument('--out-dir', help='write the pictures here; for machines without a display')
    args = parser.parse_args(argv)
    args.show = windows_wanted(args.out_dir is None)
    if not args.show and args.out_dir is None:
        parser.error('nothing to do: no window can be shown, and there is no --out-dir')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmyolo')
    root = Path(args.data_root or '')
    coco = CocoFile(root / args.ann_file)
    images, categories = choose_images(coco, args.category_names, args.shuffle)
    painter = Painter({'classes': [category['name'] for category in coco.dataset['categories']]})
    gallery = Gallery(painter, args.out_dir, args.show, args.wait_time)
    found = objects(coco, images, categories, root / args.img_dir, args.disp_all)
    for name, image, instances in progress(found, 'Drawing', len(images)):
        gallery.add(name, painter.draw(image, instances))
    if args.out_dir is not None:
        print(f'Wrote {len(images)} pictures to {args.out_dir}')


if __name__ == '__main__':
    main()
