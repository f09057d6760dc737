"""The parameters of a training, typed, in both forms that the platform sends (contract section 2).

The flat form has `model_name` beside the others; the nested one has `type` and `network`, text that holds JSON again.
Every number may come as text.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pie.causes import json_cause
from pie.labels import Label, objects_of, read_labels
from pie.parameter_source import Source
from pie.texts import PieError, Words, say, text, warn

STRIDE = 32
SMALLEST, LARGEST = STRIDE, 8192
TYPES = {1: 'segmentation', 2: 'detection', 3: 'change'}
SAFE_NAME = re.compile(r'[\w.+ -]{1,100}')

# Read by the platform or by other networks; known, and nothing to warn about.
KNOWN = frozenset({'node_num', 'dataset_path', 'local_rank', 'platform'})
KNOWN_IN_NETWORK = frozenset(
    {'backbone', 'transformers', 'input', 'freeze', 'metrics', 'middle_results', 'loss', 'optimizer', 'scheduler'}
)


def as_number(value: Any) -> Any:
    """Text to a number; a whole one may be written 4.0, a truth value is none."""
    if isinstance(value, bool):
        raise ValueError('true and false are no numbers')
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(r'[+-]?\d+\.0*', value):
            value = value.split('.')[0]
    return value


def _text(value: Any) -> Any:
    return '' if value is None else str(value).strip() if isinstance(value, (int, str)) else value


def as_switch(value: Any) -> Any:
    """One of a few whole numbers, which may come as text, and of two also as a truth value."""
    value = int(value) if isinstance(value, bool) else as_number(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def as_sides(value: Any) -> Any:
    """'608,608', '608*608', 608 or [608, 608] to (width, height), not rounded yet."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value, value
    if isinstance(value, str):
        value = re.split(r'[,，xX*×]', value.strip('()[] '))
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 2:
        raise ValueError('"width,height" is needed')
    return tuple(value) * (2 // len(value))


Checked = TypeVar('Checked', bound=BaseModel)
Text = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, BeforeValidator(as_number), Field(ge=1, le=1_000_000)]
Side = Annotated[float, BeforeValidator(as_number), Field(gt=0, le=LARGEST, allow_inf_nan=False)]


class Parameters(BaseModel):
    """What a training gets from the platform.

    Args:
        training_id: The platform's.
        resume_path: URL of the folder, or of the file, of weights to start from; '' for none.
        dataset_id: The data set; '' for the one that the environment names.
        class_name: Chosen classes, separated by commas.
        label: The list of classes.
        n_class: How many; only compared.
        load_size: (width, height) of the input, as given.
        model_name: The network.
        weight_name: Stem of the weights file; that of the network if ''.
        learning_rate: 0 leaves it to the recipe of the network.
        epochs: Length.
        batch_size: Images a step over all devices.
        auto_termination: Whether to end when the accuracy rises no more.
        gpu_num: How many GPUs; 0 for the CPU.
        type: 1 segmentation, 2 detection, 3 change detection; None where it is not sent.
    """

    model_config = ConfigDict(extra='ignore', frozen=True, protected_namespaces=())

    training_id: Text = ''
    resume_path: Text = ''
    dataset_id: Text = ''
    class_name: Text = ''
    label: Any
    n_class: Annotated[int, BeforeValidator(as_number), Field(ge=1)] | None = None
    load_size: Annotated[tuple[Side, Side], BeforeValidator(as_sides)]
    model_name: Annotated[Text, Field(min_length=1)]
    weight_name: Text = ''
    learning_rate: Annotated[float, BeforeValidator(as_number), Field(ge=0, le=10, allow_inf_nan=False)] = 0.0
    epochs: Annotated[Count, Field(le=100_000)]
    batch_size: Count
    auto_termination: Annotated[Literal[0, 1], BeforeValidator(as_switch)] = 0
    gpu_num: Annotated[int, BeforeValidator(as_number), Field(ge=0, le=1024)] = 1
    type: Annotated[Literal[1, 2, 3], BeforeValidator(as_switch)] | None = None

    @property
    def weights_stem(self) -> str:
        """The name of the weights file without `.th`."""
        return self.weight_name or self.model_name

    @property
    def task(self) -> str | None:
        """The task that `type` names, None where it is not sent."""
        return TYPES[self.type] if self.type else None

    def labels(self) -> list[Label]:
        """Return the classes, background included.

        Raises:
            PieError: `label` cannot be read, or `class_name` does not fit it.
        """
        labels = read_labels(self.label, self.class_name)
        if not objects_of(labels):
            raise PieError('only_background')
        if self.n_class is not None and self.n_class not in (len(labels), len(labels) - 1):
            warn('n_class', n_class=self.n_class, found=len(labels))
        return labels

    def input_size(self, stride: int = STRIDE) -> tuple[int, int]:
        """Return (width, height) of the input, each side rounded half up to a multiple of the stride.

        Args:
            stride: The largest of the network.
        """
        return rounded_size('load_size', self.load_size, stride)


def rounded_size(key: str, given: Sequence[float], stride: int) -> tuple[int, int]:
    """Return (width, height), each side rounded half up to a multiple of the stride.

    Args:
        key: Of the parameters, for the message.
        given: (width, height).
        stride: What sides are multiples of.
    """
    largest = LARGEST // stride * stride
    size = tuple(min(max(math.floor(side / stride + 0.5) * stride, stride), largest) for side in given)
    if size != tuple(given):
        old = ','.join(f'{side:g}' for side in given)
        say('size_changed', key=key, given=old, used='{},{}'.format(*size), stride=stride)
    return size


def make_parameters(source: Source) -> Parameters:
    """Check the parameters.

    Args:
        source: As they were given, flat or nested.

    Returns:
        The typed parameters.

    Raises:
        PieError: The first fault, by key, with what is allowed.
    """
    content = flat_content(source)
    unknown = sorted({*content} - {*Parameters.model_fields} - KNOWN)
    if unknown:
        warn('keys_unknown', keys=', '.join(unknown), place=source.place)
    parameters = checked(Parameters, content, source.place)
    stem = parameters.weights_stem
    if not SAFE_NAME.fullmatch(stem) or stem.startswith('.') or not stem.isprintable():
        key = 'weight_name' if parameters.weight_name else 'model_name'
        raise PieError('unsafe_name', key=key, found=repr(stem)[:120], place=source.place)
    return parameters


def flat_content(source: Source) -> dict[str, Any]:
    """Return what was given, but for nulls, in the flat form."""
    content = {key: value for key, value in source.content.items() if value is not None}
    return _flat(content, source.place) if 'network' in content else content


def checked(kind: type[Checked], content: dict[str, Any], place: str | Words) -> Checked:
    """Return typed parameters.

    Args:
        kind: Their class.
        content: In the flat form.
        place: Where they stood, for messages.

    Raises:
        PieError: The first fault, by key, with what is allowed.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise _explain(error, content, place) from error


def _flat(content: dict[str, Any], place: str | Words) -> dict[str, Any]:
    """Return the nested form as the flat one; `network` is text that holds JSON, or an object."""
    network = content.pop('network')
    if isinstance(network, str):
        try:
            network = json.loads(network)
        except (ValueError, RecursionError) as error:
            raise PieError('network_not_json', place=place, reason=json_cause(error)) from error
    if not isinstance(network, dict):
        raise PieError('network_not_json', place=place, reason=Words('json_kind', found=type(network).__name__))
    weight_name = network.get('weight_name')
    if isinstance(weight_name, str) and weight_name.strip():
        path = PurePosixPath(weight_name.strip())
        content['weight_name'] = path.stem if path.suffix in ('.th', '.pth', '.pt') else str(path)
    if 'model_name' in network:
        content['model_name'] = network['model_name']
    ignored = sorted({*network} - {'model_name', 'weight_name'} - KNOWN_IN_NETWORK)
    if ignored:
        warn('keys_unknown', keys=', '.join(f'network.{key}' for key in ignored), place=place)
    return content


def _explain(error: ValidationError, content: dict[str, Any], place: str | Words) -> PieError:
    key = str(error.errors()[0]['loc'][0])
    allowed = {language: text(f'allowed_{key}', language) for language in ('zh', 'en')}
    found = Words('value_absent') if key not in content else repr(content[key])[:120]
    return PieError('bad_value', key=key, found=found, place=place, allowed_zh=allowed['zh'], allowed_en=allowed['en'])
