"""Draws box attention maps: python demo/boxam_vis_demo.py IMAGES CONFIG CHECKPOINT [options].

Shows which places of an image decide the boxes found in it. Needs the package grad-cam.
"""

import argparse
from functools import partial
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import mmcv
from mmengine.logging import MessageHub

from mmyolo.tools.demo.boxam_utils import (
    BoxAMDetectorVisualizer,
    BoxAMDetectorWrapper,
    DetAblationLayer,
    DetBoxScoreTarget,
    GradCAM,
    GradCAMPlusPlus,
    reshape_transform,
)
from mmyolo.tools.demo.featmap import find_layer
from mmyolo.tools.demo.inference import (
    ReadableImages,
    add_detector_arguments,
    add_output_arguments,
    output_name,
    read_detector_config,
    show,
)
from mmyolo.tools.launch import add_cfg_options
from mmyolo.utils.misc import get_file_list

GRADIENT_METHODS = {'gradcam': GradCAM, 'gradcam++': GradCAMPlusPlus}
METHODS = ['ablationcam', 'eigencam', *GRADIENT_METHODS]
# the loss that says nothing about where a box is, by family; the first word that is in the config's path counts
IGNORED_LOSSES = {
    'yolov5': ['loss_obj'],
    'yolov6': ['loss_cls'],
    'yolox': ['loss_obj'],
    'rtmdet': ['loss_cls'],
    'yolov7': ['loss_obj'],
    'yolov8': ['loss_cls'],
    'ppyoloe': ['loss_cls'],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw box attention maps')
    add_detector_arguments(parser, 'img', 'image file, folder of images, or address of an image')
    parser.add_argument('--method', default='gradcam', choices=METHODS, help='method (default: %(default)s)')
    parser.add_argument(
        '--target-layers', nargs='+', default=['neck.out_layers[2]'], help='layers to weigh (default: %(default)s)'
    )
    add_output_arguments(parser)
    parser.add_argument('--topk', type=int, default=-1, help='only so many of the best boxes; -1: all')
    parser.add_argument(
        '--max-shape', nargs='+', type=int, default=[-1], help='largest side of a map; -1: its own size'
    )
    parser.add_argument('--preview-model', action='store_true', help='print the layers and stop')
    parser.add_argument('--norm-in-bbox', action='store_true', help='scale the map within each box')
    add_cfg_options(parser)
    parser.add_argument('--batch-size', type=int, default=1, help='ablationcam: channels at a time')
    parser.add_argument(
        '--ratio-channels-to-ablate', type=float, default=0.5, help='ablationcam: share of the channels to try'
    )
    return parser.parse_args()


def method_class(name: str):
    """Return the class of a method."""
    if name in GRADIENT_METHODS:
        return GRADIENT_METHODS[name]
    try:
        from pytorch_grad_cam import AblationCAM, EigenCAM
    except (ImportError, RuntimeError) as error:
        raise ImportError(f'--method {name} needs the package grad-cam ({error}): pip install grad-cam') from error
    return {'ablationcam': AblationCAM, 'eigencam': EigenCAM}[name]


def main() -> None:
    args = parse_args()
    is_need_grad = args.method in GRADIENT_METHODS
    MessageHub.get_current_instance().runtime_info['epoch'] = 0  # the losses of some heads depend on it
    config = read_detector_config(args.config, args.cfg_options)
    model = BoxAMDetectorWrapper(config, args.checkpoint, args.score_thr, args.device)
    if args.preview_model:
        print(model.detector)
        print('Choose layers with --target-layers, such as neck.out_layers[2], backbone.stage4[1]')
        return
    max_shape = tuple(args.max_shape * 2)[:2]
    visualizer = BoxAMDetectorVisualizer(
        method_class(args.method),
        model,
        [find_layer(model.detector, name) for name in args.target_layers],
        reshape_transform=partial(reshape_transform, max_shape=max_shape, is_need_grad=is_need_grad),
        is_need_grad=is_need_grad,
        extra_params=None
        if args.method != 'ablationcam'
        else {
            'batch_size': args.batch_size,
            'ablation_layer': DetAblationLayer(),
            'ratio_channels_to_ablate': args.ratio_channels_to_ablate,
        },
    )
    ignored = next((losses for word, losses in IGNORED_LOSSES.items() if word in args.config), None)
    files, source = get_file_list(args.img)

    visualizer.switch_activations_and_grads(model)
    for file, image in ReadableImages(files):
        model.need_loss(False)
        model.set_input_data(image)
        boxes = model()[0].pred_instances
        boxes = boxes[boxes.scores.argsort(descending=True)][: args.topk if args.topk > 0 else None]
        if not len(boxes):
            print(f'{file}: no box above --score-thr {args.score_thr}, no map')
            continue
        visualizer.switch_activations_and_grads(model)
        model.need_loss(is_need_grad)
        model.set_input_data(image, boxes)
        target = DetBoxScoreTarget(boxes, device=model.device, ignore_loss_params=ignored)
        am = visualizer(image, [target])
        visualizer.switch_activations_and_grads(model)
        picture = visualizer.show_am(image, boxes, am, args.norm_in_bbox)
        if args.show:
            show(picture[..., ::-1], file)
        else:
            mmcv.imwrite(picture, str(Path(args.out_dir) / output_name(file, args.img, source['is_dir'])))
    if not args.show:
        print(f'Results stand in {Path(args.out_dir).absolute()}')


if __name__ == '__main__':
    main()
