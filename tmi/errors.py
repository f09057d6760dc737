"""What can go wrong, as one class for each cause, and the cause of any other exception.

A platform's adapter gives each class a code; here they have none. Imports neither torch nor mmengine, because the first
process of a task does so before either may be loaded: their exceptions are known by the names of their classes and by
the fixed beginnings of their messages.
"""

import errno
import os
import resource
import signal
import subprocess
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tmi.setting_names import advice

MAX_SENTENCE = 1200
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
SETTINGS_FILE_VARIABLE = 'TMI_SETTINGS_FILE'
LOST_LOADER = 'DataLoader worker (pid'  # in the message of PyTorch, where a loader process was killed


def settings_file() -> str:
    """Return where the settings of a task stand, for messages; the adapter of a platform says so in the environment."""
    return os.environ.get(SETTINGS_FILE_VARIABLE, 'the settings')


class TaskError(Exception):
    """A failure whose cause is known, in the words that the user is to read; each cause is a class below.

    Args:
        sentence: What is wrong, where, what is allowed and how to fix it; one line.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = one_line(sentence)

    def __str__(self) -> str:
        return self.sentence


class SettingError(TaskError):
    """A setting, a path or an option cannot be used."""


class DataError(TaskError):
    """A data set cannot be used: no image, no object, files that contradict each other."""


class NoReadableImageError(DataError):
    """No image of a set can be read."""


class ModelError(TaskError):
    """Weights or the config of a model are missing, damaged, or do not fit the task."""


class ObjectTypeError(SettingError):
    """The task is not about what this code detects."""


class GpuError(TaskError):
    """A GPU, its driver or the link between GPUs failed."""


class MissingGpuError(GpuError):
    """A GPU was asked for and none can be seen."""


class InsufficientMemoryError(TaskError):
    """The memory of the machine, of the GPU or that which processes share is too small, or too many files are open."""


class StepMemoryError(InsufficientMemoryError):
    """A training step needs more memory than there is; fewer images at once need less."""


class NotFiniteError(TaskError):
    """The loss is NaN or infinite."""


class NetworkError(TaskError):
    """Something had to be downloaded and could not be."""


class LostNodeError(NetworkError):
    """Another machine of the task cannot be reached any more, or did not come."""


class UnknownError(TaskError):
    """The cause is not known, or is none of the above and below, such as a process that crashed."""


class DiskFullError(UnknownError):
    """No space is left on a disk."""


class StoppedError(TaskError):
    """The task was asked to end, by SIGTERM or SIGINT, and has ended."""


class StandstillError(TaskError):
    """A process of the task was there and did nothing for so long that it was ended."""


# In what gloo, NCCL and torchrun say of a process that has lost another one.
LOST_CONNECTION = (
    'connection closed by peer',
    'connection reset',
    'broken pipe',
    'connection refused',
    'gloo',
    'nccl',
    'distbackenderror',
    'distnetworkerror',
    'timed out waiting',
    'ended with status',
    'non-zero exit status',
)


class ErrorPattern(NamedTuple):
    """One row of the table below: an exception fits if a class name and, where given, a part of its message fit.

    Without a problem the exception's own sentence is all there is to say.

    Args:
        cause: What is raised for it.
        types: Names of classes.
        parts: Of the message, in lower case.
        problem: What it means, a sentence without its full stop.
        ways: What to do about it, as `tmi.setting_names.advice` takes it.
    """

    cause: type[TaskError]
    types: tuple[str, ...]
    parts: tuple[str, ...]
    problem: str
    ways: tuple[str, ...] = ()


# What a process that uses up the main memory can advise, by what it does; it stands behind a sentence that says so.
MEMORY_ADVICE = {
    'training': (
        'set {samples_per_gpu|workers_per_gpu|img_size} lower',
        'keep no decoded images ({cache}: off)',
        'give the container more memory',
    ),
    'gpu': ('set {samples_per_gpu|workers_per_gpu|img_size} lower', 'give the container more memory'),
    'cpu prediction': (
        'set {img_size} lower',
        'let fewer processes predict (the environment variable YMIR_CPU_PROCESSES=1; each takes about half a GB)',
        'give the container more memory',
    ),
}
MEMORY_ADVICE_VARIABLE = 'TMI_MEMORY_ADVICE'
MEMORY = 'The main memory is too small'
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGSYS)
SHARED_MEMORY = 'The shared memory is too small'
SHARED_MEMORY_WAYS = (
    'set {shm_size} higher (16G)',
    'set {workers_per_gpu} lower (0)',
    'give the container more shared memory',
)
GPU_MEMORY_WAYS = ('set {samples_per_gpu|img_size} lower', 'take a smaller {model_name}')
# First fit wins. Class names are compared over the whole inheritance line, message parts in lower case.
ERROR_PATTERNS = (
    ErrorPattern(
        InsufficientMemoryError,
        ('RuntimeError', 'OSError'),
        ('too many open files',),
        'Too many files are open',
        ('set {workers_per_gpu} lower', 'let the container open more files (--ulimit nofile)'),
    ),
    ErrorPattern(
        InsufficientMemoryError,
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
        SHARED_MEMORY,
        SHARED_MEMORY_WAYS,
    ),
    ErrorPattern(InsufficientMemoryError, ('OutOfMemoryError',), (), 'The GPU memory is too small', GPU_MEMORY_WAYS),
    ErrorPattern(
        InsufficientMemoryError,
        ('RuntimeError',),
        ('cuda out of memory', 'cublas_status_alloc_failed', 'cuda error: out of memory'),
        'The GPU memory is too small',
        GPU_MEMORY_WAYS,
    ),
    ErrorPattern(InsufficientMemoryError, ('MemoryError',), (), MEMORY),
    ErrorPattern(
        InsufficientMemoryError,
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
            'failed to map segment from shared object',
            "can't start new thread",
            'killed by signal: killed',
            'exited unexpectedly',
        ),
        MEMORY,
    ),
    ErrorPattern(
        MissingGpuError,
        ('RuntimeError', 'AssertionError'),
        (
            'no cuda gpus are available',
            'found no nvidia driver',
            'torch not compiled with cuda',
            'invalid device ordinal',
        ),
        'The task was given GPUs that this container cannot see',
        ('start it with them', 'set {gpu_count} to 0 for the CPU'),
    ),
    ErrorPattern(
        GpuError,
        ('AcceleratorError', 'DistBackendError'),
        (),
        'The GPU, its driver or the link between GPUs failed',
        ('check the driver version and the health of the node',),
    ),
    ErrorPattern(
        GpuError,
        ('RuntimeError',),
        ('cuda error', 'cudnn error', 'cudnn_status', 'cublas_status', 'nccl error', 'cuda driver', 'nvrtc'),
        'The GPU or its driver failed',
        ('check that the driver is new enough for this image, and the health of the node',),
    ),
    ErrorPattern(
        NotFiniteError,
        ('FloatingPointError',),
        (),
        'The loss is not a number',
        ('set {learning_rate} lower', 'set {precision} to fp32'),
    ),
    ErrorPattern(
        SettingError,
        ('ValueError',),
        ('expected more than 1 value per channel when training',),
        'A training step of one image is too small for the batch norms of this model at this input size',
        ('set {img_size} higher', 'give the training set at least two images that can be used'),
    ),
    ErrorPattern(NoReadableImageError, ('UnidentifiedImageError',), (), 'Replace or remove this image'),
    ErrorPattern(ModelError, ('CheckpointError', 'ConfigContentError'), (), ''),  # they say it all
    ErrorPattern(
        ModelError,
        ('UnpicklingError',),
        (),
        'The weight file is broken or holds more than weights',
        ('export the model again', 'train it with this image'),
    ),
    ErrorPattern(
        ModelError,
        ('RuntimeError',),
        ('error(s) in loading state_dict', 'pytorchstreamreader failed'),
        'The weight file does not belong to this model or is broken',
    ),
    ErrorPattern(
        NetworkError,
        ('URLError', 'gaierror', 'ConnectionRefusedError', 'ProtocolError', 'HTTPError'),
        (),
        'Nothing can be downloaded while a task runs',
        ('build the image with the file', 'give it as a pre-trained model'),
    ),
    ErrorPattern(
        SettingError,
        ('OSError', 'ValueError'),
        ('file name too long', 'too many levels of symbolic links', 'embedded null', 'surrogates not allowed'),
        'Correct this path or name where it comes from: the settings of the task, or a list of images',
    ),
    ErrorPattern(
        SettingError, ('YAMLError', 'ValidationError', 'ConfigConflictError'), (), 'Correct this setting or file'
    ),
)


def one_line(text: str) -> str:
    """Join a text to one line without TABs, as monitor.txt needs it, and limit its length."""
    joined = ' '.join(str(text).split())
    return joined if len(joined) <= MAX_SENTENCE else joined[: MAX_SENTENCE - 3] + '...'


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then what it was raised from or during, outermost first.

    Args:
        error: What was caught.
    """
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _own_words(error: BaseException) -> str:
    """Return the sentence of an exception itself; of one that a loader worker passed on, the last line of its trace."""
    text = str(error).strip()
    if 'Original Traceback (most recent call last)' in text:
        return text.splitlines()[-1].strip()
    name = type(error).__name__
    return f'{name}: {text}' if text else name


def as_task_error(
    error: BaseException, translate: Callable[[BaseException], TaskError | None] = lambda error: None
) -> TaskError:
    """Find the cause of any exception.

    Args:
        error: What was caught; the exceptions it was raised from count too, a TaskError among them first of all.
        translate: Knows exceptions of others, such as those of a platform's SDK.

    Returns:
        The error itself if it is a TaskError, else a new one raised from it; UnknownError where nothing is known.
    """
    links = list(causes_of(error))
    for link in links:
        if isinstance(link, TaskError):
            return link
    for known in (translate, _known):
        for link in links:
            found = known(link)
            if found is not None:
                found.__cause__ = error
                return found
    unknown = UnknownError(_own_words(error))
    unknown.__cause__ = error
    return unknown


def _known(link: BaseException) -> TaskError | None:
    """Return the cause of one exception alone."""
    pattern = _fitting_pattern(link)
    if pattern is not None:
        ways = _memory_ways() if pattern.problem == MEMORY else pattern.ways
        sentence = _sentence(pattern.problem, ways)
        return pattern.cause(f'{_first_line(_own_words(link))} {sentence}' if sentence else str(link))
    if isinstance(link, subprocess.CalledProcessError):
        return killed_process('The process', link.returncode) or stopped_process(link)
    if isinstance(link, OSError) and link.errno in DISK_FULL:
        if str(link.filename).startswith('/dev/shm') or _is_raised_in(link, 'multiprocessing'):  # e.g. semaphores
            return InsufficientMemoryError(f'{_own_words(link)}. {_sentence(SHARED_MEMORY, SHARED_MEMORY_WAYS)}')
        place = link.filename or 'of results or of temporary files'
        return DiskFullError(f'No space is left on the disk ({place}): free some and start again.')
    return None


def needs_fewer_images(error: BaseException) -> bool:
    """Return whether the memory was too small for what was computed at once, so that fewer images need less.

    Args:
        error: What was caught.
    """
    return type(as_task_error(error)) is InsufficientMemoryError and LOST_LOADER not in str(error)


def is_consequence(error: BaseException) -> bool:
    """Return whether an error may be what a process says that has lost another one, which has the cause.

    Args:
        error: What was caught.
    """
    known = as_task_error(error)
    text = known.sentence.lower()
    is_unclear = type(known) in (UnknownError, GpuError) and any(word in text for word in LOST_CONNECTION)
    return is_unclear or isinstance(known, LostNodeError)


def error_named(cause: str, sentence: str) -> TaskError:
    """Return an error that another process has noted.

    Args:
        cause: The name of its class in this module.
        sentence: What the user is to read.
    """
    found = globals().get(cause)
    is_error = isinstance(found, type) and issubclass(found, TaskError)
    return (found if is_error else UnknownError)(sentence)


def cause_name(error: TaskError) -> str:
    """Return the name of the class in this module that an error belongs to; an adapter may have derived its own.

    Args:
        error: Any.
    """
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == __name__)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an exception came about because a disk is full; libraries raise others from that of the system.

    Args:
        error: What was caught.
    """
    return any(isinstance(cause, OSError) and cause.errno in DISK_FULL for cause in causes_of(error))


def _is_raised_in(error: BaseException, package: str) -> bool:
    return any(f'{os.sep}{package}{os.sep}' in frame.filename for frame in traceback.extract_tb(error.__traceback__))


def _sentence(problem: str, ways: Sequence[str]) -> str:
    """Return what is wrong and what to do about it."""
    found = advice(*ways)
    return f'{problem}: {found}.' if found else f'{problem}.' if problem else ''


def _memory_ways() -> tuple[str, ...]:
    """Return what to do where the main memory is too small, for what this process does."""
    ways = MEMORY_ADVICE.get(os.environ.get(MEMORY_ADVICE_VARIABLE, ''), MEMORY_ADVICE['gpu'])
    limit = memory_limit()
    return ways if limit is None else (f'let each process have more than {limit >> 20} MB (ulimit -v)', *ways)


def memory_limit() -> int | None:
    """Return the bytes of memory that this user lets each process have, None without a limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def killed_process(what: str, status: int) -> TaskError | None:
    """Return the error of a process that a signal ended, which leaves no words of its own.

    Args:
        what: Which process, as the beginning of a sentence.
        status: Its exit status, negative for a signal or above 128 as a shell has it.

    Returns:
        The error, None if it was not killed or was asked to end (`stopped_process`).
    """
    number = -status if status < 0 else status - 128
    if number == signal.SIGKILL:
        problem = f'{what} was killed (SIGKILL), most likely because the main memory was used up'
        return InsufficientMemoryError(_sentence(problem, _memory_ways()))
    if number == signal.SIGBUS:
        return InsufficientMemoryError(
            f'{what} was ended by a bus error (SIGBUS). {_sentence(SHARED_MEMORY, SHARED_MEMORY_WAYS)}'
        )
    if number in (signal.SIGABRT, signal.SIGSEGV) and memory_limit() is not None:
        problem = f'{what} was ended by {signal.Signals(number).name}, most likely for lack of memory'
        return InsufficientMemoryError(_sentence(problem, _memory_ways()))
    if number in CRASHES:
        return UnknownError(
            f'{what} crashed ({signal.Signals(number).name}): a library or the hardware failed. Start the task again; '
            'if it happens again, report it with the log.'
        )
    return None


def stopped_process(error: BaseException) -> TaskError | None:
    """Return the error of a process that was asked to end, None for any other."""
    status = getattr(error, 'returncode', 0) if isinstance(error, subprocess.CalledProcessError) else 0
    for number in (signal.SIGTERM, signal.SIGINT):
        if status in (-number, 128 + number):
            return StoppedError(
                f'The task was stopped from outside ({number.name}), as when its container is stopped: start it again.'
            )
    return None


def _fitting_pattern(error: BaseException) -> ErrorPattern | None:
    names = {cls.__name__ for cls in type(error).__mro__}
    text = str(error).lower()
    for pattern in ERROR_PATTERNS:
        if names.intersection(pattern.types) and (not pattern.parts or any(part in text for part in pattern.parts)):
            return pattern
    return None


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0].strip()
    return line if line.endswith(('.', '!', '?')) else line + '.'
