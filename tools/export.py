"""Exports a checkpoint to ONNX and checks the file: python tools/export.py CONFIG CHECKPOINT [options]."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import mmyolo.datasets  # noqa: F401  imports mmdet's data sets without a word, and mmyolo stands in for mmcv._ext

# isort: split
import cv2
from rich.console import Console

from mmyolo.tools.demo.inference import load_detector
from mmyolo.tools.export import ExportOptions, check_export, export_onnx
from mmyolo.tools.export.check import report_table
from mmyolo.tools.export.dependencies import need
from mmyolo.tools.export.detections import check_detections, export_detections
from vidt.export import OUTPUTS, ExportedDetector
from vidt.models.base import TokenDetector

DEMO = Path(__file__).resolve().parents[1] / 'demo/demo.jpg'
BACKENDS = {'onnxruntime': 'onnx', 'openvino': 'onnx', 'tensorrt8': 'tensorrt8', 'tensorrt7': 'tensorrt7'}
NMS = {'none': 'raw', 'onnx': 'onnx', 'tensorrt': 'tensorrt8'}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Export a checkpoint to ONNX and check the file')
    parser.add_argument('config', help='config file, or mmyolo::<path below configs>')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument('--out', type=Path, help='the file to write (default: <work dir>/<checkpoint>.onnx)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dir'), help='(default: ./work_dir)')
    parser.add_argument(
        '--img-size',
        type=int,
        nargs='+',
        default=[640, 640],
        metavar='PIXELS',
        help='height and width of the input, or one number for both (default: 640 640)',
    )
    parser.add_argument('--batch-size', type=int, default=1, help='images per run (default: 1)')
    parser.add_argument('--dynamic', action='store_true', help='leave the number of images per run open')
    parser.add_argument('--opset', type=int, default=17, help='version of the ONNX operators, 11 to 20 (default: 17)')
    parser.add_argument('--simplify', action='store_true', help='simplify the graph with onnxslim or onnxsim')
    parser.add_argument(
        '--nms',
        choices=tuple(NMS),
        help='none: raw maps; onnx: suppression by standard operators; '
        'tensorrt: by the plugin EfficientNMS_TRT (default: as --backend says)',
    )
    parser.add_argument('--model-only', action='store_true', help='raw maps, the same as --nms none')
    parser.add_argument(
        '--backend',
        choices=tuple(BACKENDS),
        default='onnxruntime',
        help='what will run the file (default: onnxruntime)',
    )
    parser.add_argument('--pre-topk', type=int, default=1000, help='candidates of an image that enter suppression')
    parser.add_argument('--keep-topk', type=int, default=100, help='boxes of an image at most')
    parser.add_argument('--iou-threshold', type=float, default=0.65, help='of two boxes that overlap more, one goes')
    parser.add_argument('--score-threshold', type=float, default=0.25, help='boxes need a higher score')
    parser.add_argument(
        '--with-preprocess',
        nargs='?',
        const='uint8',
        choices=('uint8', 'float'),
        help='normalise in the graph: its input is pixels, blue first, as uint8 or float',
    )
    parser.add_argument('--device', default='cpu', help='where the model is traced (default: cpu)')
    parser.add_argument('--image', default=str(DEMO), help='what the check looks at (default: demo/demo.jpg)')
    parser.add_argument('--no-check', action='store_true', help='do not compare the file with PyTorch')
    args = parser.parse_args(argv)
    if len(args.img_size) > 2:
        parser.error(f'--img-size takes height and width, or one number, not {len(args.img_size)} numbers')
    if args.model_only and args.nms not in (None, 'none'):
        parser.error(f'--model-only gives raw maps, --nms {args.nms} does not: give one of them')
    return args


def options_of(args: argparse.Namespace) -> ExportOptions:
    form = NMS['none' if args.model_only else args.nms] if args.model_only or args.nms else BACKENDS[args.backend]
    if form == 'tensorrt8' and args.backend == 'tensorrt7':
        form = 'tensorrt7'
    return ExportOptions(
        form=form,
        image_size=(args.img_size[0], args.img_size[-1]),
        batch_size=args.batch_size,
        dynamic=args.dynamic,
        opset=args.opset,
        simplify=args.simplify,
        preprocess=args.with_preprocess is not None,
        input_type=args.with_preprocess or 'uint8',
        pre_topk=args.pre_topk,
        keep_topk=args.keep_topk,
        iou_threshold=args.iou_threshold,
        score_threshold=args.score_threshold,
    )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    console = Console(width=120)
    try:
        options = options_of(args)
        need('onnx')
        if not args.no_check:
            need('onnxruntime')
        model = load_detector(args.config, args.checkpoint, device=args.device)
        path = args.out or args.work_dir / f'{Path(args.checkpoint).stem}.onnx'
        network = ExportedDetector(model) if isinstance(model, TokenDetector) else None
        if network is None:
            export_onnx(model, path, options)
        else:  # there is nothing to suppress, and no plugin to do it
            export_detections(network, path, options.image_size, OUTPUTS, options.batch_size, options.opset)
    except (ImportError, ValueError) as error:
        print(f'tools/export.py: {error}', file=sys.stderr)
        return 2
    print(f'wrote {path}, {path.stat().st_size / 2**20:.1f} MiB')
    describe(path)
    if args.no_check:
        return 0
    if network is None and options.form.startswith('tensorrt'):
        print('not compared with PyTorch: only TensorRT can run its plugins; the graph is well formed')
        return 0
    image = cv2.imread(args.image)
    if image is None:
        print(f'tools/export.py: {args.image} is not an image: give another one with --image', file=sys.stderr)
        return 2
    if network is None:
        report = check_export(model, path, options, [image])
    else:
        report = check_detections(
            network, model.data_preprocessor, path, options.image_size, image, options.score_threshold
        )
    console.print(report_table([report]))
    if not report.boxes:
        print(
            f'PyTorch finds no box above {options.score_threshold} in {args.image}, so nothing was compared: give '
            'another --image or a lower --score-threshold'
        )
    return 0 if report.passed else 1


def describe(path: Path) -> None:
    """Print inputs and outputs of a file."""
    onnx = need('onnx')
    graph = onnx.load(str(path)).graph
    for kind, values in (('input', graph.input), ('output', graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
            print(
                f'  {kind:6}  {value.name:9} {onnx.TensorProto.DataType.Name(tensor.elem_type).lower():6} '
                f'{" x ".join(map(str, shape))}'
            )


if __name__ == '__main__':
    sys.exit(main())
