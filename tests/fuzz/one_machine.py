"""Runs a whole task through its real entry point, each of its processes as a fork that has its imports behind it.

`ymir/start.py`, the script of the task, predicting processes and the training run as ever, one below the other, with
files, records and exit statuses between them. Where they would start Python anew they fork. The processes belong to a
user who may write nowhere but to the output and the temporary folder. A hook of Python notes what they try elsewhere.
"""

import ctypes
import faulthandler
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

import tmi.inference.worker
import tmi.training.process
from mmyolo.registry import DATASETS
from mmyolo.utils.config_types import registered_only
from tmi.process_tree import descendants, kill_tree
from tmi.processes import end_with_parent, run_task
from tmi.training.config import TrainingTask
from ymir import errors, start, ymir_infer, ymir_mining, ymir_training
from ymir.environment import configure_logging
from ymir_exc import settings
from ymir_exc.training_result import write_model_stage

USER = 23456  # of the processes, where this one may choose
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {  # event of Python: which of its arguments are paths that change, and the folders that these start from
    'os.mkdir': ((0, 2),),
    'os.rename': ((0, 2), (1, 3)),
    'os.remove': ((0, 1),),
    'os.rmdir': ((0, 1),),
    'os.link': ((1, 3),),
    'os.symlink': ((1, 2),),
    'os.truncate': ((0, None),),
    'os.chmod': ((0, 2),),
    'os.chown': ((0, 3),),
    'os.utime': ((0, 3),),
}
PR_SET_KEEPCAPS, CAPABILITY_VERSION, CAP_DAC_READ_SEARCH = 8, 0x20080522, 2
PROGRAMS = ('subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn', 'os.startfile')
HARMLESS_PROGRAMS = (
    'nvidia-smi',
    'git',
    'fc-list',
    'uname',
    'lscpu',
    'gcc',
    'c++',
    'g++',
    '/sbin/ldconfig',
    'which',
    'file',
)


def may_change_user() -> bool:
    """Whether this is root who can hand on the right to read everything, which root of a container may not have."""
    rights = re.search(r'^CapPrm:\s*(\w+)', Path('/proc/self/status').read_text(), re.MULTILINE)
    return os.geteuid() == 0 and bool(rights and int(rights[1], 16) >> CAP_DAC_READ_SEARCH & 1)


CHANGES_USER = may_change_user()
REAL_POPEN = subprocess.Popen


class Folders(NamedTuple):
    """Of one task.

    Args:
        root: Holds all others.
        output: Everything that the task may write, but for temporary files.
        temporary: Of those.
        home: And current folder; the task may read it.
    """

    root: Path
    output: Sequence[Path]
    temporary: Path
    home: Path


def watch(folders: Folders, inputs: Path, report: int) -> None:
    """Have this process and its forks note what they change outside their folders, start or execute.

    Args:
        folders: Of the task.
        inputs: Nothing that lies there is to be executed.
        report: Where a line is written for each.
    """
    # /out is the output folder where env.yaml names none; this user cannot write there.
    allowed = tuple(f'{os.path.realpath(path)}/' for path in (*folders.output, folders.temporary, '/dev/shm', '/out'))

    def check(event: str, path: Any, folder: int = -1) -> None:
        if isinstance(path, int) or path is None:
            return
        text = os.fsdecode(path)
        if folder >= 0:
            text = os.path.join(os.readlink(f'/proc/self/fd/{folder}'), text)
        place = os.path.join(os.path.realpath(os.path.dirname(text)), os.path.basename(text))
        if not f'{place}/'.startswith(allowed) and place != '/dev/null' and not place.startswith('/proc/'):
            os.write(report, f'{event} {place[:500]}\n'.encode('utf-8', 'replace'))

    def hook(event: str, arguments: tuple) -> None:
        if event == 'open':
            if isinstance(arguments[2], int) and arguments[2] & WRITING:
                check('open', arguments[0])
        elif event in CHANGES:
            for number, folder in CHANGES[event]:
                check(event, arguments[number], -1 if folder is None else arguments[folder])
        elif event in PROGRAMS:
            program = os.fsdecode(arguments[0] or arguments[1][0])
            if os.path.basename(program) not in HARMLESS_PROGRAMS and program not in HARMLESS_PROGRAMS:
                os.write(report, f'{event} {arguments[:2]!r}\n'[:500].encode('utf-8', 'replace'))
        elif event == 'exec':
            file = getattr(arguments[0], 'co_filename', '')
            if file.startswith(str(inputs)):
                os.write(report, f'exec {file}\n'.encode('utf-8', 'replace'))
        elif event == 'socket.connect' and not isinstance(arguments[1], (str, bytes)):
            os.write(report, f'connect {arguments[1]!r}\n'.encode())

    sys.addaudithook(hook)


def fork(main: Callable[[], object], environment: dict[str, str] | None = None) -> int:
    """Run a main in a fork as Python runs a script; returns its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        end_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        try:
            sys.excepthook(*sys.exc_info())
        except BaseException:
            traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Forked:
    """A fork in the place of a `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], main: Callable[[], object], environment: dict[str, str]) -> None:
        self.args, self.returncode = command, None
        self.pid = fork(main, environment)

    def poll(self) -> int | None:
        """Return the exit status if the process has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process."""
        end = time.monotonic() + (timeout or 1e9)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.002)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)


def main_of(command: list[str], environment: dict[str, str]) -> Callable[[], object] | None:
    """Return what a command of the executor runs, None for any other."""
    scripts = {'ymir_training': 'training', 'ymir_mining': 'mining', 'ymir_infer': 'infer'}
    mains = {'training': ymir_training.main, 'mining': ymir_mining.main, 'infer': ymir_infer.main}
    names = {'training': 'training', 'mining': 'mining', 'infer': 'inference'}
    name = scripts.get(Path(command[-1]).stem)

    def script() -> None:
        errors.report_uncaught(names[name])
        if name == 'training':
            ymir_training.prepare_environment()
        run_task(name, mains[name], errors.report)

    def worker() -> None:
        sys.argv[:] = command[2:]
        run_task(f'prediction, process {sys.argv[2]}', tmi.inference.worker.main)

    def training() -> None:
        sys.argv[:] = [environment['TRAIN_SCRIPT'], command[2], *command[4:]]
        errors.report_uncaught('training, rank 0')
        configure_logging('info')
        tmi.training.process.run_train_script()

    if name:
        return script
    if command[1:3] == ['-m', 'tmi.inference.worker']:
        return worker
    return training if command[0] == 'bash' and command[1].endswith('dist_train.sh') and command[3] == '0' else None


def train_without_network(run: Config, run_config: Path, task: TrainingTask, *_: object) -> None:
    """Take the place of `ymir_training.train`: read all that it would read, and write a stage without any training."""
    with registered_only():
        for loader in (run.train_dataloader, run.val_dataloader):
            dataset = DATASETS.build(loader.dataset)
            for index in range(len(dataset)):
                dataset[index]
    weights = task.models_dir / 'epoch_1.pth'
    weights.write_bytes(b'no weights')
    write_model_stage('epoch_1', [weights.name, run.default_hooks.checkpoint.config_file], mAP=0.5)


def popen(command: Any, **options: Any) -> Any:
    """Take the place of `subprocess.Popen`: the executor's commands fork, others start as ever."""
    words = list(map(str, command)) if isinstance(command, (list, tuple)) else [command]
    environment = dict(options.get('env') or os.environ)
    main = main_of(words, environment)
    return REAL_POPEN(command, **options) if main is None else Forked(words, main, environment)


def become_user() -> None:
    """Give up root's rights, but for reading what others may not: Python may lie in a folder of root's."""
    if not CHANGES_USER:
        return
    system = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setgid(USER)
    assert system.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    os.setuid(USER)
    header, rights = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    rights[0] = rights[1] = 1 << CAP_DAC_READ_SEARCH  # effective and permitted
    assert system.capset(header, rights) == 0
    assert not os.access('/', os.W_OK)


def become_task(inputs: Path, folders: Folders, python: str, report: int, trains: bool) -> None:
    """Give this process the environment, the user and the commands of a task."""
    if not trains:
        ymir_training.train, ymir_training.examine_labelled_images = train_without_network, lambda task: None
    os.environ.update(
        DEFAULT_ENV_FILE_PATH=str(inputs / 'env.yaml'),
        TMPDIR=str(folders.temporary),
        HOME=str(folders.home),
        TMI_STANDSTILL_SECONDS='30',
        OPENCV_LOG_LEVEL='SILENT',
    )
    tempfile.tempdir = None
    os.chdir(folders.home)
    become_user()
    settings.DEFAULT_ENV_FILE_PATH = str(inputs / 'env.yaml')
    start.STARTED = time.monotonic()
    sys.executable = python
    subprocess.Popen = popen
    watch(folders, inputs, report)


class Ended(NamedTuple):
    """How a task ended.

    Args:
        status: Exit status; None if it had to be ended.
        log: What it printed.
        outside: What it did that no task may do.
        left: Processes that it left behind.
        seconds: Of the processor that it took.
    """

    status: int | None
    log: str
    outside: list[str]
    left: int
    seconds: float


def run_whole_task(
    main: Callable[[], object], inputs: Path, folders: Folders, python: str, limit: float, trains: bool
) -> Ended:
    """Run a task to its end.

    Args:
        main: What the outermost process runs.
        inputs: The task's /in.
        folders: Of the task.
        python: The interpreter.
        limit: Seconds after which it is ended, with a trace of each of its processes in the log.
        trains: Whether a training trains; else it only reads what it would train with.
    """
    log, report = folders.root / 'log.txt', folders.root / 'report.txt'
    began, used = time.monotonic(), seconds_of_children()

    def outermost() -> None:
        os.setsid()
        number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(number, stream)
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        become_task(inputs, folders, python, os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND), trains)
        sys.exit(main())

    pid = fork(outermost)
    status = None
    while status is None and time.monotonic() < began + limit:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
        time.sleep(0.005)
    if status is None:
        for one in (pid, *descendants(pid)):
            os.kill(one, signal.SIGUSR1)
            time.sleep(0.2)
        kill_tree(pid)
        os.waitpid(pid, 0)
    ended_at = time.monotonic()
    left = processes_of_session(pid)
    while left and time.monotonic() < ended_at + 10:  # what ends with its parent has not ended yet
        time.sleep(0.02)
        left = processes_of_session(pid)
    for one in left:
        os.kill(one, signal.SIGKILL)
    outside = sorted({*report.read_text(errors='replace').splitlines()})
    return Ended(status, log.read_bytes().decode('utf-8', 'replace'), outside, len(left), seconds_of_children() - used)


def seconds_of_children() -> float:
    """Return the seconds of the processor that ended children and those below them took."""
    times = os.times()
    return times.children_user + times.children_system


def processes_of_session(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = path.read_text().rsplit(')', 1)[1].split()
            if int(fields[3]) == session and fields[0] != 'Z':
                found.append(int(path.parent.name))
        except (OSError, ValueError):
            pass
    return found
