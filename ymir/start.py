"""The entry point of the executor: reads what the platform wants and runs the scripts of its tasks in order.

Training, mining, inference, or mining and then inference in one run (contract sections a.4 and f). This process imports
neither torch nor mmengine: it says at once that the task has begun, waits, and has the last word when something fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.monotonic()  # a time budget counts from here, before the other imports

PROJECT_ROOT = Path(__file__).resolve().parents[1]
# `python ymir/start.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(PROJECT_ROOT), *(path for path in sys.path if Path(path or '.').resolve() != PROJECT_ROOT / 'ymir')]

from tmi.errors import MEMORY_ADVICE_VARIABLE, SettingError, TaskError, UnknownError, killed_process, stopped_process  # noqa: E402
from tmi.processes import ERROR_FILE_VARIABLE, ErrorRecord, note_start, read_record  # noqa: E402
from ymir.environment import find_temporary_folder, prepare_environment  # noqa: E402
from ymir.errors import as_task_error, print_failure, publish  # noqa: E402
from ymir.output_paths import check_outputs, check_places, only_task, output_folder, remove_leftovers, temporary_folder  # noqa: E402
from ymir_exc.env import EnvOutputConfig, get_current_env  # noqa: E402
from ymir_exc.executor import Executor  # noqa: E402
from ymir_exc.monitor import write_monitor_logger  # noqa: E402

SCRIPTS = {'training': 'ymir_training.py', 'mining': 'ymir_mining.py', 'infer': 'ymir_infer.py'}


def task_commands() -> dict[str, list[str]]:
    """Return the command line of each task, with the interpreter that runs this script."""
    return {name: [sys.executable, str(PROJECT_ROOT / 'ymir' / script)] for name, script in SCRIPTS.items()}


def begin() -> None:
    """Check that the platform wants something and that it can be written, and write the first progress line."""
    env = get_current_env()
    if not (env.run_training or env.run_mining or env.run_infer):
        raise SettingError('env.yaml asks for nothing: one of run_training, run_mining and run_infer must be true.')
    check_places(env)
    remove_leftovers(env)
    check_outputs(env)
    if env.run_training:
        os.environ[MEMORY_ADVICE_VARIABLE] = 'training'  # for its processes too
    write_monitor_logger(percent=0.0)


def _describe_exit(error: subprocess.CalledProcessError) -> TaskError:
    """Words for a task that ended without leaving an error of its own."""
    return (
        killed_process('The task', error.returncode)
        or stopped_process(error)
        or UnknownError(
            f'The process ended with status {error.returncode} without a Python error; the log above is all there is.'
        )
    )


def run_tasks(error_file: str) -> ErrorRecord | None:
    """Run the tasks one after the other.

    Args:
        error_file: Where a process below leaves its error.

    Returns:
        What failed, None if nothing did.
    """
    try:
        begin()
        os.environ[ERROR_FILE_VARIABLE] = error_file
        Executor(apps=task_commands()).start()
        return None
    except subprocess.CalledProcessError as error:
        remove_leftovers(get_current_env())
        return read_record(error_file) or ErrorRecord.of(_describe_exit(error), 'start.py')


def main() -> int:
    """Run the task; returns the exit status."""
    if os.environ.get('NNODES', '1') != '1' and (os.environ.get('NODE_RANK') or '0') != '0':
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, str(PROJECT_ROOT / 'ymir' / 'train_node.py')])
    note_start(STARTED)
    root = output_folder()
    try:
        with only_task(root):
            return run_alone(root)
    except SettingError as error:  # monitor.txt is that of the other task
        print_failure(ErrorRecord.of(error, 'start.py'))
        return 1


def run_alone(root: str) -> int:
    """Run the task, while no other one may use its output folder; returns the exit status."""
    fallback = temporary_folder(root or EnvOutputConfig().root_dir)
    try:
        shutil.rmtree(fallback, ignore_errors=True)  # of a run that was killed
        find_temporary_folder(fallback)
        prepare_environment()
        with tempfile.TemporaryDirectory(prefix='ymir-error-', ignore_cleanup_errors=True) as folder:
            record = run_tasks(os.path.join(folder, 'error.json'))
    except Exception as error:
        record = ErrorRecord.of(as_task_error(error), 'start.py')
    finally:
        shutil.rmtree(fallback, ignore_errors=True)
    if record is not None:
        publish(record)
    return int(record is not None)


if __name__ == '__main__':
    sys.exit(main())
