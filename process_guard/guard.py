"""Ends all that belongs to a task: at its end, when it is stopped, and when whoever watches it is killed.

A watcher that gets a SIGKILL cannot clean up. So a small process of its own stands beside what it started,
`python guard.py MARK [CONTAINER]`: its standard input is a pipe from the watcher, who writes the id of the process that
it started and, once all has ended, `done`. When the pipe closes without that word, the guard ends the task.

Run as a file, it needs nothing but the standard library and starts at once.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DOCKER_SECONDS = 60
DONE = b'done\n'


class Guard:
    """The watcher's end of the pipe to a guarding process.

    Args:
        mark: `NAME=value` in the environment of every process of the task.
        container: name of its container, if it has one.
    """

    def __init__(self, mark: str, container: str = '') -> None:
        self.mark, self.container = mark, container
        self._started: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, '-I', __file__, mark, container],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """Say which process was started, the leader of its group.

        Args:
            pid: its id.
        """
        self._started = pid
        self._tell(b'%d\n' % pid)

    def end(self, removed: bool = False) -> str:
        """End what is left of the task, and the guarding process.

        Args:
            removed: the container has ended by itself and was removed by Docker.

        Returns:
            Why a container may be left; empty if nothing is.
        """
        left = end_task(self.mark, '' if removed else self.container, self._started)
        self._tell(DONE)
        self._process.stdin.close()
        self._process.wait()
        return left

    def _tell(self, line: bytes) -> None:
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # somebody killed it; the task goes on without


def end_task(mark: str, container: str = '', pid: int | None = None) -> str:
    """Kill all processes of a task and remove its container.

    Args:
        mark: `NAME=value` in their environment.
        container: its name, empty if there is none.
        pid: leader of the process group that was started first.

    Returns:
        Why the container may be left; empty if nothing is.
    """
    if pid is not None:
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # the usual case: everything has ended
    kill_all_with(mark)
    return remove_container(container) if container else ''


def processes_with(mark: str) -> list[int]:
    """Return all processes but this one that were started with a setting in their environment.

    Only Linux shows the environment of a process; elsewhere there are none. A process that begins another program shows
    an empty one until that is loaded.

    Args:
        mark: `NAME=value`.

    Raises:
        ValueError: it is not a setting; an empty one would be found in every process.
    """
    if not all(mark.partition('=')):
        raise ValueError(f'{mark!r} is not a NAME=value')
    wanted, found = os.fsencode(mark), []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if wanted in (folder / 'environ').read_bytes().split(b'\0') and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        except OSError:
            pass  # ended, or of another user
    return found


def kill_all_with(mark: str) -> None:
    """Kill every process that `processes_with` finds, whatever session it moved to.

    Args:
        mark: `NAME=value`.

    Raises:
        ValueError: it is not a setting.
    """
    found_none = 0
    for _ in range(20):  # a process may start another while the list is read
        found = processes_with(mark)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        found_none = 0 if found else found_none + 1
        if found_none == 2:  # one that was loading its program shows its environment the second time
            return
        time.sleep(0.02)


def remove_container(name: str) -> str:
    """Remove a container by force and wait until it is gone.

    A `docker run` that was killed may have asked for a container that is made only afterwards, so one that is not there
    yet is looked for a little longer.

    Args:
        name: of the container.

    Returns:
        Why it may still be there; empty if it is gone.
    """
    end = time.monotonic() + 1
    while True:
        try:
            done = subprocess.run(
                ['docker', 'rm', '-f', name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=DOCKER_SECONDS,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return f'Docker gave no answer in {DOCKER_SECONDS} seconds'
        except OSError as error:
            return f'docker cannot be started: {error}'
        answer = ' '.join(done.stderr.decode(errors='replace').split())
        gone = 'no such container' in answer.lower() or 'already in progress' in answer.lower()
        if not gone:
            return answer if done.returncode else ''
        if time.monotonic() > end:
            return ''
        time.sleep(0.1)


def _guard(mark: str, container: str) -> None:
    pid = None
    for line in sys.stdin.buffer:
        if line == DONE:
            return
        pid = int(line)
    end_task(mark, container, pid)


if __name__ == '__main__':
    _guard(*sys.argv[1:])
