"""The hyper-parameters of the three tasks, typed (contract sections b and c.2).

Their defaults are the templates in `img-man/` (a test holds both equal). The web form drops empty and zero values and
returns edited ones as strings, and YAML 1.1 reads `1e-3` as a string and `off` as a boolean, so every key has a
default, an empty value means the default, and strings are cast. A key that nobody knows is a warning, because templates
of older images live on in the platform's database; a value that cannot be used is an error.
"""

import logging
import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError

from tmi.errors import ObjectTypeError, SettingError
from tmi.settings import InferenceSettings, MiningSettings, Settings, TrainingSettings
from ymir.aliases import COMMON, TRAINING, Alias, read_aliases
from ymir_exc.near_names import near_name

logger = logging.getLogger('ymir')

SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 200

PLATFORM_PREFIX = 'openpai_'  # where the platform runs tasks on OpenPAI
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

# What the key object_type may be. 0 is what platforms before the key mean; YAML reads 2.0 as a decimal.
DETECTION_TYPES = ('2', '2.0', '0')
MASK_TYPES = ('4', '4.0')  # instance segmentation


MASKS = 'masks'  # the setting that object_type decides, and nothing else


class Params(Settings):
    """What the three tasks have besides the settings of the core."""

    # Keys of other tasks, or of older templates, that may stand in this task's config without effect.
    foreign_keys: ClassVar[frozenset[str]] = frozenset()
    # Keys that are read and not offered, because they have one value only.
    hidden_keys: ClassVar[frozenset[str]] = frozenset()
    # Keys that are not offered where objects have masks, because models of masks cannot follow them.
    box_keys: ClassVar[frozenset[str]] = frozenset()
    # Defaults that differ where objects have masks.
    mask_defaults: ClassVar[Mapping[str, Any]] = {}
    # Keys of other executors, read as keys of this image.
    aliases: ClassVar[Mapping[str, Alias]] = COMMON

    ymir_debug: bool = False

    @classmethod
    def template(cls, masks: bool = False) -> dict[str, Any]:
        """Return the defaults that the platform shows to the user.

        Args:
            masks: Of instance segmentation, not of detection.
        """
        left_out = PLATFORM_KEYS | cls.hidden_keys | {MASKS} | (cls.box_keys if masks else frozenset())
        defaults = {name: field.default for name, field in cls.model_fields.items() if name not in left_out}
        return {**defaults, **(cls.mask_defaults if masks else {})}


class TrainingParams(TrainingSettings, Params):
    """Training."""

    hidden_keys: ClassVar[frozenset[str]] = frozenset({'metric'})
    box_keys: ClassVar[frozenset[str]] = frozenset({'export_onnx'})
    aliases: ClassVar[Mapping[str, Alias]] = TRAINING
    mask_defaults: ClassVar[Mapping[str, Any]] = {'model_name': 'yolov5_ins_s', 'export_format': 'seg-coco:raw'}

    export_format: str = 'ark:raw'
    ymir_saved_file_patterns: str = ''


class MiningParams(MiningSettings, Params):
    """Mining."""


class InferParams(InferenceSettings, Params):
    """Inference. A task that mines and infers gets the keys of the mining template only."""

    foreign_keys: ClassVar[frozenset[str]] = frozenset(MiningSettings.model_fields) - {*InferenceSettings.model_fields}


AnyParams = TypeVar('AnyParams', bound=Params)


def load_params(cls: type[AnyParams], raw: dict[str, Any], warn: bool = True) -> AnyParams:
    """Read the hyper-parameters of a task.

    Args:
        cls: TrainingParams, MiningParams or InferParams.
        raw: The mapping in config.yaml. Absent, None and '' mean the default; unknown keys are warned of, those of
            `ymir.aliases` are read as what they mean here.
        warn: Not where it has been read before in this run.

    Returns:
        The typed parameters.

    Raises:
        TaskError: 300001 naming key, value and what is allowed; 300005 for a task that is neither about detection nor
            about instance segmentation.
    """
    if not isinstance(raw, dict):
        raise SettingError(f'config.yaml must hold "key: value" lines, it holds {type(raw).__name__}.')
    given = {key: value for key, value in raw.items() if value is not None and not _is_blank(value)}
    config = given
    masks = _has_masks(given.get('object_type', DETECTION_TYPES[0]))
    given, names = read_aliases(given, cls.aliases, cls.template(masks), warn)
    if warn:
        _warn_of_unknown(cls, given)
    given = {key: value for key, value in given.items() if key in cls.model_fields}
    given = {**(cls.mask_defaults if masks else {}), **given, MASKS: masks}
    for key, value in given.items():
        if not _is_writable(value):
            raise SettingError(
                f'Bad value in config.yaml, {names.get(key, key)}: {value!r}: a NUL byte or half '
                'of a character stands in it, as in no name or path.'
            )
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        raise SettingError(_explain(cls, config, names, error)) from error


def _has_masks(object_type: Any) -> bool:
    """Return whether the objects of a task have masks, as the type of the project on the platform says."""
    kind = str(object_type).strip()
    if kind not in (*DETECTION_TYPES, *MASK_TYPES):
        raise ObjectTypeError(
            f'object_type in config.yaml is {SHORT.repr(object_type)}; this image detects boxes (object_type 2) and '
            'segments instances (object_type 4). Use it in a project of one of these types.'
        )
    return kind in MASK_TYPES


def _is_writable(value: Any) -> bool:
    """Return whether a text, or each of a list of texts, may be a name or path and stand in a UTF-8 file."""
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
    known = set(cls.model_fields) - {MASKS} | PLATFORM_KEYS | cls.foreign_keys
    unknown = sorted(str(key) for key in given if key not in known and not str(key).startswith(PLATFORM_PREFIX))
    for key in unknown:
        near = near_name(key, cls.template())
        hint = f'did you mean {near}?' if near else 'it has no effect.'
        logger.warning('Unknown key in config.yaml: %s; %s', key, hint)


def _explain(cls: type[Params], config: dict[str, Any], names: Mapping[str, str], error: ValidationError) -> str:
    """One sentence for the first bad key; unions report one error per alternative, which are joined.

    Args:
        cls: Of the task.
        config: As it was given.
        names: Of keys that were read from an alias: key -> alias, which stands in `config`.
        error: What is wrong.
    """
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
    template, name = cls.template(), names.get(key, key)
    ending = f' The default is {template[key]!r}.' if key in template else ''
    if name != key:
        ending = f' It is read as {key}.'
    return f'Bad value in config.yaml, {name}: {SHORT.repr(config[name])}: {"; ".join(reasons)}.{ending}'
