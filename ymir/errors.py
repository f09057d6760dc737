"""From the cause of a failure to what the platform shows: a code, one sentence, the trace (contract a.6, d.1, h).

The platform shows the last five lines of the log, so only the outermost process, start.py, may speak last (see
`tmi.processes`): it writes monitor.txt and prints the five lines after all others ended.
"""

import functools
import os
import sys
import traceback
from collections.abc import Callable

from tmi import errors, processes
from tmi.errors import StoppedError, TaskError, one_line
from tmi.processes import ERROR_FILE_VARIABLE, ErrorRecord, leave_record, read_record
from ymir.output_paths import may_write
from ymir_exc.code import ExecutorReturnCode, ExecutorState
from ymir_exc.env import get_readable_env
from ymir_exc.errors import ExecutorError
from ymir_exc.monitor import read_monitor, write_monitor_of

CODES = {
    errors.SettingError: ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
    errors.DataError: ExecutorReturnCode.RC_EXEC_DATASET_ERROR,
    errors.NoReadableImageError: ExecutorReturnCode.RC_EXEC_UNKNOWN_IMAGE_FORMAT,
    errors.ModelError: ExecutorReturnCode.RC_EXEC_MODEL_ERROR,
    errors.ObjectTypeError: ExecutorReturnCode.RC_EXEC_OBJECT_TYPE_ERROR,
    errors.GpuError: ExecutorReturnCode.RC_EXEC_CUDA_GPU_ERROR,
    errors.MissingGpuError: ExecutorReturnCode.RC_EXEC_NO_GPU,
    errors.StepMemoryError: ExecutorReturnCode.RC_EXEC_OOM,
    errors.InsufficientMemoryError: ExecutorReturnCode.RC_EXEC_OOM,
    errors.NotFiniteError: ExecutorReturnCode.RC_EXEC_NAN_ERROR,
    errors.LostNodeError: ExecutorReturnCode.RC_EXEC_NETWORK_ERROR,
    errors.NetworkError: ExecutorReturnCode.RC_EXEC_NETWORK_ERROR,
    errors.StoppedError: ExecutorReturnCode.RC_CMD_CONTAINER_ERROR,
    errors.StandstillError: ExecutorReturnCode.RC_CMD_CONTAINER_ERROR,
    errors.UnknownError: ExecutorReturnCode.RC_CMD_CONTAINER_ERROR,
}
CAUSES = {code: cause for cause, code in CODES.items()}


def _from_sdk(error: BaseException) -> TaskError | None:
    """Return an error of the SDK, which knows its code, as the cause of that code; None for any other.

    The codes of the platform itself, such as that of a result that it rejects, have no cause of their own here.
    """
    return CAUSES.get(error.code, errors.UnknownError)(str(error)) if isinstance(error, ExecutorError) else None


def as_task_error(error: BaseException) -> TaskError:
    """Find the cause of any exception; see `tmi.errors.as_task_error`."""
    return errors.as_task_error(error, _from_sdk)


def code_of(error: BaseException) -> ExecutorReturnCode:
    """Return the platform's code of a failure, whatever it is."""
    return next(CODES[cls] for cls in type(as_task_error(error)).__mro__ if cls in CODES)


def _percent_so_far() -> float:
    try:
        return read_monitor().percent
    except (OSError, ValueError):
        return 0.0


def _code(record: ErrorRecord) -> ExecutorReturnCode:
    return code_of(record.to_error())


def write_monitor(record: ErrorRecord) -> None:
    """Write the record to monitor.txt, unless env.yaml wants it outside of the output folder."""
    try:
        env = get_readable_env()
        output = env.output
        if not may_write(output.monitor_file, output.root_dir):
            print(
                f'monitor.txt is not written: {output.monitor_file!r} is outside of the output folder', file=sys.stderr
            )
            return
        write_monitor_of(env, _percent_so_far(), ExecutorState.ES_ERROR, _code(record), record.sentence, record.trace)
    except (ExecutorError, OSError) as error:  # without env.yaml there is no monitor.txt; the log remains
        print(f'monitor.txt cannot be written: {one_line(str(error))}', file=sys.stderr)


def publish(record: ErrorRecord) -> None:
    """Write the record to monitor.txt and print it as the last five lines; only for the outermost process."""
    write_monitor(record)
    print_failure(record)


def print_failure(record: ErrorRecord) -> None:
    """Print the record as the last five lines of the log."""
    sys.stdout.flush()
    place = next((line.strip() for line in reversed(record.trace) if line.startswith('  File ')), 'unknown')
    print(
        '---- the task failed ----\n'
        f'code:  {_code(record).value} {_code(record).name}\n'
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
    if not isinstance(mapped, StoppedError):
        traceback.print_exception(type(error), error, error.__traceback__)
    record = ErrorRecord.of(mapped, process)
    path = os.environ.get(ERROR_FILE_VARIABLE)
    if path:
        leave_record(path, record)
        if 'RANK' not in os.environ:
            write_monitor(read_record(path) or record)
    else:
        publish(record)
    return mapped


report_uncaught: Callable[[str], None] = functools.partial(processes.report_uncaught, report=report)
run_task: Callable[..., None] = functools.partial(processes.run_task, report=report)
