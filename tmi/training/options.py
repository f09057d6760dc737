"""What a user may change by `cfg_options` and `args_options`, checked before the work begins.

mmengine builds what a config says: a `type` that it does not know is imported, a path is written to, a config that is
named is executed. So an option may name registered classes only, and folders below the task's output only.
"""

import argparse
import difflib
import logging
import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmyolo.utils import cfg_options
from mmyolo.utils.registered_types import NMS_TYPES
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import ModelError, SettingError, TaskError, settings_file
from tmi.families.vidt_arguments import ALLOWED, ArgumentError, Arguments, read_arguments
from tmi.settings import TrainingSettings
from tmi.training.option_types import KINDS, may_be_named
from tmi.zoo.models import find_model

logger = logging.getLogger('tmi')

# Parts of keys that import, execute, or read and write by other means than files.
FORBIDDEN_PARTS = frozenset(
    {
        '_base_',
        '_scope_',
        'custom_imports',
        'backend_args',
        'file_client_args',
        'teacher_config',
        'teacher_ckpt',
        'worker_init_fn',
        'init_kwargs',
        'init_method',
        'mp_start_method',
        'lazy',
    }
)
TYPE_KEYS = ('type', 'constructor', 'ema_type', 'resize_type', 'rotate_type', 'conv_type')
# What a class may pass on as a type, whatever it calls it.
DOTTED_NAME = re.compile(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)+')
NMS_KEYS = ('nms', 'nms_cfg')
CHECKPOINT_KEYS = frozenset({'load_from', 'checkpoint', 'pretrained', 'teacher'})
DATA_PATH_KEYS = frozenset({'ann_file', 'data_root', 'img', 'img_path'})  # read as JSON and as images, never written
NAMES_OF_FILES = CHECKPOINT_KEYS | DATA_PATH_KEYS
PATH_KEY = re.compile(r'(^|_)(dir|dirs|path|paths|file|files|filename|folder|root)$|.+_prefix$|^out_')
PATH_VALUE = re.compile(r'^[/~\\]|(^|[/\\])\.\.([/\\]|$)')
# mmengine reads YAML with a loader that calls what a file says, and numpy may unpickle.
CODE_SUFFIXES = ('.py', '.pkl', '.pickle', '.so', '.yaml', '.yml', '.npy', '.npz')
KEY = re.compile(r'\w[\w-]*(\.[\w-]+)*', re.ASCII)
# Last part of a key -> the least and the largest value.
LIMITS: Mapping[str, tuple[float, float]] = {
    'lr': (0, 10),
    'base_lr': (0, 10),
    'eta_min': (0, 10),
    'lr_factor': (0, 1),
    'start_factor': (0, 1),
    'lr_mult': (0, 1000),
    'decay_mult': (0, 1000),
    'weight_decay': (0, 10),
    'momentum': (0, 1),
    'max_norm': (0, math.inf),
    'max_epochs': (1, 1_000_000),
    'max_iters': (1, 1_000_000_000),
    'val_interval': (1, 1_000_000),
    'val_begin': (0, 1_000_000),
    'accumulative_counts': (1, 1_000_000),
    'batch_size': (1, 1_000_000),
    'batch_size_per_gpu': (1, 1_000_000),
    'num_workers': (0, 1024),
    'prefetch_factor': (1, 1024),
    'score_thr': (0, 1),
    'iou_threshold': (0, 1),
    'nms_pre': (-1, math.inf),
    'max_per_img': (-1, math.inf),
    'widen_factor': (0.01, 16),
    'deepen_factor': (0.01, 16),
    'seed': (0, 2**32 - 1),
    'timeout': (1, 1_000_000),
    'num_classes': (1, 1_000_000),
    'num_digits': (0, 20),
    'resource_limit': (1, 1 << 20),
}
BACKENDS = ('nccl', 'gloo')
LOG_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')
# A place for a number in the name of a file; others may be as wide as memory, or look into objects.
PLACE_IN_TEXT = re.compile(r'\{(?!(:0?\d?d)?\})')
MAX_OPTIONS = 1000
VIDT = 'vidt'  # folder of the configs whose public code has arguments that are understood
ARGUMENTS = '--amp, --resume [CHECKPOINT], --cfg-options KEY=VALUE ...'


@dataclass(frozen=True)
class UserOptions:
    """The options of a training.

    Args:
        config: Dotted key of the config to value, of both `cfg_options` and the `--cfg-options` among `args_options`.
        arguments: Further arguments of tools/train.py.
        work_dir: What `--work-dir` says, '' if it is not there.
        text: Both options as the user wrote them, '' if there are none.
        argument_keys: Keys of `config` that come from `args_options`.
        min_lr: Rate at the end of the training; None for that of the recipe.
        notes: Sentences about what has no effect, which `check_options` logs.
    """

    config: dict[str, Any]
    arguments: list[str]
    work_dir: str
    text: str
    argument_keys: frozenset[str] = frozenset()
    min_lr: float | None = None
    notes: tuple[str, ...] = ()

    def source_of(self, key: str) -> str:
        """Return the setting from which an option comes."""
        return 'args_options' if key in self.argument_keys else 'cfg_options'


def bad_option(key: str, text: str, reason: str) -> TaskError:
    """Return the error of a setting.

    Args:
        key: `cfg_options` or `args_options`.
        text: The part of its value that is meant.
        reason: What is wrong and what is allowed.
    """
    return SettingError(f'Bad value in {settings_file()}, {key}: {text[:200]!r}: {reason}')


def read_options(params: TrainingSettings) -> UserOptions:
    """Read both kinds of options; where both set a key, `args_options` counts.

    Args:
        params: Of the task.

    Returns:
        The options, which `check_options` has not seen yet.

    Raises:
        TaskError: 300001 if one is malformed or is not an argument that a task may have.
    """
    parser = argparse.ArgumentParser(prog='', add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument('--amp', action='store_true')
    parser.add_argument('--resume', nargs='?', const='auto')
    parser.add_argument('--work-dir', default='')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[])
    try:
        found, unknown = parser.parse_known_args(_split('args_options', params.args_options))
    except argparse.ArgumentError as error:
        raise bad_option('args_options', params.args_options, f'{error}; allowed are {ARGUMENTS}.') from error
    public = _read_public_arguments(params, unknown)
    if public.others:
        allowed = f'{ARGUMENTS}, and of the public ViDT code {ALLOWED}' if _is_vidt(params) else ARGUMENTS
        raise bad_option('args_options', public.others[0], f'no argument that a task may have; allowed are {allowed}.')
    arguments = ['--amp'] if found.amp else []
    if found.resume is not None:
        arguments.append('--resume' if found.resume == 'auto' else f'--resume={found.resume}')
    among_arguments = _parse_words('args_options', found.cfg_options)
    in_arguments = {**public.config, **among_arguments}
    config = {**parse_cfg_options(params.cfg_options), **in_arguments}
    given = (('cfg_options', params.cfg_options), ('args_options', params.args_options))
    text = ', '.join(f'{key}: {value}' for key, value in given if value.strip())
    return UserOptions(
        config, arguments, found.work_dir, text, frozenset(in_arguments), public.min_lr, tuple(public.notes)
    )


def _is_vidt(params: TrainingSettings) -> bool:
    return find_model(params.model_name, params.masks).config.parent.name == VIDT


def _read_public_arguments(params: TrainingSettings, words: Sequence[str]) -> Arguments:
    """Read what the public code of the model's kind takes as arguments."""
    if not words or not _is_vidt(params):
        return Arguments({}, None, [], list(words))
    try:
        return read_arguments(words, Config.fromfile(find_model(params.model_name, params.masks).config).model)
    except ArgumentError as error:
        raise bad_option('args_options', params.args_options, f'{error}.') from error


def _split(key: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise bad_option(key, text, f'{error}; close every quote.') from error


def parse_cfg_options(text: str) -> dict[str, Any]:
    """Parse the `cfg_options` of a user as a command line of `key=value` words.

    Args:
        text: E.g. `model.test_cfg.score_thr=0.01 optim_wrapper.optimizer.lr=0.02`; quotes protect spaces.

    Returns:
        Dotted key to value.

    Raises:
        TaskError: 300001 if a word is no `key=value`.
    """
    return _parse_words('cfg_options', [word for word in _split('cfg_options', text) if word != '--cfg-options'])


def _parse_words(source: str, words: Sequence[str]) -> dict[str, Any]:
    if len(words) > MAX_OPTIONS:
        raise bad_option(source, ' '.join(words), f'{len(words)} options; allowed are {MAX_OPTIONS}.')
    try:
        return cfg_options.parse_cfg_options(words)
    except cfg_options.CfgOptionError as error:
        raise bad_option(source, error.word, error.reason) from error


def check_options(options: UserOptions, out_dir: Path, models_dir: Path) -> None:
    """Reject options through which something would run, be written outside, or be no number.

    Args:
        options: What `read_options` gives.
        out_dir: The task's output, below which an option may name folders.
        models_dir: Where the training works.

    Raises:
        TaskError: 300001 naming key, value and what is allowed; 300004 for a checkpoint that cannot be used.
    """
    for note in options.notes:
        logger.warning('args_options: %s', note)
    if options.work_dir and os.path.realpath(options.work_dir) != os.path.realpath(models_dir):
        raise bad_option(
            'args_options',
            f'--work-dir {options.work_dir}',
            f'a task works in {models_dir}, where the model is looked for; allowed are {ARGUMENTS}.',
        )
    for key, value in options.config.items():
        reason = _find_fault(key, value, out_dir)
        if reason:
            raise bad_option(options.source_of(key), f'{key}={value}', reason)
        if key.rpartition('.')[2] in CHECKPOINT_KEYS and value not in (None, ''):
            check_checkpoint(f'{options.source_of(key)}, {key}', str(value))
    for argument in options.arguments:
        if argument.startswith('--resume='):
            check_checkpoint('args_options, --resume', argument.partition('=')[2], resume=True)
    if options.config.get('resume') and options.config.get('load_from'):
        check_checkpoint(f'{options.source_of("load_from")}, load_from', str(options.config['load_from']), resume=True)


def check_checkpoint(key: str, path: str, resume: bool = False) -> None:
    """See that a checkpoint which an option names can be used.

    Args:
        key: The option, for messages.
        path: What it says.
        resume: Whether a training is to go on from it, for which weights alone are too little.

    Raises:
        TaskError: 300004 saying what is wrong and what to do.
    """
    if not os.path.isfile(path):
        raise ModelError(
            f'{key} in {settings_file()} names {path}, which is not a file in this container: name a '
            'checkpoint below /in '
            'or /out, or choose the model as the pre-trained model of the task.'
        )
    content = load_checkpoint(Path(path))
    lacking = [name for name in ('optimizer', 'message_hub', 'param_schedulers') if name not in content]
    if resume and lacking:
        raise ModelError(
            f'{key} in {settings_file()}: {path} holds weights only ({", ".join(lacking)} missing), as '
            'the files of a stage '
            'do, so a training cannot go on from it. To start a new training from these weights leave --resume out and '
            'choose the model as the pre-trained model of the task; to go on, name the resume.pth that the training '
            'left beside them.'
        )


def _find_fault(key: str, value: Any, out_dir: Path) -> str:
    """Return what is wrong with an option, '' if nothing is."""
    parts = key.split('.')
    last = next((part for part in reversed(parts) if not part.isdigit()), '')
    if not KEY.fullmatch(key):
        return 'a key consists of names and dots, e.g. optim_wrapper.optimizer.lr.'
    forbidden = FORBIDDEN_PARTS.intersection(parts)
    if forbidden:
        return (
            f'{sorted(forbidden)[0]} cannot be set by an option, because it could run code or read and write anywhere.'
        )
    if parts[0] not in KINDS:
        near = difflib.get_close_matches(parts[0], KINDS, n=1)
        return (
            f'{parts[0]} is not a setting that an option may change{f", did you mean {near[0]}?" if near else ""}; '
            f'allowed begin with {", ".join(KINDS)}.'
        )
    if last in TYPE_KEYS:
        return _find_fault_of_type(parts, value)
    if last == 'backend' and parts[0] == 'env_cfg' and value not in BACKENDS:
        return f'allowed is {" or ".join(BACKENDS)}.'
    if last == 'log_level' and value not in LOG_LEVELS:
        return f'allowed is {", ".join(LOG_LEVELS)}.'
    limits = LIMITS.get(last)
    if limits and value is not None and not _is_within(value, limits):
        return f'allowed is a number from {limits[0]:g} to {limits[1]:g}.'
    for leaf in _leaves(value):
        if isinstance(leaf, str) and DOTTED_NAME.fullmatch(leaf) and last not in NAMES_OF_FILES:
            fault = _find_fault_of_type(parts[:1], leaf)
        else:
            fault = _find_fault_of_leaf(last, leaf, out_dir)
        if fault:
            return fault
    return ''


def _find_fault_of_type(parts: Sequence[str], value: Any) -> str:
    if len(parts) > 1 and parts[-2] in NMS_KEYS:
        return '' if value in NMS_TYPES else f'allowed is {" or ".join(NMS_TYPES)}.'
    if not may_be_named(value, parts[0]):
        return (
            f'no class of this image that may stand below {parts[0]}; only registered classes are built, those of '
            'mmdet with their prefix, e.g. mmdet.CocoMetric.'
        )
    return ''


def _is_within(value: Any, limits: tuple[float, float]) -> bool:
    leaves = list(_leaves(value))
    return all(
        isinstance(leaf, (int, float)) and not isinstance(leaf, bool) and limits[0] <= leaf <= limits[1]
        for leaf in leaves
    )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _find_fault_of_leaf(last: str, leaf: Any, out_dir: Path) -> str:
    if isinstance(leaf, float) and not math.isfinite(leaf):
        return 'a finite number is needed.'
    if not isinstance(leaf, str):
        return ''
    if '://' in leaf or '{{' in leaf or not leaf.isprintable():
        return 'addresses, {{...}} and control characters are not allowed.'
    if PLACE_IN_TEXT.search(leaf):
        return 'of places for numbers only {} and those such as {:03d} are allowed.'
    if last in NAMES_OF_FILES and os.path.exists(leaf) and not (os.path.isfile(leaf) or os.path.isdir(leaf)):
        return 'it is a device or a pipe; a file or a folder is needed.'
    if leaf.lower().endswith(CODE_SUFFIXES):
        return f'files of code and pickles ({", ".join(CODE_SUFFIXES)}) are not read.'
    if last in NAMES_OF_FILES:
        return ''
    if (PATH_KEY.search(last) or PATH_VALUE.search(leaf)) and not _is_below(leaf, out_dir):
        return f'a path of an option must lie below {out_dir}, where a task may write.'
    return ''


def _is_below(path: str, folder: Path) -> bool:
    """Return whether a path is absolute and lies in a folder or its `tensorboard`, which may be a link."""
    roots = [os.path.realpath(folder), os.path.realpath(folder / 'tensorboard')]
    return os.path.isabs(path) and any(Path(os.path.realpath(path)).is_relative_to(root) for root in roots)


def apply_options(config: Config, options: UserOptions) -> None:
    """Merge options into a config, in place.

    Args:
        config: A complete config.
        options: What `read_options` gives.

    Raises:
        TaskError: 300001 if a value cannot stand where its key points to.
    """
    for key, value in options.config.items():
        reason = _find_fault_of_place(config, key, value)
        if reason:
            raise bad_option(options.source_of(key), f'{key}={value}', reason)
        try:
            config.merge_from_dict({key: value})
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise bad_option(
                options.source_of(key), f'{key}={value}', f'there is no such place in the config ({error}).'
            ) from error


def _find_fault_of_place(config: Config, key: str, value: Any) -> str:
    """Return why a value may not replace what the config holds now, '' if it may."""
    node: Any = config
    parts = key.split('.')
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                return f'{".".join(parts[:depth])} is a list of {len(node)}; allowed is a number below that.'
            node = node[int(part)]
        elif isinstance(node, (Mapping, Config)):
            if part not in node:
                return ''
            node = node[part]
        elif node is None:
            return ''
        else:
            return f'{".".join(parts[:depth])} is {node!r} and has no settings of its own.'
    if isinstance(node, Mapping) and node and not isinstance(value, Mapping) and (value is not None or len(parts) == 1):
        return f'a group of settings ({", ".join(map(str, list(node)[:8]))}); set one of these.'
    if (
        isinstance(node, (list, tuple))
        and any(isinstance(item, Mapping) for item in node)
        and value not in (None, [], ())
    ):
        return (
            f'a list of {len(node)} groups of settings; set one of their keys, e.g. '
            f'{key}.0.{next(iter(node[0]), "type")}.'
        )
    if isinstance(node, (bool, int, float)) and isinstance(value, str):
        return f'{"true or false" if isinstance(node, bool) else "a number"} is needed; it was {node!r}.'
    if isinstance(node, (list, tuple)) and isinstance(value, str):
        return f'a list is needed; it was {node!r}.'
    return ''
