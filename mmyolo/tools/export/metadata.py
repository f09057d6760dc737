"""What stands in an exported file beside the graph, so that it can be run without its config.

Each entry of the file's `metadata_props` is JSON. `FIELDS` says what they mean.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mmyolo.version import __version__

from .model import pixel_statistics

FIELDS = {
    'mmyolo': 'version that wrote the file',
    'config': 'name of the config',
    'classes': 'names of the classes',
    'form': 'raw, onnx, tensorrt8 or tensorrt7',
    'input_size': 'height and width',
    'strides': 'stride of each level',
    'preprocess_in_graph': 'whether the input is pixels, blue first; else it is normalised as the next three say',
    'channel_order': 'rgb or bgr, of the normalised input',
    'mean': 'of each channel, in that order',
    'std': 'of each channel, in that order',
    'resize': 'how an image becomes the input, see mmyolo.tools.export.runtime.fit',
    'nms': 'settings of the suppression; null for raw maps',
    'maps': 'layout of raw maps; null for the other forms',
}


def make_metadata(model: nn.Module, image_size, form: str, preprocess: bool, nms: dict | None) -> dict:
    """Collect what `FIELDS` names.

    Args:
        model: a detector with `cfg` and `dataset_meta`, as mmdet's `init_detector` gives it, or without.
        image_size: height and width of the input.
        form: see `FIELDS`.
        preprocess: whether the graph normalises.
        nms: settings of the suppression.
    """
    cfg = getattr(model, 'cfg', None)
    mean, std, to_rgb = pixel_statistics(model)
    classes = (getattr(model, 'dataset_meta', None) or {}).get('classes')
    head = model.bbox_head
    if not classes or len(classes) != head.num_classes:
        classes = [f'class {index}' for index in range(head.num_classes)]
    return {
        'mmyolo': __version__,
        'config': Path(cfg.filename).name if cfg is not None and cfg.filename else None,
        'classes': list(classes),
        'form': form,
        'input_size': list(image_size),
        'strides': [int(stride) for stride in head.featmap_strides],
        'preprocess_in_graph': preprocess,
        'channel_order': 'rgb' if to_rgb else 'bgr',
        'mean': mean,
        'std': std,
        'resize': resize_of(cfg),
        'nms': nms,
        'maps': _layout(head) if form == 'raw' else None,
    }


def _layout(head: nn.Module) -> dict:
    """Return how a consumer finds its way in raw maps."""
    anchors = getattr(head.prior_generator, 'base_sizes', None) if head.num_base_priors > 1 else None
    return {
        'head': type(head).__name__,
        'num_classes': head.num_classes,
        'channels': 'per anchor: box, objectness, classes' if anchors else 'classes, box, objectness if there is one',
        'anchors': anchors,
        'points_offset': getattr(head.prior_generator, 'offset', None) if not anchors else None,
    }


def resize_of(cfg: Config | None) -> dict:
    """Read from the test pipeline how an image becomes the input; see `mmyolo.tools.export.runtime.fit`."""
    found = {'mode': 'letterbox', 'pad_value': [114, 114, 114], 'interpolation': 'area or bilinear', 'scale_up': True}
    pipeline = cfg.test_dataloader.dataset.pipeline if cfg is not None and 'test_dataloader' in cfg else []
    types = {step['type'].split('.')[-1]: step for step in pipeline}
    if 'FixShapeResize' in types or ('Resize' in types and not types['Resize'].get('keep_ratio', False)):
        step = types.get('FixShapeResize') or types['Resize']
        if not step.get('keep_ratio', False):
            return dict(found, mode='stretch', interpolation=step.get('interpolation', 'bilinear'))
    if 'Resize' in types:
        found.update(mode='corner', interpolation=types['Resize'].get('interpolation', 'bilinear'))
    elif 'LetterResize' in types and 'YOLOv5KeepRatioResize' not in types:
        step = types['LetterResize']
        found.update(interpolation=step.get('interpolation', 'bilinear'), scale_up=step.get('allow_scale_up', True))
    for name in ('Pad', 'LetterResize'):
        value = types.get(name, {}).get('pad_val')
        value = value.get('img') if isinstance(value, Mapping) else value
        if value is not None:
            found['pad_value'] = [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)] * 3
    return found


def write_metadata(onnx_model, metadata: Mapping) -> None:
    """Write the entries into an ONNX ModelProto."""
    del onnx_model.metadata_props[:]
    for key, value in metadata.items():
        entry = onnx_model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value, ensure_ascii=False)


def read_metadata(entries: Mapping[str, str]) -> dict:
    """Read the entries back from the names and texts of a file.

    Raises:
        ValueError: if the file was not written by this package.
    """
    missing = [key for key in FIELDS if key not in entries]
    if missing:
        raise ValueError(
            f'The file has no metadata of mmyolo.tools.export ({", ".join(missing[:3])} are missing): export '
            'the checkpoint with tools/export.py'
        )
    return {key: json.loads(entries[key]) for key in FIELDS}
