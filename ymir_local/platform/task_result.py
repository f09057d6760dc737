"""How the platform judges a task that has ended: the code it shows and why (contract sections a.6, d.1 to d.5).

Success is exit code 0 together with result files that the platform can read. Everything else gets the code that the
platform would show, so that a failure here and there are the same failure.
"""

from dataclasses import dataclass
from pathlib import Path

from ymir_exc.code import ExecutorReturnCode, PlatformCode
from ymir_exc.errors import ResultRejected
from ymir_exc.exit_status import OUT_OF_MEMORY, signal_of
from ymir_exc.reading import read_infer_result, read_mining_result, read_training_result

from .run import DOCKER_FAILED, MonitorReading


@dataclass(frozen=True)
class Verdict:
    """What the platform would say of a task.

    Args:
        ok: the task succeeded.
        code: 0, or the code that the platform would show.
        reason: why, one sentence; empty if all is well.
    """

    ok: bool
    code: int = 0
    reason: str = ''


def judge(
    exit_code: int,
    monitor: MonitorReading,
    out_dir: Path,
    training: bool = False,
    mining: bool = False,
    infer: bool = False,
) -> Verdict:
    """Return whether a task succeeded.

    Args:
        exit_code: of the process or container.
        monitor: what was seen of monitor.txt.
        out_dir: the task's `out`.
        training: the task was to train.
        mining: the task was to mine.
        infer: the task was to infer.
    """
    if exit_code:
        if monitor.problem:
            return Verdict(
                False, int(PlatformCode.INTERNAL_ERROR), f'{describe_exit(exit_code)}, and {monitor.problem}'
            )
        code = monitor.last.code or int(ExecutorReturnCode.RC_CMD_CONTAINER_ERROR)
        return Verdict(False, code, monitor.last.message or describe_exit(exit_code))
    if monitor.error is not None:
        reason = monitor.error.message or 'monitor.txt had state 4 (error), which is final, whatever the exit code'
        return Verdict(False, monitor.error.code, reason)
    if monitor.problem:
        return Verdict(False, int(PlatformCode.MONITOR_UNREADABLE), monitor.problem)
    try:
        if training:
            read_training_result(Path(out_dir) / 'models')
        if mining:
            read_mining_result(Path(out_dir) / 'result.tsv')
        if infer:
            read_infer_result(Path(out_dir) / 'infer-result.json')
    except ResultRejected as error:
        return Verdict(False, error.code, error.reason)
    return Verdict(True)


def describe_exit(exit_code: int) -> str:
    """Return what an exit code says beyond its number.

    Args:
        exit_code: of a process (negative: minus the signal that ended it), a shell or `docker run`.
    """
    text = f'exit code {exit_code}'
    if exit_code == DOCKER_FAILED:
        return f'{text}: Docker started no container or lost it; what it says ends the log'
    if exit_code in (126, 127):
        return f'{text}: the command to run ' + ('cannot be executed' if exit_code == 126 else 'does not exist')
    name = signal_of(exit_code)
    if name == 'SIGKILL':
        return f'{text}: killed (SIGKILL), {OUT_OF_MEMORY}, and `docker rm -f` or `kill -9`'
    return f'{text}: ended by {name}' if name else text
