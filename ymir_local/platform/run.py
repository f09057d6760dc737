"""Runs a prepared task as the platform does and watches its monitor.txt (contract sections a.3, a.6 and d.1).

As a process: `python ymir/start.py` with DEFAULT_ENV_FILE_PATH. As a container: the platform's exact `docker run` line.
Either way standard output and error are appended to out/ymir-executor-out.log, the last five lines of which are what
the platform shows when the task fails. A task that is stopped is stopped as the platform does it: killed at once, with
all that it started. The same happens when the watcher itself is killed (`process_guard`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from process_guard.guard import Guard
from ymir_exc.code import ExecutorState
from ymir_exc.reading import MonitorLine, decode, open_regular, parse_monitor

from .prepare import REPOSITORY, Task

POLL_SECONDS = 0.3
EXIT_STOPPED = 130
DOCKER_FAILED = 125  # exit code of `docker run`: there is no container, or no engine any more
TAIL_LINES = 5
MAX_TAIL_BYTES = 1 << 20


@dataclass
class MonitorReading:
    """What was seen of monitor.txt while a task ran.

    Args:
        last: the last state that could be read.
        error: the first state 4, which is final for the platform, whatever follows.
        problem: why the file could not be read; empty if it always could.
    """

    last: MonitorLine = MonitorLine()
    error: MonitorLine | None = None
    problem: str = ''
    _suspect: bytes = b''

    def read(self, monitor_file: Path, final: bool = False) -> None:
        """Read the file once more.

        A file that cannot be parsed counts when it is the same at the next reading, or at the end of the task: what is
        written in place may be seen half written. Empty counts at the end only, as for the platform.

        Args:
            monitor_file: its path.
            final: the task has ended.
        """
        data = b''
        try:
            with open_regular(monitor_file) as stream:
                data = stream.read()
            line = parse_monitor(decode(data)).line()
        except (OSError, ValueError) as error:
            if final or (data and data == self._suspect):
                self.problem = self.problem or f'monitor.txt cannot be read: {error}'
            self._suspect = data
            return
        self._suspect = b''
        if self.error is None and line.state == ExecutorState.ES_ERROR:
            self.error = line
        self.last = line


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Args:
        exit_code: of the process or container.
        seconds: from start to end.
        progress: the last state of monitor.txt.
        tail: the last five lines of the log.
        monitor: all that was seen of monitor.txt.
        stopped: the user stopped it.
        left: why its container may still be there; empty as a rule.
    """

    exit_code: int
    seconds: float
    progress: MonitorLine
    tail: tuple[str, ...]
    monitor: MonitorReading = field(default_factory=MonitorReading)
    stopped: bool = False
    left: str = ''

    def raise_for_failure(self, name: str) -> None:
        """Raise TaskFailed unless the task succeeded.

        Args:
            name: what the task is called in the message.
        """
        if self.exit_code or self.progress.state == ExecutorState.ES_ERROR:
            raise TaskFailed(
                f'{name} failed: exit code {self.exit_code}, error code {self.progress.code}\n' + '\n'.join(self.tail)
            )


class TaskFailed(Exception):
    """A task ended with an error."""


class TaskStopped(KeyboardInterrupt):
    """The user stopped a task; nothing of it runs any more.

    Args:
        outcome: how far it came.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def run_as_process(
    task: Task,
    on_progress: Callable[[float], None] = lambda percent: None,
    environ: dict[str, str] | None = None,
    command: Sequence[str] | None = None,
    on_poll: Callable[[MonitorLine], None] = lambda line: None,
) -> Outcome:
    """Run a task with this Python; kill what is left of it at the end and when interrupted.

    Args:
        task: prepared with `in_container=False`.
        on_progress: called with the new percent (0 to 1) whenever it changes.
        environ: additional environment variables.
        command: another executor than the one of this repository; it finds the task through DEFAULT_ENV_FILE_PATH.
        on_poll: called several times a second with the last state of monitor.txt.

    Raises:
        TaskStopped: on KeyboardInterrupt, after everything has been killed; it holds the outcome so far.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')])
    cwd = Path.cwd() if command else REPOSITORY
    command = list(command or [sys.executable, str(REPOSITORY / 'ymir' / 'start.py')])
    return _follow(command, task, on_progress, on_poll, dict(environ or {}, PATH=path), cwd)


def run_in_container(
    task: Task,
    image: str,
    on_progress: Callable[[float], None] = lambda percent: None,
    gpu_ids: Sequence[int] = (),
    user: str | None = None,
    shm_size: str | None = None,
    options: Sequence[str] = (),
    on_poll: Callable[[MonitorLine], None] = lambda line: None,
) -> Outcome:
    """Run a task in its image.

    Args:
        task: prepared with `in_container=True`.
        image: name of the image.
        on_progress: called with the new percent (0 to 1) whenever it changes.
        gpu_ids: GPUs of this machine.
        user: `uid:gid`; None: root.
        shm_size: size of /dev/shm, as Docker writes it; default: 16G for each GPU, 16G without.
        options: further options of `docker run`, before the name of the image.
        on_poll: called several times a second with the last state of monitor.txt.

    Raises:
        TaskStopped: on KeyboardInterrupt, after the container has been removed; it holds the outcome so far.
    """
    command = docker_command(task, image, gpu_ids, user, shm_size, options)
    return _follow(command, task, on_progress, on_poll, {}, Path.cwd(), container=task.task_id)


def docker_command(
    task: Task,
    image: str,
    gpu_ids: Sequence[int] = (),
    user: str | None = None,
    shm_size: str | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """Return the platform's command line, one element per token (section a.3).

    A platform whose runtime is `nvidia` begins with `nvidia-docker` instead, which Docker has replaced with `--gpus`.

    Args:
        task: prepared with `in_container=True`.
        image: name of the image.
        gpu_ids: GPUs of this machine.
        user: `uid:gid`; None: root.
        shm_size: size of /dev/shm, as Docker writes it; default: 16G for each GPU, 16G without.
        options: further options of `docker run`, before the name of the image.
    """
    command = ['docker', 'run', '--rm', f'-v{task.in_dir}:/in:ro', f'-v{task.out_dir}:/out']
    for link in (task.in_dir / 'assets', task.in_dir / 'models', task.out_dir / 'tensorboard'):
        if link.is_symlink():
            command.append(f'-v{link.resolve()}:{link.resolve()}')
    if user:
        command += ['--user', user]
    if gpu_ids:
        command += ['--gpus', f'"device={",".join(map(str, gpu_ids))}"']
    shm_size = shm_size or f'{16 * max(len(gpu_ids), 1)}G'
    return [*command, f'--shm-size={shm_size}', '--name', task.task_id, *options, image]


def log_tail(file: Path, lines: int = TAIL_LINES) -> tuple[str, ...]:
    """Return the last lines of a log, which may be larger than the memory.

    Args:
        file: of the log.
        lines: how many.
    """
    with open(file, 'rb') as stream:
        stream.seek(max(stream.seek(0, os.SEEK_END) - MAX_TAIL_BYTES, 0))
        text = stream.read().decode('utf-8', errors='replace')
    return tuple(text.removesuffix('\n').split('\n')[-lines:]) if text else ()


def _follow(
    command: Sequence[str],
    task: Task,
    on_progress: Callable[[float], None],
    on_poll: Callable[[MonitorLine], None],
    environ: dict[str, str],
    cwd: Path,
    container: str = '',
) -> Outcome:
    """Run a command, read monitor.txt while it runs, and leave nothing of it."""
    began = time.monotonic()
    shown = -1.0
    monitor = MonitorReading()
    stopped = False
    process = None
    env_file = str(task.in_dir / 'env.yaml')
    env = dict(os.environ, DEFAULT_ENV_FILE_PATH=env_file, **environ)  # for `docker run` it is a mark only
    guard = Guard(f'DEFAULT_ENV_FILE_PATH={env_file}', container)
    try:
        with open(task.log_file, 'ab') as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        guard.watch(process.pid)
        running = True
        while running:
            try:
                process.wait(POLL_SECONDS)
                running = False
            except subprocess.TimeoutExpired:
                pass
            monitor.read(task.monitor_file, final=not running)
            if monitor.last.percent != shown:
                shown = monitor.last.percent
                on_progress(shown)
            on_poll(monitor.last)
    except KeyboardInterrupt:
        stopped = True
    finally:
        exit_code = process.poll() if process else None
        removed = exit_code is not None and exit_code >= 0 and exit_code != DOCKER_FAILED
        left = guard.end(removed)
        if process:
            process.wait()
    outcome = Outcome(
        EXIT_STOPPED if stopped else process.returncode,
        time.monotonic() - began,
        monitor.last,
        log_tail(task.log_file),
        monitor,
        stopped,
        left,
    )
    if stopped:
        raise TaskStopped(outcome)
    return outcome
