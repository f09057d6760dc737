"""Exported files beside PyTorch: one size of each family, every form that ONNX Runtime runs, in one table.

    python benchmarks/export_check.py [--size 320 320] [--family yolov8 ...]

Models have seeded random weights with the statistics of a photograph, and the score threshold lies where some hundred
candidates are above it. The exit code is 1 if any file differs from PyTorch by more than the limits of
`mmyolo.tools.export.check`. `onnx ms` and `torch ms` are the times of one image, suppression included, best of five.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
from rich.console import Console

from mmyolo.tools.export import ExportOptions, OnnxDetector, check_export, export_onnx
from mmyolo.tools.export.check import detect_in_torch, report_table
from mmyolo.tools.export.families import FAMILIES, make_detector

ROOT = Path(__file__).resolve().parents[1]


def milliseconds(function: Callable, *args) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description='Exported files beside PyTorch')
    parser.add_argument('--size', type=int, nargs=2, default=[320, 320], help='height and width of the input')
    parser.add_argument('--family', nargs='+', default=list(FAMILIES), choices=list(FAMILIES))
    args = parser.parse_args(argv)
    image = cv2.imread(str(ROOT / 'demo/demo.jpg'))
    reports, speeds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for family in args.family:
            model, threshold = make_detector(FAMILIES[family], tuple(args.size), [image])
            common = {'image_size': tuple(args.size), 'score_threshold': threshold}
            for name, more in (
                ('raw', {'form': 'raw'}),
                ('nms', {'form': 'onnx'}),
                ('pixels-batch', {'form': 'onnx', 'dynamic': True, 'preprocess': True}),
            ):
                options = ExportOptions(**common, **more)
                path = Path(folder) / f'{family}-{name}.onnx'
                export_onnx(model, path, options)
                reports.append(check_export(model, path, options, [image]))
                if name == 'nms':
                    runtime = OnnxDetector(path)
                    batch, _ = runtime.make_input([image])
                    speeds.append(
                        (family, milliseconds(runtime.run, batch), milliseconds(detect_in_torch, model, batch, options))
                    )
    console = Console(width=120)
    console.print(report_table(reports, f'ONNX Runtime beside PyTorch at {args.size[0]} x {args.size[1]}'))
    for family, onnx_ms, torch_ms in speeds:
        print(f'{family:10} onnx ms {onnx_ms:7.1f}   torch ms {torch_ms:7.1f}')
    return 0 if all(report.passed and report.boxes for report in reports) else 1


if __name__ == '__main__':
    sys.exit(main())
