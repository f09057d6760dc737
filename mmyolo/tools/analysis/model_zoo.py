"""The document of all models: parameters and multiply-adds as measured here, accuracies as they were published."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmyolo.utils import register_all_modules

from .complexity import complexity, deployed_model

FAMILIES = {
    'yolov5': 'YOLOv5',
    'yolov5/yolov5u': 'YOLOv5u',
    'yolov5/mask_refine': 'YOLOv5, boxes refined by masks',
    'yolov5/voc': 'YOLOv5 on VOC',
    'yolov5/crowdhuman': 'YOLOv5 on CrowdHuman',
    'yolov5/ins_seg': 'YOLOv5, instances',
    'yolov6': 'YOLOv6',
    'yolov7': 'YOLOv7',
    'yolov8': 'YOLOv8',
    'yolox': 'YOLOX',
    'yolox/pose': 'YOLOX-pose',
    'ppyoloe': 'PPYOLOE and PPYOLOE+',
    'rtmdet': 'RTMDet and RTMDet-Ins',
    'rtmdet/rotated': 'RTMDet-R, rotated boxes',
}
# Parts of configs, and models that another package trains.
LEFT_OUT = ('_base_', 'rtmdet/distillation', 'rtmdet/cspnext_imagenet_pretrain', 'yolox/yolox_p5_tta')

INTRODUCTION = """\
# Model zoo

Parameters and GFLOPs are measured here, in the form in which a model is deployed (branches merged), at the input size
of its config's test pipeline, for one image. One flop is one multiplication with its addition; papers that count both
give twice the number. Norms that are not merged count as well. Accuracies are those that public mmyolo published for
its own training of the same config, on the validation set of the data set; they were not measured again here, and `-`
means that none was published. `TTA` is the same metric with test-time augmentation.

This page is written by

```bash
python tools/misc/model_zoo.py --out docs/model_zoo.md
```

## Weights and their licence

The weights behind the links were published by OpenMMLab's project mmyolo, which is released under GPL-3.0; no licence
of their own is stated for the weights. They are not part of this repository (Apache-2.0), which neither contains nor
changes them. Whether their licence suits a use is for the user to decide. Weights that you train with this package, on
your data and from random weights, are yours; if you start from published weights, consider the licence of those too.
"""


@dataclass(frozen=True)
class Row:
    """One model of the document.

    Attributes:
        config: path below `configs`, without its suffix.
        size: height and width of the input.
        parameters: in the deployed form.
        flops: multiply-adds of one image.
    """

    config: str
    size: tuple[int, int]
    parameters: int
    flops: int


def find_configs(root: Path) -> list[str]:
    """Return the paths of all configs with a model below a folder, without their suffix, as the document lists them."""
    names = sorted(path.relative_to(root).with_suffix('').as_posix() for path in root.rglob('*.py'))
    return [name for name in names if not name.startswith(LEFT_OUT)]


def family_of(config: str) -> str:
    """Return the section that a config belongs to, a key of `FAMILIES`.

    Raises:
        ValueError: for a folder that has no section.
    """
    folder = config.rpartition('/')[0]
    if folder not in FAMILIES:
        raise ValueError(f'configs/{folder} has no section: add it to FAMILIES of mmyolo/tools/analysis/model_zoo.py')
    return folder


def read_published(path: Path) -> dict[str, tuple[str, str, str, str]]:
    """Read the table of published results: config -> data set, metric, metric with TTA, address."""
    lines = path.read_text(encoding='utf-8').splitlines()
    rows = [line.split('\t') for line in lines if line.strip() and not line.startswith('#')]
    return {config: tuple(values) for config, *values in rows}


def input_size(cfg: Config) -> tuple[int, int]:
    """Height and width of the input that the test pipeline of a config makes."""
    dataset = cfg.test_dataloader.dataset
    dataset = dataset.get('dataset', dataset) if 'pipeline' not in dataset else dataset
    for step in dataset.pipeline:
        for key in ('scale', 'size'):
            if key in step:
                width, height = (step[key],) * 2 if isinstance(step[key], int) else step[key]
                return int(height), int(width)
        if 'width' in step:
            return int(step['height']), int(step['width'])
    raise ValueError(f'No step of the test pipeline of {cfg.filename} names a size')


def count(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Parameters, and multiply-adds of one image.

    Those of a network of convolutions are a multiple of the input's area and a constant (of attention that works on
    means over the image), so two small inputs give, exactly and in a fraction of the time, what a large one would.

    Args:
        model: of `deployed_model`.
        size: height and width of the input, multiples of the largest stride.
    """
    side = max(model.bbox_head.featmap_strides)
    small, large = (complexity(model, (side * rows, side), show_arch=False) for rows in (1, 2))
    slope = large['flops'] - small['flops']  # per side * side pixels
    cells, rest = divmod(size[0] * size[1], side * side)
    if rest:
        raise ValueError(f'The input size {size[0]} x {size[1]} is not a multiple of the stride {side}')
    return int(small['params']), int(small['flops'] + slope * (cells - 1))


def measure(root: Path, config: str, known: dict[str, tuple[int, int]]) -> Row:
    """Measure a config.

    Args:
        root: the folder of configs.
        config: path below it, without its suffix.
        known: numbers of networks that were measured, which configs with other recipes share; added to.
    """
    cfg = Config.fromfile(root / f'{config}.py')
    size = input_size(cfg)
    cfg.model.backbone.pop('init_cfg', None)
    head = cfg.model.bbox_head.get('head_module', cfg.model.bbox_head)
    network = json.dumps([cfg.model.backbone, cfg.model.neck, head, size], default=str, sort_keys=True)
    if network not in known:
        register_all_modules(init_default_scope=False)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmyolo')):
            with torch.device('meta'):  # nothing depends on the weights, and drawing them takes longer than counting
                model = deployed_model(cfg)
            known[network] = count(model.to_empty(device='cpu'), size)
    return Row(config, size, *known[network])


def document(rows: Sequence[Row], published: dict[str, tuple[str, str, str, str]]) -> str:
    """Write the document; families stand in the order of `FAMILIES`, models by size."""
    return INTRODUCTION + ''.join(_sections(rows, published))


def _sections(rows: Sequence[Row], published: dict[str, tuple[str, str, str, str]]) -> Iterator[str]:
    for family, title in FAMILIES.items():
        members = [row for row in rows if family_of(row.config) == family]
        if not members:
            continue
        yield f'\n## {title}\n\n| Config | Input | Parameters (M) | GFLOPs | Published | TTA | Weights |\n'
        yield '|---|---|---|---|---|---|---|\n'
        for row in sorted(members, key=lambda row: (row.parameters, row.config)):
            yield _line(row, published.get(row.config))


def _line(row: Row, result: tuple[str, str, str, str] | None) -> str:
    dataset, metric, tta, address = result or ('', '-', '-', '')
    metric = f'{metric} ({dataset})' if dataset else metric
    name = row.config.rpartition('/')[2]
    weights = f'[GPL-3.0]({address})' if address else '-'
    return (
        f'| [{name}](../configs/{row.config}.py) | {row.size[0]} x {row.size[1]} | {row.parameters / 1e6:.2f} | '
        f'{row.flops / 1e9:.2f} | {metric} | {tta} | {weights} |\n'
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `tools/misc/model_zoo.py`."""
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description='Write the document of all models')
    parser.add_argument('--configs', type=Path, default=root / 'configs', help='the folder of configs')
    parser.add_argument('--published', type=Path, default=root / 'docs/model_zoo.tsv', help='the published results')
    parser.add_argument('--out', type=Path, default=root / 'docs/model_zoo.md', help='the document to write')
    args = parser.parse_args(argv)
    published = read_published(args.published)
    rows, known = [], {}
    for config in find_configs(args.configs):
        rows.append(measure(args.configs, config, known))
        print(f'{config}: {rows[-1].parameters / 1e6:.2f} M parameters, {rows[-1].flops / 1e9:.2f} GFLOPs', flush=True)
    args.out.write_text(document(rows, published), encoding='utf-8')
    print(f'wrote {args.out}, {len(rows)} models')
    return 0
