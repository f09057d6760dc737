"""Draws feature maps over images: python demo/featmap_vis_demo.py IMAGES CONFIG CHECKPOINT [options].

Writes one picture per image: the boxes found with, over them, a map of each output of the target layers.
"""

import argparse
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import mmcv

from mmyolo.tools.demo.featmap import cut_padding, find_layer, overlay_featmap, record_outputs
from mmyolo.tools.demo.inference import (
    ReadableImages,
    add_detector_arguments,
    add_output_arguments,
    build_painter,
    build_pipeline,
    detect,
    load_detector,
    output_name,
    read_detector_config,
    select,
    show,
)
from mmyolo.tools.launch import add_cfg_options
from mmyolo.utils.misc import auto_arrange_images, get_file_list
from mmyolo.utils.terminal import progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw feature maps')
    add_detector_arguments(parser, 'img', 'image file, folder of images, or address of an image')
    add_output_arguments(parser)
    parser.add_argument(
        '--target-layers',
        nargs='+',
        default=['backbone'],
        help='layers to draw, such as backbone, neck.out_layers[2]; see --preview-model (default: %(default)s)',
    )
    parser.add_argument('--preview-model', action='store_true', help='print the layers and stop')
    parser.add_argument(
        '--channel-reduction',
        default='select_max',
        help="'select_max': the strongest channel, 'squeeze_mean': their mean, 'None': several (default: %(default)s)",
    )
    parser.add_argument('--topk', type=int, default=4, help="with 'None': so many of the strongest channels")
    parser.add_argument(
        '--arrangement', nargs='+', type=int, default=[2, 2], help="with 'None': rows and columns of the channels"
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.channel_reduction.lower() == 'none':
        args.channel_reduction = None
    if len(args.arrangement) != 2:
        parser.error('--arrangement takes two numbers, rows and columns')
    if args.channel_reduction is None and args.arrangement[0] * args.arrangement[1] < args.topk:
        parser.error(f'--topk {args.topk} channels do not fit into --arrangement {args.arrangement}')
    return args


def main() -> None:
    args = parse_args()
    model = load_detector(read_detector_config(args.config, args.cfg_options), args.checkpoint, args.device)
    if args.preview_model:
        print(model)
        print('Choose layers with --target-layers, such as backbone, neck.out_layers[2]')
        return
    layers = {name: find_layer(model, name) for name in args.target_layers}
    pipeline = build_pipeline(model)
    paint = build_painter(model)
    files, source = get_file_list(args.img)

    images = ReadableImages(progress(files, 'Images'))
    for file, image in images:
        with record_outputs(layers) as featmaps:
            result = select(detect(model, [file], pipeline)[0], args.score_thr)
        image = image[..., ::-1]
        drawn = []
        for featmap in featmaps.values():
            if featmap.ndim == 4:
                cut = cut_padding(featmap[0], result.metainfo)
                channels = overlay_featmap(cut, image, args.channel_reduction, args.topk)
                drawn.append(auto_arrange_images([paint(channel, result) for channel in channels], args.arrangement[1]))
        if not drawn:
            raise ValueError(f'{" ".join(layers)}: put out no feature maps (batch, channels, height, width)')
        picture = auto_arrange_images(drawn)
        if args.show:
            show(picture, file)
        else:
            out_file = Path(args.out_dir) / output_name(file, args.img, source['is_dir'])
            mmcv.imwrite(picture[..., ::-1], str(out_file))
    if not args.show:
        print(f'Results of {images.num_read} images stand in {Path(args.out_dir).absolute()}')


if __name__ == '__main__':
    main()
