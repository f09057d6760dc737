"""Arguments of the public ViDT code, which its executor takes in `args_options`, as options of the config."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class ArgumentError(ValueError):
    """An argument has no value, or one that it cannot have; the message says what is allowed."""


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


def _switch(text: str) -> bool:
    return {'true': True, 'false': False}[text.lower()]


def _numbers(key: str, read: Callable[[str], Any] = float) -> Argument:
    return Argument(key, read, 'a whole number' if read is int else 'a number')


def _switches(key: str) -> Argument:
    return Argument(key, _switch, 'true or false')


ARGUMENTS: Mapping[str, Argument] = {
    '--lr': _numbers('optim_wrapper.optimizer.lr'),
    '--weight_decay': _numbers('optim_wrapper.optimizer.weight_decay'),
    '--clip_max_norm': _numbers('optim_wrapper.clip_grad.max_norm'),
    '--min-lr': _numbers('param_scheduler.1.eta_min'),
    '--det_token_num': _numbers('model.backbone.num_det_tokens', int),
    '--dec_layers': _numbers('model.num_decoder_layers', int),
    '--aux_loss': _switches('model.aux_loss'),
    '--with_box_refine': _switches('model.box_refine'),
    '--epff': _switches('model.epff'),
    '--cross_scale_fusion': _switches('model.epff'),
    '--iou_aware': _switches('model.iou_aware'),
    '--seed': _numbers('randomness.seed', int),
    '--load_from': Argument('load_from', str, 'a file'),
}
METHOD = '--method'  # tells nothing but the form of the model, which model_name does


def read_arguments(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Read arguments of the public code.

    Args:
        words: Of the command line, which other arguments may stand among.

    Returns:
        Dotted key of the config to value, and the words that are none of these arguments.

    Raises:
        ArgumentError: One has no value, or one that it cannot have.
    """
    options, others = {}, []
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition('=')
        argument = ARGUMENTS.get(name)
        if argument is None and name != METHOD:
            others.append(name + equals + value)
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
            options[argument.key] = argument.read(value)
        except (KeyError, ValueError) as error:
            raise ArgumentError(f'{name} {value}: allowed is {argument.allowed}') from error
    return options, others
