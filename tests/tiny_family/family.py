"""The tiny family: no dense head, no NMS, a schedule of its own, a metric of its own; all of it in this file."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmyolo.models.data_preprocessors import normalize_pixels
from mmyolo.utils.config_types import Kind, part_from_elsewhere
from tests.tiny_family.model import CELL, cells_to_boxes
from tmi.errors import SettingError
from tmi.families.base import DataSettings, Detections, Evidence, Family, Predictor
from tmi.families.evidence import plain_evidence
from tmi.families.image_size import Size, nearest_sizes, set_test_size
from tmi.recipe import BaseRecipe, Recipe

GRID = Kind('a grid detector', ('model',), ('tests.tiny_family.model', 'mmdet.models.data_preprocessors'))


class GridPredictor(Predictor):
    """Predicts cells."""

    def __init__(self, model: nn.Module, device: torch.device, score_thr: float) -> None:
        super().__init__(device)
        self.model = model.to(device)
        self.score_thr = score_thr

    def predict_once(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        return [self._boxes(*one) for one in zip(self._run(pixels), metas)]

    def inspect_once(
        self, pixels: Tensor, metas: Sequence[dict[str, Any]], with_class_maps: bool
    ) -> tuple[list[Evidence], None]:
        maps = self._run(pixels)
        embeddings = maps.mean((2, 3))
        found = [self._boxes(*one) for one in zip(maps, metas)]
        return [plain_evidence(*one, self.model.num_classes) for one in zip(found, embeddings)], None

    def _run(self, pixels: Tensor) -> Tensor:
        inputs = normalize_pixels(pixels.to(self.device).permute(0, 3, 1, 2), self.model.data_preprocessor)
        return self.model.layers(inputs).cpu()

    def _boxes(self, logits: Tensor, meta: dict[str, Any]) -> Detections:
        cells = cells_to_boxes(logits, meta)
        cells = cells[cells.scores > self.score_thr]
        return Detections(cells.bboxes, cells.scores, cells.labels, bool(logits.isfinite().all()))


class GridFamily(Family):
    """Models of type GridDetector."""

    class_count_paths = (('num_classes',),)
    metric_prefix = 'cells/'
    configs = {'grid': Path(__file__).with_name('grid.py')}

    def knows(self, model: Mapping[str, Any]) -> bool:
        return model.get('type') == 'GridDetector'

    def input_multiple(self, model: ConfigDict) -> int:
        return CELL

    def read_schedule(self, cfg: ConfigDict, pretrained: bool) -> BaseRecipe:
        return BaseRecipe(lr=cfg.optim_wrapper.optimizer.lr, lr_factor=0.1, close_mosaic_epochs=0)

    def write_schedule(self, cfg: ConfigDict, recipe: Recipe) -> None:
        cfg.optim_wrapper.optimizer.lr = recipe.lr
        cfg.param_scheduler[0].end = recipe.warmup_iters
        cfg.param_scheduler[1].milestones = [max(recipe.epochs * 4 // 5, 1)]

    def set_data(self, cfg: ConfigDict, settings: DataSettings) -> None:
        for loader, file in (
            (cfg.train_dataloader, settings.data.train_file),
            (cfg.val_dataloader, settings.data.val_file),
        ):
            set_test_size(loader.dataset.pipeline, settings.size)
            loader.dataset.update(
                ann_file=str(file), data_prefix={'img': ''}, metainfo={'classes': settings.class_names}
            )
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)

    def compilable_parts(self, model: nn.Module) -> list[nn.Module]:
        return [model.layers]

    def thresholds(self, cfg: ConfigDict) -> dict[str, float]:
        return {'conf_thr': 0.5}

    def set_package(self, package: ConfigDict, metric: str) -> None:
        package.test_dataloader.dataset.ann_file = 'annotations.json'

    def check_model(self, model: Any, source: Any) -> dict[str, Any]:
        return part_from_elsewhere(model, GRID, source, 'model')

    def num_classes(self, model: nn.Module) -> int:
        return model.num_classes

    def check_input_size(
        self, model: nn.Module, steps: Sequence[dict[str, Any]], asked: Size | None, source: Path
    ) -> None:
        if asked and any(side % CELL for side in asked):
            raise SettingError(f'img_size is {asked}: allowed are multiples of {CELL}, {nearest_sizes(asked, CELL)}.')

    def predictor(
        self, model: nn.Module, device: torch.device, score_thr: float, iou_thr: float, precision: str = 'auto'
    ) -> Predictor:
        return GridPredictor(model, device, score_thr)
