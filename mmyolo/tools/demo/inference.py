"""What the demos share: a detector from its config and weights, its input, batches, and drawing what it found."""

import argparse
import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.apis import init_detector
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hub import get_config
from mmengine.visualization import Visualizer
from torch import nn

from mmyolo.datasets.transforms.loading import LoadImageFromFile
from mmyolo.errors import UnreadableImageError
from mmyolo.registry import DATASETS, VISUALIZERS
from mmyolo.utils.unreadable import printable

from ...utils.deploy import switch_to_deploy
from ...utils.device import choose_device
from ...utils.misc import show_data_classes
from .drawing import draw_instances
from .tta import use_tta

Image = str | np.ndarray


def add_detector_arguments(parser: argparse.ArgumentParser, source: str, source_help: str) -> None:
    """Add the arguments that every demo has: what to look at, the config, the checkpoint, device and threshold."""
    parser.add_argument(source, help=source_help)
    parser.add_argument('config', help='config file, or mmyolo::<path below configs>')
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '--device', default='cuda:0', help='device (default: %(default)s; the CPU where there is no GPU)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='boxes with a lower score do not count (default: %(default)s)'
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where pictures go."""
    parser.add_argument('--out-dir', default='./output', help='where results go (default: %(default)s)')
    parser.add_argument('--show', action='store_true', help='show pictures in a window instead of writing them')


def read_detector_config(config: str, cfg_options: dict | None = None) -> Config:
    """Read a config file, or the config of an installed package as `<package>::<path below its configs>`."""
    cfg = get_config(config) if '::' in str(config) else Config.fromfile(config)
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    if 'init_cfg' in cfg.model.backbone:
        cfg.model.backbone.init_cfg = None  # the checkpoint holds these weights
    return cfg


def load_detector(
    config: str | Config, checkpoint: str, device: str = 'cuda:0', tta: bool = False, deploy: bool = False
) -> nn.Module:
    """Build a detector and load its weights.

    Args:
        config: config, or what `read_detector_config` reads.
        checkpoint: file or address of the weights; names of the classes are taken from it.
        device: where to run; the CPU is taken where there is no GPU.
        tta: test-time augmentation.
        deploy: convert the model to its inference form.

    Returns:
        The detector in evaluation mode, with `cfg` and `dataset_meta`.
    """
    cfg = config if isinstance(config, Config) else read_detector_config(config)
    if tta:
        use_tta(cfg)
    model = init_detector(cfg, checkpoint, device=choose_device(device), cfg_options={})
    _complete_meta(model)
    if deploy:
        switch_to_deploy(model)
    return model


def _complete_meta(model: nn.Module) -> None:
    """Take from the config what the checkpoint does not say of its data.

    mmdet takes the classes of COCO where a checkpoint has no names; the data set of the config knows better.
    """
    dataset = copy.deepcopy(model.cfg.test_dataloader.dataset)
    while 'dataset' in dataset:
        dataset = dataset.dataset
    known = DATASETS.build(dict(dataset, lazy_init=True)).metainfo
    known = {key.lower(): value for key, value in known.items()}
    detector = getattr(model, 'module', model)
    num_classes = getattr(detector, 'bbox_head', detector).num_classes
    if len(model.dataset_meta['classes']) != num_classes and len(known.get('classes', ())) == num_classes:
        model.dataset_meta['classes'] = known['classes']
    for key, value in known.items():
        model.dataset_meta.setdefault(key, value)


def build_pipeline(model: nn.Module, from_array: bool = False) -> Compose:
    """Build the test pipeline of a detector.

    Args:
        model: from `load_detector`.
        from_array: images come as arrays instead of files.
    """
    loading, *transforms = get_test_pipeline_cfg(model.cfg.copy())
    if from_array:
        loading = {'type': 'mmdet.LoadImageFromNDArray'}
    # an image alone has no annotations
    transforms = [loading] + [one for one in transforms if not one['type'].endswith('LoadAnnotations')]
    return Compose(transforms)


class ReadableImages:
    """Reads images one after the other, and skips by name those that cannot be read.

    Args:
        files: paths, also with a progress bar around them.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files = files
        self.num_read = 0

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield path and (H, W, 3) uint8 BGR of each image.

        Raises:
            UnreadableImageError: there were images, and none could be read.
        """
        loader = LoadImageFromFile()
        skipped = []
        for file in self.files:
            try:
                image = loader({'img_path': file})['img']
            except OSError as error:
                reason = getattr(error, 'reason', '') or error.strerror or str(error)
                skipped.append(printable(f'{file} ({reason})'))
                print(printable(f'Skipped {file}: {reason}'), file=sys.stderr)
                continue
            self.num_read += 1
            yield file, image
        if skipped and not self.num_read:
            raise UnreadableImageError(f'None of the {len(skipped)} images can be read: {", ".join(skipped[:3])}')
        if skipped:
            print(
                f'{len(skipped)} of {len(skipped) + self.num_read} images were skipped because they cannot be read',
                file=sys.stderr,
            )


def detect(model: nn.Module, images: Sequence[Image], pipeline: Compose) -> list[DetDataSample]:
    """Detect in a batch of images.

    Args:
        model: from `load_detector`.
        images: files, or (H, W, 3) uint8 BGR arrays for a pipeline that was built for arrays.
        pipeline: from `build_pipeline`.

    Returns:
        A result of each image; boxes are in its pixels.
    """
    if not len(images):
        return []
    samples = [{'img': image} if isinstance(image, np.ndarray) else {'img_path': image} for image in images]
    known = {key: model.dataset_meta[key] for key in ('flip_indices',) if key in model.dataset_meta}  # of keypoints
    batch = pseudo_collate([pipeline(dict(known, img_id=i, id=i, **sample)) for i, sample in enumerate(samples)])
    with torch.no_grad():
        return list(model.test_step(batch))


def select(result: DetDataSample, score_thr: float, labels: Sequence[int] | None = None) -> DetDataSample:
    """Keep the boxes of some classes with a score above a threshold; return the result, changed in place.

    Args:
        result: with `pred_instances`.
        score_thr: the threshold.
        labels: the classes, all by default.
    """
    instances = result.pred_instances
    keep = instances.scores > score_thr
    if labels is not None:
        keep = keep & torch.isin(instances.labels, instances.labels.new_tensor(list(labels)))
    result.pred_instances = instances[keep]
    return result


def labels_of(names: Sequence[str] | None, classes: Sequence[str]) -> list[int] | None:
    """Return the labels of classes, None for None.

    Raises:
        RuntimeError: if the detector does not know a class; the table of those it knows is printed.
    """
    if names is None:
        return None
    unknown = [name for name in names if name not in classes]
    if unknown:
        show_data_classes(classes)
        raise RuntimeError(
            f'--class-name {" ".join(unknown)}: not a class of this detector; the table shows those it has'
        )
    return [list(classes).index(name) for name in names]


def build_painter(model: nn.Module) -> Callable[[np.ndarray, DetDataSample], np.ndarray]:
    """Give the function that draws results.

    Args:
        model: from `load_detector`. A visualizer of its config that is not for boxes draws, such as one for
            keypoints; else `draw_instances` does.

    Returns:
        ((H, W, 3) uint8 RGB, result that `select` has thinned out) -> (H, W, 3) uint8 RGB.
    """
    cfg = dict(model.cfg.get('visualizer') or {'type': 'mmdet.DetLocalVisualizer'}, vis_backends=None)
    meta = model.dataset_meta
    if cfg['type'].split('.')[-1] in ('DetLocalVisualizer', 'RotLocalVisualizer'):
        return lambda image, result: draw_instances(
            image, result.pred_instances.cpu(), meta['classes'], meta.get('palette')
        )
    cfg['name'] = f'{cfg.get("name", "visualizer")}_of_demo_{id(model)}'  # mmengine keeps one visualizer per name
    visualizer = VISUALIZERS.build(cfg)
    if hasattr(visualizer, 'set_dataset_meta'):
        visualizer.set_dataset_meta(meta)
    else:
        visualizer.dataset_meta = meta

    def paint(image: np.ndarray, result: DetDataSample) -> np.ndarray:
        visualizer.add_datasample('result', image, data_sample=result, draw_gt=False, show=False)
        return visualizer.get_image()

    return paint


def show(picture: np.ndarray, title: str) -> None:
    """Show an RGB picture in a window until a key is pressed."""
    Visualizer().show(picture, win_name=title)


def output_name(file: str, root: str, is_dir: bool) -> str:
    """Name what is written for an image: its file name; within a folder, its path with '_' for '/'."""
    return Path(file).relative_to(root).as_posix().replace('/', '_') if is_dir else Path(file).name
