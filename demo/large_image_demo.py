"""Detects in large images patch by patch: python demo/large_image_demo.py IMAGES CONFIG CHECKPOINT [options].

An image is cut into overlapping patches, which are detected in batches; NMS merges what several patches found.
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
    load_detector,
    output_name,
    select,
    show,
)
from mmyolo.tools.demo.large_image import merge_results_by_nms, shift_predictions, slice_windows
from mmyolo.utils.misc import get_file_list
from mmyolo.utils.terminal import progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Detect in large images')
    add_detector_arguments(parser, 'img', 'image file, folder of images, or address of an image')
    add_output_arguments(parser)
    parser.add_argument('--deploy', action='store_true', help='convert the model to its inference form first')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--patch-size', type=int, default=640, help='side of a patch in pixels (default: %(default)s)')
    parser.add_argument(
        '--patch-overlap-ratio', type=float, default=0.25, help='share of its side in common with the next patch'
    )
    parser.add_argument('--merge-iou-thr', type=float, default=0.25, help='boxes that overlap more are one')
    parser.add_argument(
        '--merge-nms-type', default='nms', help="'nms', 'soft_nms' ...; rotated boxes take 'nms_rotated' for 'nms'"
    )
    parser.add_argument('--batch-size', type=int, default=1, help='patches at a time (default: %(default)s)')
    parser.add_argument('--debug', action='store_true', help='write a picture before the merge too: <name>_unmerged')
    parser.add_argument('--save-patch', action='store_true', help='write a picture of each patch: <name>_patches/')
    args = parser.parse_args()
    if args.batch_size < 1:
        parser.error(f'--batch-size {args.batch_size}: must be at least 1')
    if args.show and (args.debug or args.save_patch):
        parser.error('--debug and --save-patch write files, which --show does not')
    return args


def main() -> None:
    args = parse_args()
    model = load_detector(args.config, args.checkpoint, args.device, tta=args.tta, deploy=args.deploy)
    pipeline = build_pipeline(model, from_array=True)
    paint = build_painter(model)
    files, source = get_file_list(args.img)

    def save(picture, path: Path) -> None:
        mmcv.imwrite(picture[..., ::-1], str(path))  # makes folders

    images = ReadableImages(files)
    for file, image in images:
        shape = image.shape[:2]
        windows = slice_windows(*shape, args.patch_size, args.patch_overlap_ratio)
        patches = [image[y1:y2, x1:x2] for x1, y1, x2, y2 in windows]
        offsets = [window[:2] for window in windows]
        results = []
        name = output_name(file, args.img, source['is_dir'])
        for start in progress(range(0, len(patches), args.batch_size), f'{name}: {len(patches)} patches'):
            results += detect(model, patches[start : start + args.batch_size], pipeline)
        for result in results:
            select(result, args.score_thr)

        rgb = image[..., ::-1]
        out_file = Path(args.out_dir) / name
        if args.save_patch:
            for patch, (x, y), result in zip(patches, offsets, results):
                picture = paint(patch[..., ::-1], result)
                save(picture, out_file.parent / f'{out_file.stem}_patches' / f'{x}_{y}{out_file.suffix}')
        if args.debug:
            unmerged = results[0].clone()
            unmerged.pred_instances = shift_predictions(results, offsets, shape)
            save(paint(rgb, unmerged), out_file.with_name(f'{out_file.stem}_unmerged{out_file.suffix}'))
        is_rotated = results[0].pred_instances.bboxes.shape[-1] == 5
        nms_type = 'nms_rotated' if is_rotated and args.merge_nms_type == 'nms' else args.merge_nms_type
        merged = merge_results_by_nms(results, offsets, shape, {'type': nms_type, 'iou_threshold': args.merge_iou_thr})
        picture = paint(rgb, select(merged, args.score_thr))  # soft_nms lowers scores
        print(
            f'{file}: {sum(len(result.pred_instances) for result in results)} boxes in {len(patches)} patches, '
            f'{len(merged.pred_instances)} after the merge'
        )
        if args.show:
            show(picture, file)
        else:
            save(picture, out_file)
    if not args.show:
        print(f'Results of {images.num_read} images stand in {Path(args.out_dir).absolute()}')


if __name__ == '__main__':
    main()
