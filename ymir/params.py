"""The hyper-parameters of the three tasks, typed (contract sections b and c.2).

Their defaults are the templates in `img-man/` (a test holds both equal). The web form drops empty and zero values and
returns edited ones as strings, and YAML 1.1 reads `1e-3` as a string and `off` as a boolean, so every key has a default, an empty
value means the default, and strings are cast. A key that nobody knows is a warning, because templates of older images
live on in the platform's database; a value that cannot be used is an error.
"""

import difflib
import logging
import re
import reprlib
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from ymir.errors import TaskError
from ymir_exc.code import ExecutorReturnCode

logger = logging.getLogger('ymir')

SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 200
GPU_NUMBER = re.compile('[0-9]|[1-9][0-9]{1,2}')

PLATFORM_PREFIX = 'openpai_'  # where the platform runs tasks on OpenPAI
NEAR = 0.75  # of 1; less likeness is no misspelling: max_iter is not val_interval
# Set or consumed by the platform; known, and nothing to warn about.
PLATFORM_KEYS = frozenset(
    {
        'task_id',
        'class_names',
        'gpu_id',
        'gpu_count',
        'object_type',
        'shm_size',
        'pretrained_model_params',
        'model_params_path',
        'run_infer',
        'run_mining',
        'git_url',
        'git_branch',
        'code_config',
        'pypi_mirror',
        'prompt',
        'text_prompt',
    }
)

# What the key may be; 0 is what platforms before the key mean. YAML reads 2.0 as a decimal.
DETECTION_TYPES = ('2', '2.0', '0')


def _reject_bool(value: Any) -> Any:
    """`true` is not 1: a number that YAML read as a boolean (yes, on, off) is a mistake worth telling."""
    if isinstance(value, bool):
        raise ValueError('a number is needed, and YAML reads yes, no, on, off, true and false as booleans')
    return value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    """`off` and `no` arrive as False."""
    if isinstance(value, bool):
        return 'auto' if value else 'none'
    word = _lower(value)
    return (
        {'off': 'none', 'no': 'none', 'false': 'none', 'true': 'auto'}.get(word, word)
        if isinstance(word, str)
        else word
    )


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
Side = Annotated[int, Field(ge=32, le=8192)]
ImageSize = Annotated[Literal[0] | Side | tuple[Side, Side], BeforeValidator(_size)]
Files = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
Precision = Annotated[Literal['auto', 'fp32', 'bf16', 'fp16'], BeforeValidator(_lower)]


class Params(BaseModel):
    """What all tasks share."""

    model_config = ConfigDict(extra='ignore', coerce_numbers_to_str=True, protected_namespaces=(), frozen=True)
    # Keys of other tasks that may stand in this task's config.
    foreign_keys: ClassVar[frozenset[str]] = frozenset()

    class_names: list[str] = Field(min_length=1)
    gpu_id: str = ''
    img_size: ImageSize = 0
    workers_per_gpu: Count = 4
    precision: Precision = 'auto'
    seed: Count = 0
    log_level: Annotated[Literal['debug', 'info', 'warning', 'error'], BeforeValidator(_lower)] = 'info'
    ymir_debug: bool = False

    @field_validator('class_names', mode='before')
    @classmethod
    def _names_are_text(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError('a list of names is needed')
        for name in value:
            if isinstance(name, bool):
                raise ValueError('a class name was read as a boolean: put quotes around yes, no, on and off')
            if not isinstance(name, (str, int)):
                raise ValueError(f'the class name {name!r} is no text: put quotes around it')
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

    @classmethod
    def template(cls) -> dict[str, Any]:
        """The defaults that the platform shows to the user, in order."""
        return {name: field.default for name, field in cls.model_fields.items() if name not in PLATFORM_KEYS}


class TrainingParams(Params):
    """Training."""

    pretrained_model_params: Files = []
    export_format: str = 'ark:raw'
    model_name: str = 'yolov8_n'
    samples_per_gpu: Positive = 8
    max_epochs: Positive = 100
    learning_rate: LearningRate = 0.0
    val_interval: Annotated[int, BeforeValidator(_reject_bool)] = 1
    patience: Count = 0
    max_keep_checkpoints: Annotated[int, BeforeValidator(_reject_bool), Field(ge=1, le=9)] = 1
    pretrained: Annotated[Literal['auto', 'none'], BeforeValidator(_switch)] = 'auto'
    metric: Annotated[Literal['bbox'], BeforeValidator(_lower)] = 'bbox'
    args_options: str = ''
    cfg_options: str = ''
    ymir_saved_file_patterns: str = ''
    find_unused_parameters: bool = False

    @field_validator('val_interval')
    @classmethod
    def _at_least_one(cls, value: int) -> int:
        return max(value, 1)


class CandidateParams(Params):
    """What mining and inference share: both run a trained model over the candidate images."""

    model_params_path: Files = []
    conf_threshold: Fraction = 0.2
    iou_threshold: Fraction = 0.65
    samples_per_gpu: Positive = 16


class MiningParams(CandidateParams):
    """Mining."""

    mining_algorithm: Annotated[Literal['random', 'entropy'], BeforeValidator(_lower)] = 'entropy'
    conf_threshold: Fraction = 0.1


class InferParams(CandidateParams):
    """Inference. A task that mines and infers gets the keys of the mining template only."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset({'mining_algorithm'})


AnyParams = TypeVar('AnyParams', bound=Params)


def load_params(cls: type[AnyParams], raw: dict[str, Any], warn: bool = True) -> AnyParams:
    """Read the hyper-parameters of a task.

    Args:
        cls: TrainingParams, MiningParams or InferParams.
        raw: The mapping in config.yaml. Absent, None and '' mean the default; unknown keys are warned of.
        warn: Not where it has been read before in this run.

    Returns:
        The typed parameters.

    Raises:
        TaskError: 300001 naming key, value and what is allowed; 300005 for a task that is not about detection.
    """
    if not isinstance(raw, dict):
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
            f'config.yaml must hold "key: value" lines, it holds {type(raw).__name__}.',
        )
    given = {key: value for key, value in raw.items() if value is not None and not _is_blank(value)}
    _check_object_type(given.get('object_type', DETECTION_TYPES[0]))
    if warn:
        _warn_of_unknown(cls, given)
    given = {key: value for key, value in given.items() if key in cls.model_fields}
    for key, value in given.items():
        if not _is_writable(value):
            raise TaskError(
                ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
                f'Bad value in config.yaml, {key}: {value!r}: a NUL byte or half '
                'of a character stands in it, as in no name or path.',
            )
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        raise TaskError(ExecutorReturnCode.RC_EXEC_CONFIG_ERROR, _explain(cls, given, error)) from error


def _check_object_type(object_type: Any) -> None:
    """Only detection is offered, whatever the project on the platform is about."""
    if str(object_type).strip() not in DETECTION_TYPES:
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_OBJECT_TYPE_ERROR,
            f'object_type in config.yaml is {SHORT.repr(object_type)}; this image detects boxes (object_type 2). Use it in a project of '
            'that type.',
        )


def _is_writable(value: Any) -> bool:
    """Whether a text, or each of a list of texts, may be a name or path and stand in a UTF-8 file."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_writable, value))
    return (
        not isinstance(value, str)
        or '\0' not in value
        and not any('\ud800' <= character <= '\udfff' for character in value)
    )


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _warn_of_unknown(cls: type[Params], given: dict[str, Any]) -> None:
    known = set(cls.model_fields) | PLATFORM_KEYS | cls.foreign_keys
    unknown = sorted(str(key) for key in given if key not in known and not str(key).startswith(PLATFORM_PREFIX))
    for key in unknown:
        near = difflib.get_close_matches(key, cls.model_fields, n=1, cutoff=NEAR)
        hint = f'did you mean {near[0]}?' if near else 'it has no effect.'
        logger.warning('Unknown key in config.yaml: %s; %s', key, hint)


def _explain(cls: type[Params], given: dict[str, Any], error: ValidationError) -> str:
    """One sentence for the first bad key; unions report one error per alternative, which are joined."""
    details = error.errors()
    key = str(details[0]['loc'][0])
    if details[0]['type'] == 'missing':
        return f'config.yaml lacks the key {key}.'
    reasons = []
    for detail in details:
        reason = detail['msg'].replace('Value error, ', '').replace('Input should be ', 'allowed is ')
        if str(detail['loc'][0]) == key and reason not in reasons:
            reasons.append(reason)
    if key == 'img_size':
        reasons = ['allowed is 0 (the size of the model), one number from 32 to 8192, or "width,height"']
    template = cls.template()
    ending = f' The default is {template[key]!r}.' if key in template else ''
    return f'Bad value in config.yaml, {key}: {SHORT.repr(given[key])}: {"; ".join(reasons)}.{ending}'
