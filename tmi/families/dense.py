"""YOLO detectors with a dense head, on mmdet's `SingleStageDetector`: YOLOv5 to YOLOv8, YOLOX, PPYOLOE, RTMDet.

The only place, with the files that it imports here, that knows their heads, hooks and transforms.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch import nn

from tmi.families.base import DataSettings, Family, Predictor
from tmi.families.coco_data import (
    PACKAGE_FILES,
    cached_loading,
    coco_dataset,
    package_evaluator,
    set_evaluators,
    training_files,
    use_image_cache,
)
from tmi.families.dense_schedule import read_schedule, reschedule, switch_pipelines, write_schedule
from tmi.families.device_augment import augment_on_device, takes_device_augment
from tmi.families.fast_pipeline import use_fast_pipelines
from tmi.families.image_size import Size, scale_batch_sizes, scale_train_size, set_test_size
from tmi.families.reschedule import Done
from tmi.recipe import BaseRecipe, Recipe

logger = logging.getLogger('tmi')

# Heads whose losses are balanced by the number of classes and the area of the input.
BALANCED_HEADS = ('YOLOv5Head', 'YOLOv7Head')


class DenseFamily(Family):
    """YOLO detectors."""

    class_count_paths = (
        ('bbox_head', 'head_module', 'num_classes'),
        ('bbox_head', 'num_classes'),
        ('train_cfg', 'assigner', 'num_classes'),
        ('train_cfg', 'initial_assigner', 'num_classes'),
    )

    def knows(self, model: Mapping[str, Any]) -> bool:
        return 'bbox_head' in model

    def input_multiple(self, model: ConfigDict) -> int:
        """Return the stride of the coarsest level of a head, 32 where the config leaves it to the default."""
        head = model.bbox_head
        strides = head.get('prior_generator', {}).get('strides') or head.head_module.get('featmap_strides') or [32]
        return max(strides)

    def read_schedule(self, cfg: ConfigDict, pretrained: bool) -> BaseRecipe:
        return read_schedule(cfg, pretrained)

    def write_schedule(self, cfg: ConfigDict, recipe: Recipe) -> None:
        write_schedule(cfg, recipe)

    def reschedule(self, runner: Runner, cfg: Config, done: Done) -> None:
        super().reschedule(runner, cfg, done)
        reschedule(runner, cfg)

    def set_loss_weights(self, cfg: ConfigDict, num_classes: int, size: Size) -> None:
        """Balance the losses of YOLOv5 and YOLOv7 by the number of classes and the area of the input."""
        head = cfg.model.bbox_head
        if head.type not in BALANCED_HEADS:
            return
        per_map = 3 / cfg.num_det_layers
        head.loss_cls.loss_weight = cfg.loss_cls_weight * num_classes / 80 * per_map
        head.loss_obj.loss_weight = cfg.loss_obj_weight * (size[0] * size[1] / 640**2) * per_map

    def set_data(self, cfg: ConfigDict, settings: DataSettings) -> None:
        data, own, size = settings.data, settings.own_size, settings.size
        largest = scale_batch_sizes(cfg.model.data_preprocessor.get('batch_augments') or (), own, size)
        # Where images keep a size of their own until batches are made, these are resized from it.
        several_sizes = cfg.train_dataloader.get('collate_fn', {}).get('use_ms_training', False)
        cached = cached_loading(data, max(*size, largest if several_sizes else 0))
        common = coco_dataset(settings.class_names)
        batch_shapes = cfg.val_dataloader.dataset.get('batch_shapes_cfg')
        if batch_shapes is not None:  # the policy knows squares only
            square = size[0] == size[1]
            batch_shapes = dict(batch_shapes, batch_size=settings.batch_size, img_size=size[0]) if square else None
        cfg.train_dataloader.dataset = dict(
            common, **training_files(data), pipeline=use_image_cache(_pipeline(cfg.train_dataloader), cached)
        )
        for item in switch_pipelines(cfg):
            item['hook'][item['argument']] = use_image_cache(item['hook'][item['argument']], cached)
        cfg.val_dataloader.dataset = dict(
            common,
            ann_file=str(data.val_file),
            test_mode=True,
            pipeline=_pipeline(cfg.val_dataloader),
            batch_shapes_cfg=batch_shapes,
        )
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
        set_evaluators(cfg, data, settings.metric)
        if 'batch_size_per_gpu' in cfg.optim_wrapper.optimizer:
            cfg.optim_wrapper.optimizer.batch_size_per_gpu = settings.batch_size
        if size != own:  # a config may test at another size than it trains at
            _set_image_size(cfg, own, size)
        train = cfg.train_dataloader.dataset
        last = switch_pipelines(cfg)
        pipelines = [('', train.pipeline), *(('last epochs', item['hook'][item['argument']]) for item in last)]
        train.pipeline, *switched = use_fast_pipelines(pipelines, settings.pipeline)
        for item, pipeline in zip(last, switched):
            item['hook'][item['argument']] = pipeline
        if settings.augment_on_device:
            on_workers = train.pipeline
            if takes_device_augment(cfg.model.data_preprocessor, cfg.train_dataloader):
                train.pipeline = augment_on_device(train.pipeline, cfg.train_dataloader)
                for item in last:
                    pipeline = item['hook'][item['argument']]
                    item['hook'][item['argument']] = augment_on_device(pipeline, cfg.train_dataloader)
            if train.pipeline == on_workers:
                logger.info('augment_on: cpu, not device: the colour and flip of this model have no form for devices')

    def hooks(self, num_processes: int) -> list[dict[str, Any]]:
        hooks = [{'type': 'MemoryFormatHook', 'memory_format': 'channels_last'}]
        return [*hooks, {'type': 'SyncNormStatisticsHook'}] if num_processes > 1 else hooks

    def compilable_parts(self, model: nn.Module) -> list[nn.Module]:
        head = model.bbox_head.head_module
        towers = [layer for layers in getattr(head, 'level_layers', ()) for layer in layers]
        # Some heads call their layers themselves in training; of a part that is not called nothing is compiled.
        return [model.backbone, *([model.neck] if model.with_neck else []), head, *towers]

    def thresholds(self, cfg: ConfigDict) -> dict[str, float]:
        test_cfg = cfg.model.test_cfg
        return {'conf_thr': float(test_cfg.score_thr), 'iou_thr': float(test_cfg.nms.iou_threshold)}

    def set_package(self, package: ConfigDict, metric: str | list[str]) -> None:
        """As the base class says, in the words of public mmyolo."""
        dataset = package.test_dataloader.dataset
        dataset.update(PACKAGE_FILES)
        if dataset.get('batch_shapes_cfg'):
            dataset.batch_shapes_cfg.batch_size = 1
        package.test_evaluator = package_evaluator(metric)

    def check_model(self, model: Any, source: Any) -> dict[str, Any]:
        from mmyolo.utils.config_types import model_from_elsewhere

        return model_from_elsewhere(model, source)

    def num_classes(self, model: nn.Module) -> int:
        return int(model.bbox_head.num_classes)

    def check_input_size(
        self, model: nn.Module, steps: Sequence[dict[str, Any]], asked: Size | None, source: Path
    ) -> None:
        from tmi.families.input_size import check_input_size

        check_input_size(model, steps, asked, source)

    def predictor(
        self, model: nn.Module, device: torch.device, score_thr: float, iou_thr: float, precision: str = 'auto'
    ) -> Predictor:
        from tmi.families.dense_predictor import DensePredictor

        return DensePredictor(model, device, score_thr, iou_thr, precision)

    def export_onnx(self, model: nn.Module, file: Path, size: Size, image: np.ndarray) -> Any:
        from tmi.families.onnx_files import export_dense

        return export_dense(model, file, size, image)


def _pipeline(loader: ConfigDict) -> list[dict[str, Any]]:
    """Return the pipeline of a loader's data set, also of the first of several joined ones."""
    dataset = loader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.datasets[0] if 'datasets' in dataset else dataset.dataset
    return dataset.pipeline


def _set_image_size(cfg: ConfigDict, own: Size, size: Size) -> None:
    scale_train_size(cfg.train_dataloader.dataset.pipeline, own, size)
    for item in switch_pipelines(cfg):
        scale_train_size(item['hook'][item['argument']], own, size)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        set_test_size(loader.dataset.pipeline, size)
