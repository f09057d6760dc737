"""Detects in images: python demo/image_demo.py IMAGES CONFIG CHECKPOINT [options].

IMAGES is a file, a folder, which is searched recursively, or an address. Writes pictures with boxes, or labelme files.
"""

import argparse
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import mmcv

from mmyolo.tools.demo.inference import (
    ReadableImages,
    add_detector_arguments,
    add_output_arguments,
    build_painter,
    build_pipeline,
    detect,
    labels_of,
    load_detector,
    output_name,
    select,
    show,
)
from mmyolo.tools.demo.labelme_utils import LabelmeFormat
from mmyolo.utils.misc import get_file_list
from mmyolo.utils.terminal import progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Detect in images')
    add_detector_arguments(parser, 'img', 'image file, folder of images, or address of an image')
    add_output_arguments(parser)
    parser.add_argument('--deploy', action='store_true', help='convert the model to its inference form first')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--class-name', nargs='+', help='keep boxes of these classes only')
    parser.add_argument('--to-labelme', action='store_true', help='write labelme files instead of pictures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.to_labelme and args.show:
        raise RuntimeError('--to-labelme writes files and --show draws; choose one of them')
    model = load_detector(args.config, args.checkpoint, args.device, tta=args.tta, deploy=args.deploy)
    classes = model.dataset_meta['classes']
    labels = labels_of(args.class_name, classes)
    pipeline = build_pipeline(model)
    paint = build_painter(model)
    write_labelme = LabelmeFormat(classes)
    out_dir = Path(args.out_dir)
    files, source = get_file_list(args.img)
    if not args.show:
        out_dir.mkdir(parents=True, exist_ok=True)

    images = ReadableImages(progress(files, 'Images'))
    for file, image in images:
        result = select(detect(model, [file], pipeline)[0], args.score_thr, labels)
        out_file = out_dir / output_name(file, args.img, source['is_dir'])
        if args.to_labelme:
            write_labelme(result.pred_instances, result.metainfo, out_file.with_suffix('.json'))
            continue
        picture = paint(image[..., ::-1], result)
        if args.show:
            show(picture, file)
        else:
            mmcv.imwrite(picture[..., ::-1], str(out_file))
    if not args.show:
        print(f'Results of {images.num_read} images stand in {out_dir.absolute()}')


if __name__ == '__main__':
    main()
