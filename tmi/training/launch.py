"""How a training is started: whether it goes on from an earlier one, what it keeps of that, with which command."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmyolo.utils.checkpoint import CheckpointError, read_as_data
from tmi.devices import available_cpus
from tmi.paths import TOOLS_ROOT
from tmi.training.config import TrainingTask
from tmi.training.nodes import INTERFACE_VARIABLE, Nodes, find_interface

logger = logging.getLogger('tmi')

# How often a thread of OpenMP looks whether the others are done before it sleeps. By default it goes on for as long as
# its core is given to it, and where loader workers or other programs need the cores, the others wait for it.
SPINS = '1000'


def find_resumption(arguments: Sequence[str], options: Mapping[str, Any], models_dir: Path) -> tuple[bool, list[str]]:
    """Return whether an earlier training in the same folder goes on.

    Args:
        arguments: Of tools/train.py; `--resume` may name a checkpoint.
        options: `cfg_options`, where `resume=True` means the same.
        models_dir: Where an earlier training left its state.

    Returns:
        Whether to resume, and the arguments without a `--resume` for which there is nothing to go on from.
    """
    words, file = _resume_argument(arguments)
    if not words and not options.get('resume'):
        return False, list(arguments)
    if file or options.get('load_from') or (models_dir / 'last_checkpoint').is_file():
        return True, list(arguments)
    logger.warning('There is no earlier training in %s to resume: a new one starts.', models_dir)
    return False, [word for index, word in enumerate(arguments) if index not in words]


def is_resume(argument: str) -> bool:
    """Return whether an argument of tools/train.py, as `read_options` gives it, asks for an earlier training."""
    return argument.partition('=')[0] == '--resume'


def _resume_argument(arguments: Sequence[str]) -> tuple[range, str]:
    """Return where `--resume` stands, and the checkpoint that it names; 'auto' is none, as for tools/train.py."""
    for index, word in enumerate(arguments):
        option, equals, value = word.partition('=')
        if option != '--resume':
            continue
        following = arguments[index + 1] if index + 1 < len(arguments) else '-'
        length = 1 if equals or following.startswith('-') else 2
        value = following if length == 2 else value
        return range(index, index + length), '' if value == 'auto' else value
    return range(0), ''


class Kept(NamedTuple):
    """What a resumed training keeps of the earlier one, whatever its length would choose.

    Args:
        optimizer: 'AdamW' or 'SGD'; no other can take over its state. None where there is no such state to be read,
            which the training itself reports.
        samples_per_gpu: Images a step and process, by which steps are counted; None if the checkpoint has none.
        pretrained: Whether it began with a trained detector, which groups of parameters depend on; None if unknown.
        epochs: That are done; 0 if unknown.
    """

    optimizer: str | None = None
    samples_per_gpu: int | None = None
    pretrained: bool | None = None
    epochs: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> 'Kept':
        """Read it.

        Args:
            state: What a checkpoint holds.
        """
        meta = state.get('meta')
        meta = meta if isinstance(meta, dict) else {}
        pretrained = meta.get('pretrained') if isinstance(meta.get('pretrained'), bool) else None
        epochs = meta.get('epoch') if isinstance(meta.get('epoch'), int) else 0
        try:
            (group, *_) = state['optimizer']['param_groups']
            optimizer = 'AdamW' if 'betas' in group else 'SGD'
        except (LookupError, TypeError, ValueError):
            return cls(pretrained=pretrained, epochs=epochs)
        batch_size = meta.get('samples_per_gpu')
        batch_size = batch_size if isinstance(batch_size, int) and batch_size > 0 else None
        return cls(optimizer, batch_size, pretrained, epochs)


def first_checkpoint(arguments: Sequence[str], options: Mapping[str, Any], models_dir: Path) -> Path | None:
    """Return the checkpoint that the user's options begin or go on with.

    Args:
        arguments: Of tools/train.py.
        options: `cfg_options`.
        models_dir: Where an earlier training left its state.

    Returns:
        The one that is named, else the last of the earlier training; None if that left no name of one.
    """
    file = _resume_argument(arguments)[1] or options.get('load_from')
    last = models_dir / 'last_checkpoint'
    try:
        return Path(file or last.read_text(encoding='utf-8').strip())
    except (OSError, ValueError):
        return None


def read_kept(arguments: Sequence[str], options: Mapping[str, Any], models_dir: Path) -> Kept:
    """Return what a training keeps that goes on from an earlier one.

    Args:
        arguments: Of tools/train.py.
        options: `cfg_options`.
        models_dir: Where an earlier training left its state.

    Returns:
        What the checkpoint says.
    """
    try:
        return Kept.of(read_as_data(first_checkpoint(arguments, options, models_dir) or Path()))
    except (CheckpointError, OSError, TypeError):
        return Kept()


class NodeTask(NamedTuple):
    """What a node must know of a training to start its processes.

    Args:
        device: 'cuda' or 'cpu'.
        models_dir: Where checkpoints go.
        node_processes: Processes that train on this node.
        nodes: How many nodes there are.
    """

    device: str
    models_dir: Path
    node_processes: int
    nodes: int = 1


def training_command(
    run_config: Path, task: NodeTask | TrainingTask, script: Path, arguments: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the command that trains: tools/dist_train.sh, with one process for each GPU.

    Args:
        run_config: The complete config.
        task: The task.
        script: What each process runs, with the options of tools/train.py.
        arguments: Further arguments of tools/train.py.

    Returns:
        The command, and variables for its environment.
    """
    processes = task.node_processes
    is_single = processes * task.nodes == 1
    environment = {'PYTHON': sys.executable, 'TRAIN_SCRIPT': str(script), 'TORCHRUN': 'tmi.training.torchrun'}
    if not is_single:  # torchrun and mmengine set both to 1, and warn that they do
        threads = max(available_cpus() // processes, 1) if task.device == 'cpu' else 1
        environment['OMP_NUM_THREADS'] = os.environ.get('OMP_NUM_THREADS', str(threads))
        environment['MKL_NUM_THREADS'] = os.environ.get('MKL_NUM_THREADS', environment['OMP_NUM_THREADS'])
    if task.nodes > 1:
        nodes = Nodes.of()
        environment[INTERFACE_VARIABLE] = os.environ.get(INTERFACE_VARIABLE) or find_interface(
            nodes.address, nodes.port
        )
        if not environment[INTERFACE_VARIABLE]:
            del environment[INTERFACE_VARIABLE]
    elif 'NNODES' in os.environ:  # of a task that trains on this machine alone
        environment['NNODES'] = '1'
    if task.device == 'cpu':
        environment['GOMP_SPINCOUNT'] = os.environ.get('GOMP_SPINCOUNT', SPINS)
        environment['CUDA_VISIBLE_DEVICES'] = '-1'
        processes = 0 if is_single else processes
    command = [
        'bash',
        str(TOOLS_ROOT / 'dist_train.sh'),
        str(run_config),
        str(processes),
        '--work-dir',
        str(task.models_dir),
        *arguments,
    ]
    return command, environment
