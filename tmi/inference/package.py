"""Reading a model package: config and weights as data; neither can run code.

The config comes from the file beside the weights, else from the text that mmengine keeps in a checkpoint, else from the
weights themselves, where a family can tell it, else, for a public checkpoint, from `configs/`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor

from mmyolo.utils.checkpoint import fits_into_memory
from mmyolo.utils.literal_config import ConfigContentError, parse_literal_config, read_literal_config
from tmi.checkpoint_io import class_names_of, load_checkpoint
from tmi.errors import GpuError, InsufficientMemoryError, ModelError, TaskError, as_task_error
from tmi.families import all_families, family_of
from tmi.families.base import Family
from tmi.zoo.table import public_checkpoints
from tmi.zoo.weights import InferenceModel

# What goes wrong while a model is built or tried is the package's fault, but for these.
FAULTS_OF_THE_MACHINE = (InsufficientMemoryError, GpuError)


@dataclass
class ModelPackage:
    """A trained model as data.

    Args:
        state_dict: Its weights.
        model: Config of the detector.
        pipeline: Config of the test pipeline.
        source: The weight file, for messages.
        class_names: Those that the checkpoint keeps, in the order of the outputs; None if it keeps none.
    """

    state_dict: dict[str, Tensor]
    model: dict[str, Any]
    pipeline: list[dict[str, Any]]
    source: Path
    class_names: list[str] | None = None

    @property
    def family(self) -> Family:
        return family_of(self.model)


@contextmanager
def fault_of_package(sentence: str, package: ModelPackage | None = None) -> Iterator[None]:
    """Within this, whatever fails is blamed on the package, unless the machine is at fault or the cause is known.

    Args:
        sentence: What cannot be done with it; the error follows.
        package: That is being built; a config that asks for far more memory than its weights is at fault itself.
    """
    try:
        yield
    except ConfigContentError as error:
        raise ModelError(str(error)) from error
    except TaskError:
        raise
    except Exception as error:
        known = as_task_error(error)
        small = package is not None and fits_into_memory(sum(value.nbytes for value in package.state_dict.values()))
        if isinstance(known, FAULTS_OF_THE_MACHINE) and not (small and isinstance(known, InsufficientMemoryError)):
            raise known from error
        detail = ' '.join(str(error).split())[:300]
        raise ModelError(f'{sentence}: {type(error).__name__}{": " if detail else ""}{detail}') from error


def read_package(files: InferenceModel) -> ModelPackage:
    """Read weights and config of a model package.

    Args:
        files: What `choose_inference_model` chose.

    Returns:
        The package.

    Raises:
        TaskError: 300004 if a file is broken, no config belongs to the weights, or the config would build anything but
            a detector.
    """
    checkpoint = load_checkpoint(files.checkpoint)
    source = files.config or files.checkpoint
    with fault_of_package(f'The config of {source} cannot be read'):
        config = _find_config(files, checkpoint)
        model = config.get('model')
        family = family_of(model if isinstance(model, Mapping) else {})
        model = family.check_model(model, source)
        pipeline = prediction_pipeline(config)
        if not pipeline:
            raise ModelError(
                f'The config of {source} has no test pipeline: it needs the name `test_pipeline` or `test_dataloader`.'
            )
        pipeline = family.check_pipeline(pipeline, source)
    with fault_of_package(f'The weights {files.checkpoint} cannot be read'):
        checkpoint = family.read_checkpoint(checkpoint)
    return ModelPackage(checkpoint['state_dict'], model, pipeline, files.checkpoint, class_names_of(checkpoint))


def _find_config(files: InferenceModel, checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    if files.config is not None:
        return read_literal_config(files.config)
    text = (checkpoint.get('meta') or {}).get('cfg')
    if isinstance(text, str) and text.strip():
        return parse_literal_config(text, files.checkpoint)
    for family in all_families():
        config = family.config_of(checkpoint)
        if config is not None:
            return config
    for row in public_checkpoints().values():
        if row.file_name == files.checkpoint.name:
            return Config.fromfile(row.config)
    raise ModelError(
        f'No config belongs to {files.checkpoint}: the package has no .py file, the checkpoint '
        'keeps none, and it is not a public checkpoint by name. Import the model with its config, or train '
        'it with this image.'
    )


def prediction_pipeline(config: Mapping[str, Any]) -> Any:
    """Return the test pipeline of a complete config; None if it has none."""
    place = config.get('test_dataloader')
    while isinstance(place, Mapping):  # wrappers such as RepeatDataset
        if place.get('pipeline'):
            return place['pipeline']
        place = place.get('dataset')
    return config.get('test_pipeline')
