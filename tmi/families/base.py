"""The seam: all that training, inference and mining ask of a kind of model.

A family is a class of `Family` with a `Predictor`, named in `tmi/families/__init__.py`; importing its module, and those
of `modules`, registers the classes that its configs name. It is asked in this order:

- training: `input_multiple`, `read_schedule`, `set_classes`, `set_loss_weights`, `set_data`, `write_schedule`, `hooks`,
  `thresholds`, `set_package`; then `add_class` to fit initial weights; `metric_prefix` to read what the evaluator
  found, and `reschedule` where a training gets another length while it runs;
- both: `read_checkpoint` for weights that come from elsewhere, `fit_weights`, and `config_of` for those without config;
- inference: `check_model`, `check_pipeline`, `num_classes`, `pixel_transforms`, `check_input_size`, `predictor`;
- mining: `predictor`, whose `inspect` gives the `Evidence` of each image, boxes and more from the same pass;
- export: `export_onnx`.

What a predictor gives stands in `detections.py`. Configs are mmengine's, with `model`, loaders, `optim_wrapper`,
`train_cfg`, hooks and `img_scale`, the (width, height) of the input.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmyolo.utils.config_types import pipeline_from_elsewhere
from tmi.checkpoint_io import StateDict
from tmi.errors import needs_fewer_images
from tmi.families.detections import ClassMaps, Detections, Evidence, InspectedBatch
from tmi.families.image_size import Size, pixel_transforms
from tmi.families.reschedule import Done, change_optimizer, replace_schedulers
from tmi.recipe import BaseRecipe, Recipe
from tmi.training.data import TrainingData

logger = logging.getLogger('tmi')


Measure = Callable[['Predictor', InspectedBatch], list[float]]
"""Gives a number for each image of a batch."""


@dataclass(frozen=True)
class DataSettings:
    """What a family sets the data of a training by.

    Args:
        data: The two sets.
        class_names: In the order of the outputs.
        batch_size: Images a step and process.
        metric: What the evaluator measures, one kind or several.
        own_size: (width, height) that the config is written for.
        size: (width, height) to train at.
        pipeline: 'fast' or 'public', the form of the augmentation.
        augment_on_device: Whether colour and flip are left to the device.
    """

    data: TrainingData
    class_names: tuple[str, ...]
    batch_size: int
    metric: str | list[str]
    own_size: Size
    size: Size
    pipeline: str = 'public'
    augment_on_device: bool = False


Engine = Callable[[Tensor], list[Tensor]]
"""Gives for the input of a network what the network gives."""


class Predictor(ABC):
    """A trained model on its device, ready to predict batches.

    Args:
        device: Where it runs.
        half_precision: Whether it computes in fp16 or bf16.
    """

    input_multiple: int | None = None
    """What each side of the input must be a multiple of; None if that is not known."""
    max_images: int | None = None
    """Images that go through the network together at most; None for as many as a batch has."""
    box_tolerance: float = 1e-3
    """Pixels of the input by which boxes may differ when an engine runs the network."""
    engine: Engine | None = None
    """What runs the network in place of torch, see `network`."""
    gives_masks: bool = False
    """Whether the model can predict the mask of each object."""
    with_masks: bool = False
    """Whether `predict` and `inspect` give masks too; only where `gives_masks`."""

    def __init__(self, device: torch.device, half_precision: bool = False) -> None:
        self.device = device
        self.half_precision = half_precision

    @abstractmethod
    def predict_once(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        """Predict the boxes of a batch in one pass; arguments as of `predict`."""

    def predict_any(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        """As `predict`, with boxes of all scores, which shows at the first picture whether what follows the network
        works.
        """
        return self.predict(pixels, metas)

    @abstractmethod
    def inspect_once(
        self, pixels: Tensor, metas: Sequence[dict[str, Any]], with_class_maps: bool
    ) -> tuple[list[Evidence], ClassMaps | None]:
        """Predict the boxes of a batch in one pass, with what mining asks.

        Args:
            pixels: As of `predict`.
            metas: As of `predict`.
            with_class_maps: Whether class maps are wanted.

        Returns:
            The evidence of each image, whose detections are those of `predict_once`, and the class maps; None if they
            are not wanted or the model has none.
        """

    def network_input(self, pixels: Tensor) -> Tensor:
        """Return the (n, 3, H', W') float32 input of the network for pixels as of `predict`, on the device."""
        raise NotImplementedError(f'{type(self).__name__} has no network that an engine can run')

    def network(self, with_features: bool) -> nn.Module | None:
        """Return the part of the model that an engine can run in place of torch.

        Args:
            with_features: Whether `inspect_once` is asked too, which needs more than the boxes.

        Returns:
            From the input to a tuple of (n, ..., h, w) tensors, in eval mode; None if there is no such part. Predictors
            that have one give its input to `engine` where that is not None.
        """
        return None

    @torch.inference_mode()
    def predict(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        """Predict the boxes of a batch; a batch too large for the memory is halved until it fits.

        Args:
            pixels: (n, H, W, 3) uint8 BGR.
            metas: For each image `ori_shape` (h, w), `scale_factor` (w, h) and, if padded, `pad_param`.

        Returns:
            The boxes of each image, on the CPU.
        """
        return _in_halves(self.predict_once, torch.as_tensor(pixels), metas)

    @torch.inference_mode()
    def inspect(
        self,
        pixels: Tensor,
        metas: Sequence[dict[str, Any]],
        measure: Measure | None = None,
        with_class_maps: bool = False,
    ) -> list[Evidence]:
        """Predict the boxes of a batch, with what mining asks; memory is treated as in `predict`.

        Args:
            pixels: As of `predict`.
            metas: As of `predict`; what `measure` reads besides.
            measure: Gives the `value` of each image, within the same pass.
            with_class_maps: Whether `measure` reads class maps.

        Returns:
            The evidence of each image, on the CPU.
        """

        def inspect_part(part: Tensor, part_metas: Sequence[dict[str, Any]]) -> list[Evidence]:
            evidence, class_maps = self.inspect_once(part, part_metas, with_class_maps)
            if measure is not None:
                for one, value in zip(evidence, measure(self, InspectedBatch(part, part_metas, evidence, class_maps))):
                    one.value = value
            return evidence

        return _in_halves(inspect_part, torch.as_tensor(pixels), metas)


Found = TypeVar('Found')


def _in_halves(
    run: Callable[[Tensor, Sequence[dict[str, Any]]], list[Found]], pixels: Tensor, metas: Sequence[dict[str, Any]]
) -> list[Found]:
    """Run a batch, or where the memory is too small its halves."""
    try:
        return run(pixels, metas)
    except (RuntimeError, MemoryError) as error:
        if len(metas) == 1 or not needs_fewer_images(error):
            raise
    half = len(metas) // 2
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    logger.warning('The memory is too small for %d images at once, trying %d', len(metas), half)
    return _in_halves(run, pixels[:half], metas[:half]) + _in_halves(run, pixels[half:], metas[half:])


class Family(ABC):
    """One kind of model."""

    modules: ClassVar[Sequence[str]] = ()
    """Modules that register the classes that its configs name, besides its own; imported by `register` alone."""
    class_count_paths: ClassVar[Sequence[tuple[str, ...]]] = ()
    """Where the config of a model may hold the number of classes."""
    others_last: ClassVar[Sequence[str]] = ()
    """Names of weights in which rows of no class stand behind those of the classes; elsewhere before them."""
    metric_prefix: ClassVar[str] = 'coco/bbox_'
    """What the names of the evaluator's metrics begin with; `mAP` behind it is the main one."""
    mask_metric_prefix: ClassVar[str] = 'coco/segm_'
    """The same of the metrics of masks, which count in a training that learns masks."""
    structure_keys: ClassVar[Sequence[str]] = ()
    """Keys of the config of a model that a training takes from its initial weights, as `config_of` tells them."""
    configs: ClassVar[Mapping[str, Path]] = {}
    """Model names of a family from outside, in lower case with `_`, to config files; the others stand in configs/."""

    def register(self) -> None:
        """Make the classes that its configs name known to the registries."""
        for module in self.modules:
            import_module(module)

    @abstractmethod
    def knows(self, model: Mapping[str, Any]) -> bool:
        """Return whether a model is of this family.

        Args:
            model: The value of `model` in a config, which may come from anywhere.
        """

    # Training: each changes a complete config, which is a copy.

    @abstractmethod
    def input_multiple(self, model: ConfigDict) -> int:
        """Return the number that each side of the input must be a multiple of."""

    @abstractmethod
    def read_schedule(self, cfg: ConfigDict, pretrained: bool) -> BaseRecipe:
        """Read the numbers of a config that the run's length changes.

        Args:
            cfg: A complete config.
            pretrained: Whether the run starts from a trained detector.
        """

    @abstractmethod
    def write_schedule(self, cfg: ConfigDict, recipe: Recipe) -> None:
        """Write the numbers of a run into a config, whose `train_cfg.max_epochs` is still its own."""

    def reschedule(self, runner: Runner, cfg: Config, done: Done) -> None:
        """Move a training that runs to the schedule of a run of another length; how long it runs is set elsewhere.

        Args:
            runner: Runs the training.
            cfg: The complete config of a run of that length, as `write_schedule` and the user's options have it.
            done: The steps and epochs that are done.
        """
        change_optimizer(runner, cfg)
        if isinstance(cfg.get('param_scheduler'), list):
            replace_schedulers(runner, cfg.param_scheduler, done)

    @abstractmethod
    def set_data(self, cfg: ConfigDict, settings: DataSettings) -> None:
        """Set data sets, evaluators and the input size; batches and workers of the loaders are set elsewhere.

        Args:
            cfg: A complete config, with the `test_dataloader` of `val_dataloader` when this returns.
            settings: What to set.
        """

    @abstractmethod
    def thresholds(self, cfg: ConfigDict) -> dict[str, float]:
        """Return the thresholds of the validation, `conf_thr` and `iou_thr` where there are such."""

    @abstractmethod
    def set_package(self, package: ConfigDict, metric: str | list[str]) -> None:
        """Set data and `test_evaluator` in the config of a model package, which names nothing of the task.

        Args:
            package: A config with `model` and `test_dataloader`.
            metric: What the evaluator measures.
        """

    def set_classes(self, model: ConfigDict, num_classes: int) -> None:
        """Set the number of classes in the config of a model."""
        for node, name in self._class_counts(model):
            node[name] = num_classes

    def add_class(self, model: ConfigDict) -> None:
        """Give the config of a model one class more, by which its outputs that depend on the classes are found."""
        for node, name in self._class_counts(model):
            node[name] += 1

    def set_loss_weights(self, cfg: ConfigDict, num_classes: int, size: Size) -> None:  # noqa: B027, most need none
        """Set weights of losses that depend on the number of classes or the input size."""

    def hooks(self, num_processes: int) -> list[dict[str, Any]]:
        """Configs of hooks that trainings of this family have.

        Args:
            num_processes: Processes that train together.
        """
        return []

    def compilable_parts(self, model: nn.Module) -> list[nn.Module]:
        """Return the parts of a model that torch.compile may take: their shapes follow from the input's alone.

        Args:
            model: Built by mmengine.

        Returns:
            Modules, some of which may not be called in training; none unless a family names some.
        """
        return []

    def _class_counts(self, model: ConfigDict) -> Iterator[tuple[ConfigDict, str]]:
        for path in self.class_count_paths:
            node = model
            for name in path[:-1]:
                node = node.get(name, {})
            if path[-1] in node:
                yield node, path[-1]

    # Weights from elsewhere

    def read_checkpoint(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return a checkpoint in the names and classes of this family, where another project may have written it.

        Args:
            checkpoint: What `tmi.checkpoint_io.load_checkpoint` gives.

        Returns:
            The same, with `state_dict` in the names of the model, and class names in `meta` if they are known.
        """
        return checkpoint

    def fit_weights(self, state: Mapping[str, Tensor], initial: Mapping[str, Tensor]) -> tuple[StateDict, list[str]]:
        """Fit weights to a model with other options; what depends on the classes is fitted elsewhere.

        Args:
            state: In the names of the model.
            initial: The model's weights at its start.

        Returns:
            The weights, and for each change a sentence for the log.
        """
        return dict(state), []

    def config_of(self, checkpoint: Mapping[str, Any]) -> Config | None:
        """Return the config of a model whose weights come without one; None if they do not tell it.

        Args:
            checkpoint: What `tmi.checkpoint_io.load_checkpoint` gives.
        """
        return None

    def model_name_of(self, checkpoint: Mapping[str, Any]) -> str | None:
        """Return the name of the model that weights belong to by names and shapes; None if they do not tell it.

        Args:
            checkpoint: What `tmi.checkpoint_io.load_checkpoint` gives.
        """
        return None

    # Inference and mining

    def check_pipeline(self, pipeline: Any, source: Any) -> list[dict[str, Any]]:
        """Check a test pipeline from elsewhere, as `check_model` does the model.

        Args:
            pipeline: List of configs of transforms.
            source: Where it comes from, for messages.

        Returns:
            A copy.

        Raises:
            ConfigContentError: It holds anything but transforms of images.
        """
        return pipeline_from_elsewhere(pipeline, source)

    @abstractmethod
    def check_model(self, model: Any, source: Any) -> dict[str, Any]:
        """Check the config of a model from elsewhere, which is data: it may build nothing but a model of this family.

        Args:
            model: The value of `model`.
            source: Where it comes from, for messages.

        Returns:
            A copy that needs no file.

        Raises:
            ConfigContentError: It would build something else.
        """

    @abstractmethod
    def num_classes(self, model: nn.Module) -> int:
        """Return how many classes a model tells apart."""

    @abstractmethod
    def check_input_size(
        self, model: nn.Module, steps: Sequence[dict[str, Any]], asked: Size | None, source: Path
    ) -> None:
        """Check that a network can work at the size of its input.

        Args:
            model: The model.
            steps: What `pixel_transforms` gives.
            asked: `img_size` of the user, (width, height); None for the model's own.
            source: The weight file, for messages.

        Raises:
            SettingError: Naming the sizes next to it.
        """

    @abstractmethod
    def predictor(
        self, model: nn.Module, device: torch.device, score_thr: float, iou_thr: float, precision: str = 'auto'
    ) -> Predictor:
        """Make a model ready to predict.

        Args:
            model: With its weights, in eval mode.
            device: Where it runs.
            score_thr: Boxes need a score above this.
            iou_thr: Of two boxes of one class that overlap more than this, the better one stays, where boxes are
                suppressed.
            precision: 'auto', 'fp32', 'fp16' or 'bf16'.
        """

    def export_onnx(self, model: nn.Module, file: Path, size: Size, image: np.ndarray) -> Any:
        """Write a model as an ONNX file and compare it with PyTorch.

        Args:
            model: With its weights, `cfg` and `dataset_meta`, on the CPU.
            file: Where to write.
            size: (width, height) of the input.
            image: (h, w, 3) uint8 BGR, on which both are run.

        Returns:
            A `mmyolo.tools.export.check.CheckReport`.

        Raises:
            ValueError: This kind of model cannot be exported.
            ImportError: A package that is needed is not installed; the message says which.
        """
        raise ValueError(f'models of the kind {type(self).__name__} cannot be exported')

    def pixel_transforms(self, pipeline: Sequence[dict[str, Any]], size: Size | None = None) -> list[dict[str, Any]]:
        """Return the steps of a test pipeline between loading and packing.

        Args:
            pipeline: Of the config.
            size: (width, height) to use in place of the config's, None to keep it.

        Returns:
            Configs of transforms, from (h, w, 3) uint8 BGR to the same in the network's size.
        """
        return pixel_transforms(pipeline, size)
