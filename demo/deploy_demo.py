"""Detects with an exported model: python demo/deploy_demo.py IMAGES CONFIG MODEL --deploy-cfg CONFIG [options].

Exported models (ONNX, TensorRT ...) are run by the package mmdeploy, which is not part of this project.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import torch

from mmyolo.tools.demo.inference import add_output_arguments
from mmyolo.utils.device import choose_device
from mmyolo.utils.misc import get_file_list
from mmyolo.utils.terminal import progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Detect with an exported model')
    parser.add_argument('img', help='image file, folder of images, or address of an image')
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', help='the exported model')
    parser.add_argument('--deploy-cfg', required=True, help='the config that the model was exported with')
    parser.add_argument(
        '--device', default='cuda:0', help='device (default: %(default)s; the CPU where there is no GPU)'
    )
    add_output_arguments(parser)
    parser.add_argument('--score-thr', type=float, default=0.3, help='boxes with a lower score are not drawn')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if find_spec('mmdeploy') is None:
        raise SystemExit(
            'demo/deploy_demo.py needs the package mmdeploy, which is not installed: '
            'pip install mmdeploy. '
            'To run a checkpoint instead of an exported model, use demo/image_demo.py.'
        )
    from mmdeploy.apis.utils import build_task_processor
    from mmdeploy.utils import get_input_shape, load_config

    deploy_cfg, model_cfg = load_config(args.deploy_cfg, args.config)
    processor = build_task_processor(model_cfg, deploy_cfg, choose_device(args.device))
    model = processor.build_backend_model([args.checkpoint], processor.update_data_preprocessor(model_cfg.model))
    shape = get_input_shape(deploy_cfg)
    files, _ = get_file_list(args.img)
    for file in progress(files, 'Images'):
        inputs, _ = processor.create_input(file, shape)
        with torch.no_grad():
            result = model.test_step(inputs)[0]
        processor.visualize(
            image=file,
            model=model,
            result=result,
            show_result=args.show,
            window_name=Path(file).name,
            output_file=None if args.show else str(Path(args.out_dir) / Path(file).name),
            score_thr=args.score_thr,
        )


if __name__ == '__main__':
    main()
