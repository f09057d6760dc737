"""Arguments of the public ViDT code, which its executor takes in `args_options`, as options of the config."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class ArgumentError(ValueError):
    """An argument has no value, or one that it cannot have; the message says what is allowed."""


class Arguments(NamedTuple):
    """What arguments of the public code say.

    Args:
        config: Dotted key of the config to value.
        min_lr: The rate at the end of the training; None where nothing says it.
        notes: For each argument that has no effect a sentence for the log.
        others: The words that are none of these arguments.
    """

    config: dict[str, Any]
    min_lr: float | None
    notes: list[str]
    others: list[str]


class Argument(NamedTuple):
    """What an argument of the public code means here.

    Args:
        key: Dotted key of the config.
        read: From its text to the value.
        allowed: In words, for messages.
    """

    key: str
    read: Callable[[str], Any]
    allowed: str


SWITCH = {'true': True, 'false': False}


def _switch(text: str) -> bool:
    return SWITCH[text.lower()]


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= LARGEST_RATE:
        raise ValueError(text)
    return rate


def _numbers(key: str, read: Callable[[str], Any] = float) -> Argument:
    return Argument(key, read, 'a whole number' if read is int else 'a number')


def _switches(key: str) -> Argument:
    return Argument(key, _switch, 'true or false')


LARGEST_RATE = 10.0
MIN_LR = 'min_lr'  # a number of the recipe: its place in the list of schedulers depends on the length of the run
ARGUMENTS: Mapping[str, Argument] = {
    '--lr': _numbers('optim_wrapper.optimizer.lr'),
    '--weight_decay': _numbers('optim_wrapper.optimizer.weight_decay'),
    '--clip_max_norm': _numbers('optim_wrapper.clip_grad.max_norm'),
    '--min-lr': Argument(MIN_LR, _rate, f'a number from 0 to {LARGEST_RATE:g}'),
    '--det_token_num': _numbers('model.backbone.num_det_tokens', int),
    '--dec_layers': _numbers('model.num_decoder_layers', int),
    '--aux_loss': _switches('model.aux_loss'),
    '--with_box_refine': _switches('model.box_refine'),
    '--epff': _switches('model.epff'),
    '--cross_scale_fusion': _switches('model.epff'),
    '--iou_aware': _switches('model.iou_aware'),
    '--seed': _numbers('randomness.seed', int),
    '--load_from': Argument('load_from', str, 'a file'),
    '--distil_model_path': Argument('model.teacher', str, 'a file'),
}
# Of ViDT+, for data with masks: a task has boxes.
NEED_MASKS = ('--token_label', '--with_vector', '--masks')
METHOD = '--method'  # tells nothing but the form of the model, which model_name does


ALLOWED = ', '.join((*ARGUMENTS, METHOD, *NEED_MASKS))


def read_arguments(words: Sequence[str], model: Mapping[str, Any]) -> Arguments:
    """Read arguments of the public code.

    Args:
        words: Of the command line, which other arguments may stand among.
        model: The value of `model` in the config, which says what belongs to the model.

    Returns:
        What they say.

    Raises:
        ArgumentError: One has no value, or one that it cannot have.
    """
    found = Arguments({}, None, [], [])
    foreign = []
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition('=')
        if name in NEED_MASKS:
            if not equals and rest and rest[0].lower() in SWITCH:
                value = rest.pop(0)
            if SWITCH.get(value.lower(), True):
                found.notes.append(f'{name} has no effect: it needs masks of the objects, and a task has their boxes.')
            continue
        argument = ARGUMENTS.get(name)
        if argument is None and name != METHOD:
            found.others.append(name + equals + value)
            continue
        if not equals:
            if not rest or rest[0].startswith('--'):
                raise ArgumentError(f'{name} has no value')
            value = rest.pop(0)
        if argument is None:
            if value != 'vidt':
                raise ArgumentError(f'{name} {value}: model_name chooses the form of the model, e.g. vidt_wo_neck_nano')
            continue
        try:
            read = argument.read(value)
        except (KeyError, ValueError) as error:
            raise ArgumentError(f'{name} {value}: allowed is {argument.allowed}') from error
        part, _, key = argument.key.partition('.')
        if part == 'model' and key.partition('.')[0] not in model:
            foreign.append(name)
        else:
            found.config[argument.key] = read
    if foreign:
        found.notes.append(f'{", ".join(foreign)}: no effect, the model has no such parts (docs/vidt.md).')
    return found._replace(min_lr=found.config.pop(MIN_LR, None))
