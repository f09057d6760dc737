"""Starts the programs of a task in order and sees that a failure has a return code (contract sections a.6 and g)."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Mapping, Sequence, Union

from . import env, monitor
from .child_process import run_and_forward_signals
from .code import ExecutorReturnCode, ExecutorState
from .errors import ConfigError, ExecutorError
from .exit_status import OUT_OF_MEMORY, signal_of
from .progress import YmirTask
from .util import get_bool, get_merged_config

logger = logging.getLogger(__name__)

Command = Union[str, Sequence[str]]


class Executor:
    """Runs training, or mining and then inference, as env.yaml asks.

    Args:
        apps: task (``training``, ``mining``, ``infer``) -> command, as a list of arguments or as one line; tasks that
            are left out run ``ymir/ymir_<task>.py`` with this Python.
    """

    def __init__(self, apps: Mapping[str, Command] | None = None) -> None:
        self.apps: dict[str, Command] = {
            task: [sys.executable, f'ymir/ymir_{task}.py'] for task in ('training', 'mining', 'infer')
        }
        unknown = set(apps or {}) - set(self.apps)
        if unknown:
            raise ValueError(f'unknown tasks {sorted(unknown)}; there are: {", ".join(self.apps)}')
        self.apps.update(apps or {})

    def start(self) -> int:
        """Run the task to its end.

        When a program fails, monitor.txt holds state 4 with a return code: the program's own if it has written one,
        else 160004. SIGTERM and SIGINT are passed on to the running program.

        Returns:
            0

        Raises:
            subprocess.CalledProcessError: a program failed.
            ExecutorError: env.yaml asks for no task; or the hyper-parameter ``ymir_debug`` is true, which makes a
                finished task fail so that the platform keeps its work directory.
        """
        try:
            for task in self._tasks():
                run_and_forward_signals(self.apps[task.name.lower()])
                monitor.write_monitor_logger_for_multiple_tasks(get_merged_config(), task, 1.0)
            if get_bool(get_merged_config(), 'ymir_debug', False):
                raise ExecutorError(
                    'the task is finished; ymir_debug is true, so it ends as failed and the platform '
                    'keeps its work directory'
                )
        except Exception as error:
            _report(error)
            raise
        return 0

    @staticmethod
    def _tasks() -> list[YmirTask]:
        current_env = env.get_current_env()
        if current_env.run_training:
            return [YmirTask.TRAINING]
        tasks = [
            task
            for task, wanted in ((YmirTask.MINING, current_env.run_mining), (YmirTask.INFER, current_env.run_infer))
            if wanted
        ]
        if not tasks:
            raise ConfigError('env.yaml asks for nothing: run_training, run_mining and run_infer are all false')
        return tasks


def _sentence(error: Exception) -> str:
    if not isinstance(error, subprocess.CalledProcessError):
        return str(error)
    program = ' '.join(error.cmd)
    if error.returncode >= 0:
        return f'{program} ended with exit status {error.returncode}'
    name = signal_of(error.returncode)
    hint = f', {OUT_OF_MEMORY}' if name == 'SIGKILL' else ''
    return f'{program} was ended by {name}{hint}'


def _report(error: Exception) -> None:
    """Write state 4 unless the failed program has done so, with a return code."""
    percent = 0.0
    try:
        present = monitor.read_monitor()
        if present.state == ExecutorState.ES_ERROR and present.code != ExecutorReturnCode.RC_EXEC_NO_ERROR:
            return
        percent = present.percent
    except (OSError, ValueError) as unreadable:
        logger.warning('monitor.txt is not readable and is replaced: %s', unreadable)
    code = getattr(error, 'code', ExecutorReturnCode.RC_CMD_CONTAINER_ERROR)
    try:
        monitor.write_monitor_logger(percent, ExecutorState.ES_ERROR, code, message=_sentence(error))
    except (OSError, ValueError) as unwritable:
        logger.error('monitor.txt cannot be written: %s', unwritable)  # the first error is the one to raise
