"""The table of all models: parameters and multiply-adds as measured here, accuracies and weights as published.

The table stands in the metafile.yml of each folder of configs; docs/model_zoo.md is made from it. `Models` are those
with published weights, which mmengine finds by name; `Unpublished` are the other configs, which need a training first.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmyolo.utils import register_all_modules

from .complexity import complexity, count_products, deployed_model

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
    'vidt': 'ViDT and ViDT+',
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

This page is made from the files `configs/*/metafile.yml` and written, with the numbers in them, by

```bash
python tools/misc/model_zoo.py
```

## Weights and their licence

The weights behind the links were published by OpenMMLab's project mmyolo, which is released under GPL-3.0; no licence
of their own is stated for the weights. They are not part of this repository (Apache-2.0), which neither contains nor
changes them. Those of ViDT were published by NAVER with its code (Apache-2.0), those of Swin backbones by Microsoft
(MIT); the accuracies of ViDT are those at 1333 x 800. Whether a licence suits a use is for the user to decide. Weights
that you train with this package, on your data and from random weights, are yours; if you start from published weights,
consider the licence of those too.
"""


METAFILE_HEAD = """\
# Models of this folder. mmengine finds those with published weights (`Models`) by name; all are listed in
# docs/model_zoo.md. Input Size, Parameters and FLOPs are measured and written by: python tools/misc/model_zoo.py
"""
LICENSE = 'GPL-3.0'  # of published weights whose entry names no other
LISTS = ('Models', 'Unpublished')
MEASURED = ('Input Size', 'Parameters', 'FLOPs')
TTA = 'with TTA'

Entry = dict[str, Any]  # of a metafile


class _IndentedLists(yaml.SafeDumper):
    """Writes the items of a list further to the right than its key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def find_configs(root: Path) -> list[str]:
    """Return the paths of all configs with a model below a folder, without their suffix."""
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


def read_metafiles(root: Path) -> dict[str, Entry]:
    """Read the table of all models.

    Args:
        root: The folder of configs.

    Returns:
        Path of a config below `root`, without its suffix, to what its metafile says.
    """
    documents = [yaml.safe_load(path.read_text(encoding='utf-8')) for path in sorted(root.glob('*/metafile.yml'))]
    entries = (entry for document in documents for name in LISTS for entry in document.get(name) or ())
    return {entry['Config'].removeprefix('configs/').removesuffix('.py'): entry for entry in entries}


def metafile_text(document: Mapping[str, Any]) -> str:
    """Return the text of a metafile.yml."""
    return METAFILE_HEAD + yaml.dump(dict(document), Dumper=_IndentedLists, sort_keys=False, width=1000)


def write_metafiles(root: Path, measured: Mapping[str, Entry]) -> None:
    """Write what was measured into the metafiles; a config that none names becomes one of `Unpublished`.

    Args:
        root: The folder of configs.
        measured: Path of each config below `root`, without its suffix, to what `measure` gives.
    """
    for path in sorted(root.glob('*/metafile.yml')):
        document = yaml.safe_load(path.read_text(encoding='utf-8'))
        members = {config: found for config, found in measured.items() if config.startswith(f'{path.parent.name}/')}
        for entry in document['Models']:
            found = members.pop(entry['Config'].removeprefix('configs/').removesuffix('.py'), {})
            others = {key: value for key, value in entry.get('Metadata', {}).items() if key not in MEASURED}
            entry['Metadata'] = {**found, **others}
        known = {entry['Config']: entry for entry in document.get('Unpublished') or ()}
        document['Unpublished'] = [
            {
                **known.get(f'configs/{config}.py', {}),
                'Name': config.rpartition('/')[2],
                'Config': f'configs/{config}.py',
                'Metadata': dict(found),
            }
            for config, found in sorted(members.items())
        ]
        path.write_text(metafile_text(document), encoding='utf-8')


def input_size(cfg: Config) -> tuple[int, int]:
    """Height and width of the input that the test pipeline of a config makes."""
    dataset = cfg.test_dataloader.dataset
    dataset = dataset.get('dataset', dataset) if 'pipeline' not in dataset else dataset
    for step in dataset.pipeline:
        if 'sizes' in step:  # of the short side; the longest input counts
            return step['sizes'], step['max_size']
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
    Those of transformers are counted at the size itself.

    Args:
        model: of `deployed_model`.
        size: height and width of the input, multiples of the largest stride.
    """
    if not hasattr(model, 'bbox_head'):
        return sum(parameter.numel() for parameter in model.parameters()), count_products(model, size)
    side = max(model.bbox_head.featmap_strides)
    small, large = (complexity(model, (side * rows, side), show_arch=False) for rows in (1, 2))
    slope = large['flops'] - small['flops']  # per side * side pixels
    cells, rest = divmod(size[0] * size[1], side * side)
    if rest:
        raise ValueError(f'The input size {size[0]} x {size[1]} is not a multiple of the stride {side}')
    return int(small['params']), int(small['flops'] + slope * (cells - 1))


def measure(root: Path, config: str, known: dict[str, tuple[int, int]]) -> Entry:
    """Measure a config.

    Args:
        root: the folder of configs.
        config: path below it, without its suffix.
        known: numbers of networks that were measured, which configs with other recipes share; added to.

    Returns:
        `Input Size` as height x width, `Parameters` in the deployed form, and `FLOPs`, multiply-adds of one image.
    """
    cfg = Config.fromfile(root / f'{config}.py')
    size = input_size(cfg)
    cfg.model.backbone.pop('init_cfg', None)
    parts = [cfg.model]
    if 'bbox_head' in cfg.model:
        parts = [cfg.model.backbone, cfg.model.neck, cfg.model.bbox_head.get('head_module', cfg.model.bbox_head)]
    network = json.dumps([*parts, size], default=str, sort_keys=True)
    if network not in known:
        register_all_modules(init_default_scope=False)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmyolo')):
            if 'bbox_head' in cfg.model:
                with torch.device(
                    'meta'
                ):  # nothing depends on the weights, and drawing them takes longer than counting
                    model = deployed_model(cfg)
                model.to_empty(device='cpu')
            else:  # windows of transformers are looked up by buffers
                model = deployed_model(cfg)
            known[network] = count(model, size)
    return dict(zip(MEASURED, (f'{size[0]}x{size[1]}', *known[network])))


def document(entries: Mapping[str, Entry]) -> str:
    """Write the document; families stand in the order of `FAMILIES`, models by size.

    Args:
        entries: Of `read_metafiles`; what was not measured is left out.
    """
    return INTRODUCTION + ''.join(_sections({name: one for name, one in entries.items() if _is_measured(one)}))


def _is_measured(entry: Entry) -> bool:
    return all(key in entry['Metadata'] for key in MEASURED)


def _sections(entries: Mapping[str, Entry]) -> Iterator[str]:
    for family, title in FAMILIES.items():
        members = [config for config in entries if family_of(config) == family]
        if not members:
            continue
        yield f'\n## {title}\n\n| Config | Input | Parameters (M) | GFLOPs | Published | TTA | Weights |\n'
        yield '|---|---|---|---|---|---|---|\n'
        for config in sorted(members, key=lambda config: (entries[config]['Metadata']['Parameters'], config)):
            yield _line(config, entries[config])


def _line(config: str, entry: Entry) -> str:
    size, parameters, flops = (entry['Metadata'][key] for key in MEASURED)
    results = entry.get('Results', [])
    values = [(name, value) for result in results for name, value in result['Metrics'].items()]
    metric = ', '.join(f'{name} {value}' for name, value in values if not name.endswith(TTA))
    metric = f'{metric} ({results[0]["Dataset"]})' if results else '-'
    tta = next((str(value) for name, value in values if name.endswith(TTA)), '-')
    weights = f'[{entry.get("License", LICENSE)}]({entry["Weights"]})' if 'Weights' in entry else '-'
    return (
        f'| [{entry["Name"]}](../configs/{config}.py) | {size.replace("x", " x ")} | {parameters / 1e6:.2f} | '
        f'{flops / 1e9:.2f} | {metric} | {tta} | {weights} |\n'
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `tools/misc/model_zoo.py`."""
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description='Measure all models, and write their metafiles and their document')
    parser.add_argument('--configs', type=Path, default=root / 'configs', help='the folder of configs')
    parser.add_argument('--out', type=Path, default=root / 'docs/model_zoo.md', help='the document to write')
    parser.add_argument('--document-only', action='store_true', help='measure nothing, take what the metafiles hold')
    args = parser.parse_args(argv)
    if not args.document_only:
        measured, known = {}, {}
        for config in find_configs(args.configs):
            found = measured[config] = measure(args.configs, config, known)
            print(
                f'{config}: {found["Parameters"] / 1e6:.2f} M parameters, {found["FLOPs"] / 1e9:.2f} GFLOPs', flush=True
            )
        write_metafiles(args.configs, measured)
    args.out.write_text(document(read_metafiles(args.configs)), encoding='utf-8')
    print(f'wrote {args.out}')
    return 0
