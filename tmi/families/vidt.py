"""ViDT and ViDT+: detectors of a Swin backbone with detection tokens, and their form without a neck (`vidt/`).

Images keep their aspect: the short side is resized to the height of `img_scale` unless the long side would pass its
width, and both are multiples of 16. Nothing is padded where images are predicted, so what is found in one does not
depend on the others of its batch.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn

from mmyolo.utils.config_types import TRANSFORM, Kind, part_from_elsewhere, pipeline_from_elsewhere
from mmyolo.utils.literal_config import ConfigContentError
from tmi.checkpoint_io import StateDict
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
from tmi.families.image_size import Size, pixel_transforms, set_test_size, with_nested
from tmi.families.schedulers import read_schedulers, write_schedulers
from tmi.recipe import BaseRecipe, Recipe

DETECTORS = ('ViDT', 'ViDTWithoutNeck')
TOKENS = 'backbone.det_token'  # among the weights of every detector of this family, and no other
MODULES = ('vidt.models', 'vidt.losses', 'mmdet.models.data_preprocessors')
MODEL = Kind('a part of ViDT', ('model',), MODULES, outside=True)  # a teacher, which no package may name
STEP = TRANSFORM._replace(modules=(*TRANSFORM.modules, 'vidt.datasets'))
# Measured with few images (docs/vidt.md): the published rate of 0.0001 hardly moves random weights in a short run, and
# queries that begin at noised boxes of the objects make a better model in the same time. The public form has neither.
FEW_STEPS_LR = 0.001
DENOISING_GROUPS = 5
FEW_STEPS_TOKEN_STD = 1.0  # so that queries differ from the start
FEW_STEPS_WITHOUT = CROPS, DECODER_DROPOUT = ('crops', 'dropout of the decoder')
WARMUP_MIN_STEPS = 100  # an epoch of few images is one step
SIDE_STEP = 16  # sides of the input are multiples of it
# Transform -> its lengths that follow the short side of the input.
SHORT_SIDES = {'ViDTResize': ('sizes',), 'ViDTRandomSizeCrop': ('min_size', 'max_size', 'sizes')}


class ViDTFamily(Family):
    """ViDT detectors."""

    # The first imports mmdet's data sets without a word, and stands in for mmcv._ext before mmdet is imported.
    modules = ('mmyolo.datasets', 'vidt')
    class_count_paths = (('num_classes',), ('criterion', 'num_classes'))
    structure_keys = ('num_decoder_layers', 'box_refine', 'epff')  # with others, heads and layers would begin at random
    others_last = ('class_embed.layers.2.weight', 'class_embed.layers.2.bias')  # "no object", in the form without neck

    def knows(self, model: Mapping[str, Any]) -> bool:
        return isinstance(model.get('type'), str) and _plain(model['type']) in DETECTORS

    def input_multiple(self, model: ConfigDict) -> int:
        return 1  # the transforms round sides down to what the network takes

    def read_schedule(self, cfg: ConfigDict, pretrained: bool) -> BaseRecipe:
        optimizer = cfg.optim_wrapper.optimizer
        has_decoder = _plain(cfg.model.type) == 'ViDT'
        return BaseRecipe(
            lr=optimizer.lr,
            optimizer=optimizer.type,
            few_steps_lr=FEW_STEPS_LR,
            queries_keep_lr=has_decoder,
            denoising_groups=DENOISING_GROUPS if cfg.model.get('box_refine') else 0,
            few_steps_without=FEW_STEPS_WITHOUT if has_decoder else (CROPS,),
            close_mosaic_epochs=0,
            ema_momentum=0.0,
            batch_size=cfg.train_dataloader.batch_size,
            val_interval=cfg.train_cfg.get('val_interval', 1),
            pretrained=pretrained,
            **{**read_schedulers(cfg.param_scheduler, optimizer.lr), 'warmup_min_iters': WARMUP_MIN_STEPS},
        )

    def write_schedule(self, cfg: ConfigDict, recipe: Recipe) -> None:
        cfg.optim_wrapper.optimizer.lr = recipe.lr
        if recipe.query_lr:
            cfg.optim_wrapper.paramwise_cfg = {'query_lr_mult': recipe.query_lr / recipe.lr}
            cfg.model.backbone.token_std = FEW_STEPS_TOKEN_STD
        if recipe.denoising_groups:
            cfg.model.denoising_groups = recipe.denoising_groups
        if DECODER_DROPOUT in recipe.without:
            cfg.model.dropout = 0.0
        if CROPS in recipe.without:
            _leave_crops_out(cfg.train_dataloader.dataset.pipeline)
        cfg.param_scheduler = write_schedulers(cfg.param_scheduler, cfg.train_cfg.max_epochs, 0, recipe)

    def set_data(self, cfg: ConfigDict, settings: DataSettings) -> None:
        data, size = settings.data, _long_and_short(settings.size)
        common = coco_dataset(settings.class_names)
        pipeline = copy.deepcopy(cfg.train_dataloader.dataset.pipeline)
        _scale_train_sizes(pipeline, settings.own_size, size)
        cfg.train_dataloader.dataset = dict(
            common, **training_files(data), pipeline=use_image_cache(pipeline, cached_loading(data, size[0]))
        )
        pipeline = copy.deepcopy(cfg.val_dataloader.dataset.pipeline)
        set_test_size(pipeline, size)
        cfg.val_dataloader.dataset = dict(common, ann_file=str(data.val_file), test_mode=True, pipeline=pipeline)
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
        set_evaluators(cfg, data, settings.metric)

    def thresholds(self, cfg: ConfigDict) -> dict[str, float]:
        return {'conf_thr': 0.0}  # the best boxes count, whatever their scores, and none suppresses another

    def set_package(self, package: ConfigDict, metric: str) -> None:
        package.test_dataloader.dataset.update(PACKAGE_FILES)
        package.test_evaluator = package_evaluator(metric)
        package.custom_imports = {'imports': ['mmyolo', 'vidt'], 'allow_failed_imports': False}
        package.model.pop('teacher', None)  # a file, which is there in training alone

    def read_checkpoint(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        self.register()
        from tmi.families.vidt_checkpoint import read_checkpoint

        return read_checkpoint(checkpoint)

    def config_of(self, checkpoint: Mapping[str, Any]) -> Config | None:
        if TOKENS not in checkpoint['state_dict']:
            return None
        self.register()
        from tmi.families.vidt_checkpoint import config_of

        return config_of(checkpoint)

    def model_name_of(self, checkpoint: Mapping[str, Any]) -> str | None:
        try:
            config = self.config_of(checkpoint)
        except ConfigContentError:
            return None
        arch = None if config is None else config.model.backbone.arch
        if not isinstance(arch, str):
            return None
        form = ('_plus' if config.model.epff else '') if _plain(config.model.type) == 'ViDT' else '_wo_neck'
        return f'vidt{form}_{arch}'

    def fit_weights(self, state: Mapping[str, Tensor], initial: Mapping[str, Tensor]) -> tuple[StateDict, list[str]]:
        from vidt.checkpoint import fit

        return fit(state, initial)

    def compilable_parts(self, model: nn.Module) -> list[nn.Module]:
        parts = (getattr(model, name, None) for name in ('backbone', 'fusion', 'transformer'))
        return [part for part in parts if part is not None]

    def check_model(self, model: Any, source: Any) -> dict[str, Any]:
        self.register()
        checked = part_from_elsewhere(model, MODEL, source, 'model')
        if not self.knows(checked):
            raise ConfigContentError(
                f'The config of {source}, model: type is {checked.get("type")!r}; allowed is {" or ".join(DETECTORS)}.'
            )
        return checked

    def check_pipeline(self, pipeline: Any, source: Any) -> list[dict[str, Any]]:
        return pipeline_from_elsewhere(pipeline, source, STEP)

    def num_classes(self, model: nn.Module) -> int:
        return model.num_classes

    def check_input_size(
        self, model: nn.Module, steps: Sequence[dict[str, Any]], asked: Size | None, source: Path
    ) -> None:
        """Take every size: the transforms round sides down to what the network takes."""

    def pixel_transforms(self, pipeline: Sequence[dict[str, Any]], size: Size | None = None) -> list[dict[str, Any]]:
        return pixel_transforms(pipeline, size and _long_and_short(size))

    def predictor(
        self, model: nn.Module, device: torch.device, score_thr: float, iou_thr: float, precision: str = 'auto'
    ) -> Predictor:
        from tmi.families.vidt_predictor import ViDTPredictor

        return ViDTPredictor(model, device, score_thr, precision)

    def export_onnx(self, model: nn.Module, file: Path, size: Size, image: np.ndarray) -> Any:
        from tmi.families.onnx_files import export_tokens

        return export_tokens(model, file, size, image)


def _plain(kind: str) -> str:
    return kind.rpartition('.')[2]


def _long_and_short(size: Size) -> Size:
    return max(size), min(size)


def _scale_train_sizes(pipeline: Sequence[dict[str, Any]], own: Size, size: Size) -> None:
    """Scale the lengths of a training pipeline from one input size to another, in place."""
    long, short = size[0] / own[0], size[1] / own[1]
    for transform in with_nested(pipeline):
        kind = _plain(transform['type'])
        for name in SHORT_SIDES.get(kind, ()):
            if transform.get(name) is not None:
                transform[name] = _scaled(transform[name], short)
        if kind == 'ViDTResize' and transform.get('max_size') is not None:
            transform['max_size'] = _scaled(transform['max_size'], long)


def _leave_crops_out(pipeline: Sequence[dict[str, Any]]) -> None:
    """Let no image go the way that begins with a crop, in place."""
    for transform in pipeline:
        if _plain(transform['type']) == 'RandomChoice':
            cropped = [_plain(way[0]['type']) == 'ViDTRandomSizeCrop' for way in transform['transforms']]
            if any(cropped) and not all(cropped):
                transform['prob'] = [0.0 if is_crop else 1 / cropped.count(False) for is_crop in cropped]


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, int):
        return max(round(value * factor / SIDE_STEP), 2) * SIDE_STEP if factor != 1 else value
    return [_scaled(item, factor) for item in value]
