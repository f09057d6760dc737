"""How a training is started: from which weights, whether it goes on from an earlier one, with which command."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tmi.devices import available_cpus
from tmi.paths import TOOLS_ROOT
from tmi.training.config import TrainingConfig, TrainingTask
from tmi.training.initial_weights import prepare_initial_weights
from tmi.zoo.weights import choose_training_weights

logger = logging.getLogger('tmi')


def find_resumption(arguments: Sequence[str], options: Mapping[str, Any], models_dir: Path) -> tuple[bool, list[str]]:
    """Return whether an earlier training in the same folder goes on.

    Args:
        arguments: Of tools/train.py; `--resume` may name a checkpoint.
        options: `cfg_options`, where `resume=True` means the same.
        models_dir: Where an earlier training left its state.

    Returns:
        Whether to resume, and the arguments without a `--resume` for which there is nothing to go on from.
    """
    asked = [word for word in arguments if word == '--resume' or word.startswith('--resume=')]
    named = [
        word
        for index, word in enumerate(arguments)
        if '=' in word and word in asked or index and arguments[index - 1] == '--resume' and word[0] != '-'
    ]
    if not asked and not options.get('resume'):
        return False, list(arguments)
    if named or options.get('load_from') or (models_dir / 'last_checkpoint').is_file():
        return True, list(arguments)
    logger.warning('There is no earlier training in %s to resume: a new one starts.', models_dir)
    return False, [word for word in arguments if word not in asked]


def initial_weights(task: TrainingTask, training: TrainingConfig, weights_dir: str, task_dir: Path) -> str | None:
    """Choose and fit what the training starts from.

    Args:
        task: The task.
        training: Its config.
        weights_dir: Where weight files with relative paths lie.
        task_dir: Where the fitted weights are written.

    Returns:
        Path of the fitted weights, None for random ones.
    """
    params = task.params
    chosen = choose_training_weights(
        params.pretrained_model_params, task.model.stem, params.pretrained == 'auto', weights_dir
    )
    if chosen.checkpoint is None:
        return None
    target = task_dir / 'initial_weights.pth'
    return str(prepare_initial_weights(chosen, training.run, task.model.name, target))


def training_command(
    run_config: Path, task: TrainingTask, script: Path, arguments: Sequence[str]
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
    processes = task.num_processes
    environment = {'PYTHON': sys.executable, 'TRAIN_SCRIPT': str(script), 'TORCHRUN': 'tmi.training.torchrun'}
    if processes > 1:  # torchrun and mmengine set both to 1, and warn that they do
        threads = max(available_cpus() // processes, 1) if task.device == 'cpu' else 1
        environment['OMP_NUM_THREADS'] = os.environ.get('OMP_NUM_THREADS', str(threads))
        environment['MKL_NUM_THREADS'] = os.environ.get('MKL_NUM_THREADS', environment['OMP_NUM_THREADS'])
    if task.device == 'cpu':
        environment['CUDA_VISIBLE_DEVICES'] = '-1'
        processes = processes if processes > 1 else 0
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
