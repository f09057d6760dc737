"""Runs a prepared task as the platform does and watches its monitor.txt (contract sections a.3, a.6 and d.1).

As a process: `python ymir/start.py` with DEFAULT_ENV_FILE_PATH. As a container: the platform's exact `docker run` line.
Either way standard output and error are appended to out/ymir-executor-out.log, the last five lines of which are what the
platform shows when the task fails.
"""
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .prepare import REPOSITORY, Task

POLL_SECONDS = 0.3
STATE_ERROR = 4


@dataclass(frozen=True)
class Progress:
    """The first line of monitor.txt, as the platform parses it.

    Args:
        percent: 0 to 1.
        state: 1 pending, 2 running, 3 done, 4 error.
        code: 0 or the error code.
        message: one sentence, may be empty.
    """
    percent: float
    state: int
    code: int = 0
    message: str = ''


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Args:
        exit_code: of the process or container.
        seconds: from start to end.
        progress: the last state of monitor.txt.
        tail: the last five lines of the log.
    """
    exit_code: int
    seconds: float
    progress: Progress
    tail: Tuple[str, ...]

    def raise_for_failure(self, name: str) -> None:
        """Raises TaskFailed unless the task succeeded.

        Args:
            name: what the task is called in the message.
        """
        if self.exit_code or self.progress.state == STATE_ERROR:
            raise TaskFailed(f'{name} failed: exit code {self.exit_code}, error code {self.progress.code}\n' +
                             '\n'.join(self.tail))


class TaskFailed(Exception):
    """A task ended with an error."""


def read_progress(monitor_file: Path) -> Progress:
    """Reads monitor.txt.

    Args:
        monitor_file: its path.

    Raises:
        ValueError: the platform could not parse it either.
    """
    columns = monitor_file.read_text(encoding='utf-8').split('\n')[0].strip().split('\t')
    if len(columns) < 4:
        raise ValueError(f'{monitor_file}: 4 to 6 columns separated by TAB are needed, found {columns}')
    return Progress(float(columns[2]), int(columns[3]), *(int(c) for c in columns[4:5]), *columns[5:6])


def run_as_process(task: Task,
                   on_progress: Callable[[float], None] = lambda percent: None,
                   environ: Optional[Dict[str, str]] = None) -> Outcome:
    """Runs a task with this Python; kills what is left of it when interrupted.

    Args:
        task: prepared with `in_container=False`.
        on_progress: called with the new percent (0 to 1) whenever it changes.
        environ: additional environment variables.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')])
    env = dict(os.environ, PATH=path, DEFAULT_ENV_FILE_PATH=str(task.in_dir / 'env.yaml'), **(environ or {}))
    return _follow([sys.executable, str(REPOSITORY / 'ymir' / 'start.py')], task, on_progress, env)


def run_in_container(task: Task,
                     image: str,
                     on_progress: Callable[[float], None] = lambda percent: None,
                     gpu_ids: Sequence[int] = (),
                     user: Optional[str] = None,
                     shm_size: str = '16G',
                     options: Sequence[str] = ()) -> Outcome:
    """Runs a task in its image.

    Args:
        task: prepared with `in_container=True`.
        image: name of the image.
        on_progress: called with the new percent (0 to 1) whenever it changes.
        gpu_ids: GPUs of this machine.
        user: `uid:gid`; None: root.
        shm_size: size of /dev/shm.
        options: further options of `docker run`, before the name of the image.
    """
    try:
        return _follow(docker_command(task, image, gpu_ids, user, shm_size, options), task, on_progress, dict(os.environ))
    except BaseException:
        subprocess.run(['docker', 'rm', '-f', task.task_id], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        raise


def docker_command(task: Task,
                   image: str,
                   gpu_ids: Sequence[int] = (),
                   user: Optional[str] = None,
                   shm_size: str = '16G',
                   options: Sequence[str] = ()) -> List[str]:
    """Gives the platform's command line, one element per token.

    Args:
        task, image, gpu_ids, user, shm_size, options: as `run_in_container` takes them.
    """
    command = ['docker', 'run', '--rm', f'-v{task.in_dir}:/in:ro', f'-v{task.out_dir}:/out']
    for link in (task.in_dir / 'assets', task.in_dir / 'models', task.out_dir / 'tensorboard'):
        if link.is_symlink():
            command.append(f'-v{link.resolve()}:{link.resolve()}')
    if user:
        command += ['--user', user]
    if gpu_ids:
        command += ['--gpus', f'"device={",".join(map(str, gpu_ids))}"']
    return [*command, f'--shm-size={shm_size}', '--name', task.task_id, *options, image]


def _follow(command: Sequence[str], task: Task, on_progress: Callable[[float], None], env: Dict[str, str]) -> Outcome:
    began = time.monotonic()
    shown = -1.0
    with open(task.log_file, 'ab') as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=REPOSITORY,
                                   start_new_session=True)
        try:
            running = True
            while running:
                try:
                    process.wait(POLL_SECONDS)
                    running = False
                except subprocess.TimeoutExpired:
                    pass
                progress = read_progress(task.monitor_file)
                if progress.percent != shown:
                    shown = progress.percent
                    on_progress(shown)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # the usual case: everything has ended
            process.wait()
    lines = task.log_file.read_text(encoding='utf-8', errors='replace').splitlines()
    return Outcome(process.returncode, time.monotonic() - began, read_progress(task.monitor_file), tuple(lines[-5:]))
