"""From any exception to what the platform shows: a code, one sentence and the trace (contract sections a.6, d.1 and h).

Imports neither torch nor mmengine, because `start.py` uses it before either may be loaded; their exceptions are known by
the names of their classes and by the fixed beginnings of their messages.

A task is a tree of processes (start.py, the task's script, torchrun, ranks, loader workers) that all write to one log,
and the platform shows the last five lines of that log. So only the outermost process may speak last: it names a file in
the environment variable `YMIR_ERROR_FILE`, the processes below leave their error there (the first one wins: what follows
in other ranks are consequences), and the outermost writes monitor.txt and prints the five lines after all others ended.
"""

import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from ymir_exc.code import ExecutorReturnCode, ExecutorState
from ymir_exc.errors import ExecutorError
from ymir_exc.monitor import read_monitor, write_monitor_logger

ERROR_FILE_VARIABLE = 'YMIR_ERROR_FILE'
MAX_TRACE_LINES = 99  # the platform reads lines 2 to 100 of monitor.txt
MAX_SENTENCE = 1200


class TaskError(Exception):
    """A failure whose cause is known, in the words that the user is to read.

    Args:
        code: The platform's error code.
        sentence: What is wrong, where, what is allowed and how to fix it; one line.
    """

    def __init__(self, code: ExecutorReturnCode, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = ExecutorReturnCode(code)
        self.sentence = one_line(sentence)

    def __str__(self) -> str:
        return self.sentence


class Rule(NamedTuple):
    """One row of the mapper: an exception fits if a class name and, where given, a part of its message fit.

    Without advice the exception's own sentence is all there is to say.
    """

    code: ExecutorReturnCode
    types: tuple[str, ...]
    parts: tuple[str, ...]
    advice: str


# What a process that uses up the main memory can be told, by what it does; it stands behind a sentence that says so.
MEMORY_ADVICE = {
    'gpu': 'set samples_per_gpu, workers_per_gpu or img_size lower, or give the container more memory.',
    'cpu prediction': 'set img_size lower, let fewer processes predict (the environment variable YMIR_CPU_PROCESSES=1; each takes '
    'about half a GB), or give the container more memory.',
}
MEMORY_ADVICE_VARIABLE = 'YMIR_MEMORY_ADVICE'
MEMORY = '{memory}'  # in the advice of a rule
SHM_ADVICE = 'The shared memory is too small: set shm_size higher (16G) or workers_per_gpu lower (0).'
# First fit wins. Class names are compared over the whole inheritance line, message parts in lower case.
RULES = (
    Rule(
        ExecutorReturnCode.RC_EXEC_OOM,
        ('RuntimeError', 'OSError'),
        ('too many open files',),
        'Set workers_per_gpu lower, or let the container open more files (--ulimit nofile).',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_OOM,
        ('RuntimeError', 'OSError'),
        (
            'bus error',
            'insufficient shared memory',
            'out of shared memory',
            'shared memory(shm)',
            'shared memory object',
            '</torch_',
            'shared memory segment',
            'shared memory manager',
        ),
        SHM_ADVICE,
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_OOM,
        ('OutOfMemoryError',),
        (),
        'The GPU memory is too small: set samples_per_gpu or img_size lower, or take a smaller model_name.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_OOM,
        ('RuntimeError',),
        ('cuda out of memory', 'cublas_status_alloc_failed', 'cuda error: out of memory'),
        'The GPU memory is too small: set samples_per_gpu or img_size lower, or take a smaller model_name.',
    ),
    Rule(ExecutorReturnCode.RC_EXEC_OOM, ('MemoryError',), (), MEMORY),
    Rule(
        ExecutorReturnCode.RC_EXEC_OOM,
        ('RuntimeError', 'OSError', 'ImportError', 'SystemError', 'error'),
        (
            "can't allocate memory",
            'cannot allocate memory',
            'not enough memory',
            'could not allocate memory',
            'bad_alloc',
            'insufficient memory',
            'out of memory',
            'unable to mmap',
            "can't start new thread",
            'killed by signal: killed',
            'exited unexpectedly',
        ),
        MEMORY,
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_NO_GPU,
        ('RuntimeError', 'AssertionError'),
        (
            'no cuda gpus are available',
            'found no nvidia driver',
            'torch not compiled with cuda',
            'invalid device ordinal',
        ),
        'The task was given GPUs that this container cannot see: start it with them, or with gpu_count 0 for the CPU.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_CUDA_GPU_ERROR,
        ('AcceleratorError', 'DistBackendError'),
        (),
        'The GPU, its driver or the link between GPUs failed: check the driver version and the health of the node.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_CUDA_GPU_ERROR,
        ('RuntimeError',),
        ('cuda error', 'cudnn error', 'cudnn_status', 'cublas_status', 'nccl error', 'cuda driver', 'nvrtc'),
        'The GPU or its driver failed: check that the driver is new enough for this image, and the health of the node.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_NAN_ERROR,
        ('FloatingPointError',),
        (),
        'The loss is not a number: set learning_rate lower, or precision to fp32.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_UNKNOWN_IMAGE_FORMAT,
        ('UnidentifiedImageError',),
        (),
        'Replace or remove this image.',
    ),
    Rule(ExecutorReturnCode.RC_EXEC_MODEL_ERROR, ('CheckpointError', 'ConfigContentError'), (), ''),  # they say it all
    Rule(
        ExecutorReturnCode.RC_EXEC_MODEL_ERROR,
        ('UnpicklingError',),
        (),
        'The weight file is broken or holds more than weights: export the model again, or train it with this image.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_MODEL_ERROR,
        ('RuntimeError',),
        ('error(s) in loading state_dict', 'pytorchstreamreader failed'),
        'The weight file does not belong to this model or is broken.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_NETWORK_ERROR,
        ('URLError', 'gaierror', 'ConnectionRefusedError', 'ProtocolError', 'HTTPError'),
        (),
        'Nothing can be downloaded while a task runs: build the image with the file, or give it as a pre-trained model.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
        ('OSError', 'ValueError'),
        ('file name too long', 'too many levels of symbolic links', 'embedded null', 'surrogates not allowed'),
        'Correct this path or name where it comes from: env.yaml, config.yaml, or a list of images.',
    ),
    Rule(
        ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
        ('YAMLError', 'ValidationError', 'ConfigConflictError'),
        (),
        'Correct this setting or file.',
    ),
)


def one_line(text: str) -> str:
    """Join a text to one line without TABs, as monitor.txt needs it, and limit its length."""
    joined = ' '.join(str(text).split())
    return joined if len(joined) <= MAX_SENTENCE else joined[: MAX_SENTENCE - 3] + '...'


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then what it was raised from or during, outermost first."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _own_words(error: BaseException) -> str:
    """The sentence of an exception itself; of one that a loader worker passed on, the last line of its trace."""
    text = str(error).strip()
    if 'Original Traceback (most recent call last)' in text:
        return text.splitlines()[-1].strip()
    name = type(error).__name__
    return f'{name}: {text}' if text else name


def as_task_error(error: BaseException) -> TaskError:
    """Map any exception to a code and a sentence.

    Args:
        error: What was caught; the exceptions it was raised from count too, a TaskError among them first of all.

    Returns:
        The error itself if it is a TaskError, else a new one raised from it; 160004 where nothing is known.
    """
    links = list(_chain(error))
    for link in links:
        if isinstance(link, TaskError):
            return link
    for link in links:
        if isinstance(link, ExecutorError):
            return _raised_from(TaskError(link.code, str(link)), error)
    for link in links:
        rule = _fitting_rule(link)
        if rule is not None:
            advice = f'The main memory is too small: {memory_advice()}' if rule.advice == MEMORY else rule.advice
            sentence = f'{_first_line(_own_words(link))} {advice}' if advice else str(link)
            return _raised_from(TaskError(rule.code, sentence), error)
        killed = (
            killed_process('The process', link.returncode) if isinstance(link, subprocess.CalledProcessError) else None
        )
        killed = killed or stopped_process(link)
        if killed is not None:
            return _raised_from(killed, error)
        if isinstance(link, OSError) and link.errno == errno.ENOSPC:
            if str(link.filename).startswith('/dev/shm') or _is_raised_in(link, 'multiprocessing'):  # e.g. semaphores
                return _raised_from(
                    TaskError(ExecutorReturnCode.RC_EXEC_OOM, f'{_own_words(link)}. {SHM_ADVICE}'), error
                )
            sentence = f'No space is left on the disk ({link.filename or "/out or /tmp"}): free some and start again.'
            return _raised_from(TaskError(ExecutorReturnCode.RC_CMD_CONTAINER_ERROR, sentence), error)
    return _raised_from(TaskError(ExecutorReturnCode.RC_CMD_CONTAINER_ERROR, _own_words(error)), error)


def _is_raised_in(error: BaseException, package: str) -> bool:
    return any(f'{os.sep}{package}{os.sep}' in frame.filename for frame in traceback.extract_tb(error.__traceback__))


def memory_advice() -> str:
    """What to do where the main memory is too small, for what this process does."""
    return MEMORY_ADVICE.get(os.environ.get(MEMORY_ADVICE_VARIABLE, ''), MEMORY_ADVICE['gpu'])


def killed_process(what: str, status: int) -> TaskError | None:
    """The error of a process that the system killed for memory, which leaves no words of its own.

    Args:
        what: Which process, as the beginning of a sentence.
        status: Its exit status, negative for a signal or above 128 as a shell has it.

    Returns:
        The error, None if it was not killed.
    """
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return TaskError(
            ExecutorReturnCode.RC_EXEC_OOM,
            f'{what} was killed, most likely because the main memory was used up: {memory_advice()}',
        )
    if status in (-signal.SIGBUS, 128 + signal.SIGBUS):
        return TaskError(ExecutorReturnCode.RC_EXEC_OOM, f'{what} was ended by a bus error. {SHM_ADVICE}')
    return None


def stopped_process(error: BaseException) -> TaskError | None:
    """The error of a process that was told to end, None for any other; its command line says nothing to a user."""
    status = getattr(error, 'returncode', 0) if isinstance(error, subprocess.CalledProcessError) else 0
    for number in (signal.SIGTERM, signal.SIGINT):
        if status in (-number, 128 + number):
            return TaskError(
                ExecutorReturnCode.RC_CMD_CONTAINER_ERROR,
                f'The task was stopped from outside ({number.name}), as when its container is stopped: start it again.',
            )
    return None


def _fitting_rule(error: BaseException) -> Rule | None:
    names = {cls.__name__ for cls in type(error).__mro__}
    text = str(error).lower()
    for rule in RULES:
        if names.intersection(rule.types) and (not rule.parts or any(part in text for part in rule.parts)):
            return rule
    return None


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0].strip()
    return line if line.endswith(('.', '!', '?')) else line + '.'


def _raised_from(new: TaskError, cause: BaseException) -> TaskError:
    new.__cause__ = cause
    return new


@dataclass
class ErrorRecord:
    """What one process leaves for the outermost one."""

    code: int
    sentence: str
    process: str
    trace: list[str]

    @classmethod
    def of(cls, error: TaskError, process: str) -> 'ErrorRecord':
        lines = ''.join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines()
        return cls(int(error.code), error.sentence, process, lines[-MAX_TRACE_LINES:])


def read_record(path: str) -> ErrorRecord | None:
    """Read the error that a process below left, None if there is none or it is cut short by a kill."""
    try:
        with open(path, encoding='utf-8') as file:
            return ErrorRecord(**json.load(file))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def forget_record() -> None:
    """Take back what was left, where the cause becomes known after its consequences."""
    path = os.environ.get(ERROR_FILE_VARIABLE)
    if path:
        Path(path).unlink(missing_ok=True)


def _leave_record(path: str, record: ErrorRecord) -> None:
    """Write the record whole or not at all, and only if no other process did so before."""
    temporary = f'{path}.{socket.gethostname()}.{os.getpid()}'
    with open(temporary, 'w', encoding='utf-8') as file:
        json.dump(asdict(record), file)
    try:
        os.link(temporary, path)
    except FileExistsError:
        logging.getLogger('ymir').info('an earlier error of this task is already recorded')
    finally:
        os.unlink(temporary)


def _percent_so_far() -> float:
    try:
        return read_monitor().percent
    except (OSError, ValueError):
        return 0.0


def write_monitor(record: ErrorRecord) -> None:
    """Write the record to monitor.txt."""
    try:
        write_monitor_logger(
            _percent_so_far(), ExecutorState.ES_ERROR, ExecutorReturnCode(record.code), record.sentence, record.trace
        )
    except (ExecutorError, OSError) as error:  # without env.yaml there is no monitor.txt; the log remains
        print(f'monitor.txt cannot be written: {one_line(str(error))}', file=sys.stderr)


def publish(record: ErrorRecord) -> None:
    """Write the record to monitor.txt and print it as the last five lines; only for the outermost process."""
    write_monitor(record)
    sys.stdout.flush()
    place = next((line.strip() for line in reversed(record.trace) if line.startswith('  File ')), 'unknown')
    print(
        '---- the task failed ----\n'
        f'code:  {record.code} {ExecutorReturnCode(record.code).name}\n'
        f'what:  {record.sentence}\n'
        f'where: {record.process}, {place}\n'
        'more:  the trace stands above and in monitor.txt',
        file=sys.stderr,
        flush=True,
    )


def report(error: BaseException, process: str = 'task') -> TaskError:
    """Report a failure to the platform: at once if this process is the outermost, else through the record.

    Below start.py, a script without ranks beside it is the last of its task and writes monitor.txt too, so that state
    and code are there before start.py learns of the failure.

    Args:
        error: What was caught.
        process: The name of the process in the words of the user, e.g. 'training, rank 1'.

    Returns:
        What was reported.
    """
    mapped = as_task_error(error)
    traceback.print_exception(type(error), error, error.__traceback__)
    record = ErrorRecord.of(mapped, process)
    path = os.environ.get(ERROR_FILE_VARIABLE)
    if path:
        _leave_record(path, record)
        if 'RANK' not in os.environ:
            write_monitor(read_record(path) or record)
    else:
        publish(record)
    return mapped


def report_uncaught(process: str) -> None:
    """Have every exception that ends this process reported, for scripts whose main is not ours to wrap.

    Args:
        process: The name of the process in the words of the user.
    """

    def hook(kind: type, error: BaseException, trace: object) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            report(error, process)

    sys.excepthook = hook


def run_task(name: str, main: Callable[[], int | None]) -> None:
    """Run the main of a process, and end the process; a failure is reported and gives exit status 1.

    Args:
        name: The name of the process in the words of the user.
        main: What to run; its return value is the exit status, None meaning 0.
    """
    try:
        status = main() or 0
    except Exception as error:
        report(error, name)
        status = 1
    sys.stdout.flush()
    sys.exit(status)
