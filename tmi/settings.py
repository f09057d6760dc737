"""The settings of a training, a mining and an inference, typed.

Settings may come as text, and YAML 1.1 reads `1e-3` as a string and `off` as a boolean, so every setting has a default
and strings are cast. A platform's adapter adds its own keys to these classes and reads them from its files.
"""

import re
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from tmi.mining import ALGORITHMS, DEFAULT_ALGORITHM
from tmi.mining.parameters import PARAMETERS, settings_with
from tmi.recipe import AUTO, SCHEDULES

RAY_ADDRESS = re.compile(r'|auto|(?:\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}')
GPU_NUMBER = re.compile('[0-9]|[1-9][0-9]{1,2}')


def _reject_bool(value: Any) -> Any:
    """Reject a boolean where a number is needed: YAML reads yes, on and off as one, which is a mistake to report."""
    if isinstance(value, bool):
        raise ValueError('a number is needed, and YAML reads yes, no, on, off, true and false as booleans')
    return value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _switch(off: str) -> BeforeValidator:
    """`off` and `no` arrive as False; give them the word of a setting, and 'auto' for True."""
    words = {**dict.fromkeys(('off', 'no', 'none', 'false'), off), 'true': 'auto'}

    def read(value: Any) -> Any:
        word = str(value).lower() if isinstance(value, bool) else _lower(value)
        return words.get(word, word) if isinstance(word, str) else word

    return BeforeValidator(read)


def _size(value: Any) -> Any:
    """'640', 640, '640,480', '640x480' or [640, 480] to an int or a (width, height) pair."""
    if isinstance(value, str):
        value = value.lower().strip('()[] ').replace('x', ',').split(',')
    if isinstance(value, (list, tuple)):
        value = [_reject_bool(item) for item in value]
        return value[0] if len(value) == 1 else tuple(value)
    return _reject_bool(value)


Count = Annotated[int, BeforeValidator(_reject_bool), Field(ge=0, le=1_000_000)]
Positive = Annotated[int, BeforeValidator(_reject_bool), Field(ge=1, le=1_000_000)]
Fraction = Annotated[float, BeforeValidator(_reject_bool), Field(ge=0, le=1, allow_inf_nan=False)]
LearningRate = Annotated[float, BeforeValidator(_reject_bool), Field(ge=0, le=10, allow_inf_nan=False)]
Workers = Annotated[Literal['auto'] | Count, BeforeValidator(_lower)]
AutoPositive = Annotated[Literal['auto'] | Positive, BeforeValidator(_lower)]
Minutes = Annotated[float, BeforeValidator(_reject_bool), Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=32, le=8192)]
ImageSize = Annotated[Literal[0] | Side | tuple[Side, Side], BeforeValidator(_size)]
Files = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
Precision = Annotated[Literal['auto', 'fp32', 'bf16', 'fp16'], BeforeValidator(_lower)]


class Settings(BaseModel):
    """What all tasks share."""

    model_config = ConfigDict(extra='ignore', coerce_numbers_to_str=True, protected_namespaces=(), frozen=True)

    class_names: list[str] = Field(min_length=1)
    masks: bool = False  # whether objects have masks too, to be learnt and predicted: instance segmentation
    gpu_id: str = ''
    img_size: ImageSize = 0
    workers_per_gpu: Workers = 4
    precision: Precision = 'auto'
    log_level: Annotated[Literal['debug', 'info', 'warning', 'error'], BeforeValidator(_lower)] = 'info'

    @field_validator('class_names', mode='before')
    @classmethod
    def _names_are_text(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError('a list of names is needed')
        for name in value:
            if isinstance(name, bool):
                raise ValueError('a class name was read as a boolean: put quotes around yes, no, on and off')
            if not isinstance(name, (str, int)):
                raise ValueError(f'the class name {name!r} is not text: put quotes around it')
            if isinstance(name, str) and not (name.strip() and name.isprintable()):
                raise ValueError(f'the class name {name!r} is blank or holds control characters; name every class')
        return value

    @field_validator('class_names')
    @classmethod
    def _names_differ(cls, value: list[str]) -> list[str]:
        names = [name.strip() for name in value]
        doubles = sorted(name for name, count in Counter(names).items() if count > 1)
        if doubles:
            raise ValueError(f'these names occur more than once: {", ".join(doubles)}')
        return value

    @field_validator('gpu_id', mode='before')
    @classmethod
    def _ids_are_numbers(cls, value: Any) -> str:
        ids = [item.strip() for item in str(value).split(',')] if str(value).strip() else []
        is_text = isinstance(value, (str, int)) and not isinstance(value, bool)
        if not is_text or not all(GPU_NUMBER.fullmatch(item) for item in ids) or len(set(ids)) < len(ids):
            raise ValueError("different GPU numbers like '0' or '0,1' are needed, or '' for the CPU")
        return ','.join(ids)

    @property
    def gpu_ids(self) -> list[int]:
        """The GPUs of the task; none means CPU."""
        return [int(item) for item in self.gpu_id.split(',')] if self.gpu_id else []


class TrainingSettings(Settings):
    """Training."""

    pretrained_model_params: Files = []
    model_name: str = 'yolov8_n'
    samples_per_gpu: AutoPositive = 'auto'
    workers_per_gpu: Workers = 'auto'
    max_epochs: Positive = 100
    max_minutes: Minutes = 0.0
    learning_rate: LearningRate = 0.0
    schedule: Annotated[Literal[SCHEDULES], BeforeValidator(_lower)] = AUTO
    val_interval: Annotated[
        Literal['auto'] | Annotated[int, BeforeValidator(_reject_bool)], BeforeValidator(_lower)
    ] = 'auto'
    patience: Count = 0
    seed: Count = 0
    max_keep_checkpoints: Annotated[int, BeforeValidator(_reject_bool), Field(ge=1, le=9)] = 1
    pretrained: Annotated[Literal['auto', 'none'], _switch('none')] = 'auto'
    augment_on: Annotated[Literal['auto', 'cpu', 'device'], BeforeValidator(_lower)] = 'auto'
    cache: Annotated[Literal['auto', 'memory', 'disk', 'off'], _switch('off')] = 'auto'
    compile: bool = False
    metric: Annotated[Literal['bbox'], BeforeValidator(_lower)] = 'bbox'
    args_options: str = ''
    cfg_options: str = ''
    find_unused_parameters: bool = False
    check_labels: bool = True
    export_onnx: bool = False
    pipeline: Annotated[Literal['fast', 'public'], BeforeValidator(_lower)] = 'fast'

    @field_validator('val_interval')
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        return max(value, 1) if isinstance(value, int) else value


class PredictionSettings(Settings):
    """What mining and inference share: both run a trained model over the candidate images."""

    model_params_path: Files = []
    conf_threshold: Fraction = 0.2
    iou_threshold: Fraction = 0.65
    samples_per_gpu: Positive = 16
    engine: Annotated[Literal['torch', 'onnxruntime', 'openvino', 'auto'], BeforeValidator(_lower)] = 'torch'
    ray_address: str = ''

    @field_validator('ray_address')
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        value = value.strip()
        if not RAY_ADDRESS.fullmatch(value):
            raise ValueError(
                "the address of a Ray cluster is needed, HOST:PORT such as '10.0.0.5:6379', or auto for the cluster "
                "that this machine belongs to, or '' for this machine alone"
            )
        return value


class MiningSettings(
    settings_with(PredictionSettings, *PARAMETERS, *(item for one in ALGORITHMS.values() for item in one.parameters))
):
    """Mining; what its other settings mean stands in `tmi.mining.parameters` and in the files of the algorithms."""

    mining_algorithm: Annotated[Literal[tuple(ALGORITHMS)], BeforeValidator(_lower)] = DEFAULT_ALGORITHM
    conf_threshold: Fraction = 0.1  # of the former algorithms


class InferenceSettings(PredictionSettings):
    """Inference."""
