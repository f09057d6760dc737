"""Starts a network package as the platform does, and judges its output whenever the platform would push it.

The package is copied, as the platform unpacks an upload, so that the folder of the user stays as it is:

    OUT/network/              the package; train.py writes network/output/
    OUT/parameters.json       what train.py was handed
    OUT/log.txt               all that it printed
    OUT/pushed/epoch_3/       what the platform would have pushed at the line [Process: 3/80]
    OUT/run.json              how it ended, and each violation
"""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from .data_set import classes_of
from .judge import Expected, Finding, check_output
from .package import copy_code, unpack
from .platform import Platform
from .texts import PieError, say

STANDIN = Path(__file__).parent / 'standin'
PROCESS_LINE = re.compile(r'\[Process: (\d+)/(\d+)\]')
STOP_S = 30  # from SIGTERM to SIGKILL
LAST_LINES = 5


@dataclass
class RunResult:
    """How a training ended.

    Attributes:
        code: The exit code of train.py; negative: the signal that ended it.
        epochs: x of the last line `[Process: x/y]`.
        seconds: How long it took.
        findings: The violations, in the order they were seen; each once.
        output: The folder that train.py wrote.
        log: What trainlog.json holds at the end; {} if it cannot be read.
    """

    code: int
    epochs: int
    seconds: float
    output: Path
    findings: list[Finding] = field(default_factory=list)
    log: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Push:
    """A line `[Process: x/y]` and what lay in the output folder when it came.

    Attributes:
        epoch: x.
        epochs: y.
        folder: A copy of the output folder.
        times: picture -> time of its last change, in ns.
    """

    epoch: int
    epochs: int
    folder: Path
    times: dict[str, int]


Listener = Callable[[str], None]


def copy_package(package: Path, out: Path) -> Path:
    """Copy a network package into the folder of a run.

    Args:
        package: Holds train.py, or network/train.py, or is the zip that is uploaded.
        out: A new folder.

    Returns:
        The copied train.py.

    Raises:
        PieError: There is no train.py, `out` exists, or the zip is no package.
    """
    if out.exists() and any(out.iterdir()):
        raise PieError('run.out_exists', folder=out)
    if package.is_file():
        unpack(package, out / 'network')
        return out / 'network/train.py'
    source = next((place for place in (package, package / 'network') if (place / 'train.py').is_file()), None)
    if source is None:
        raise PieError('run.no_script', folder=package)
    copy_code(source, out / 'network')
    return out / 'network/train.py'


def run_training(
    script: Path,
    parameters: dict[str, Any],
    platform: Platform,
    task: str,
    file: bytes | None = None,
    python: str = sys.executable,
    on_line: Listener = lambda line: None,
    on_push: Callable[[Push, list[Finding]], None] = lambda push, findings: None,
    stop: threading.Event | None = None,
    mounted: str = '',
) -> RunResult:
    """Run train.py to its end.

    Args:
        script: train.py in the folder that `copy_package` made.
        parameters: The JSON object that it is handed.
        platform: Serves its data set.
        task: 'detection', 'segmentation' or 'change'.
        file: These bytes are put into traincfg.json and nothing into standard input, instead of one line there.
        python: Runs it.
        on_line: Called with each line that it prints.
        on_push: Called after the output of an epoch was judged, with the violations.
        stop: Once set, train.py gets SIGTERM, as from a platform whose user stops the training.
        mounted: The data set of the variable AI_DATASET_ID; default: that of the parameters.

    Returns:
        How it ended, with every violation.
    """
    script = script.absolute()  # the process starts in another folder
    if os.sep in python:
        python = os.path.abspath(python)
    out, output = script.parent.parent, script.parent / 'output'
    (out / 'parameters.json').write_text(json.dumps(parameters, ensure_ascii=False, indent=4), encoding='utf-8')
    environment = {**os.environ, **platform.environment(mounted or str(parameters.get('dataset_id', '')))}
    environment |= [platform.mark.split('=', 1)]  # a training ends with the platform
    for name in ('PIE_OUTPUT_DIR', 'PYTHONUNBUFFERED'):  # a line that is not flushed comes late, as on the platform
        environment.pop(name, None)
    if not _has_aiutils(python, script.parent):
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, [str(STANDIN), environment.get('PYTHONPATH')]))
    if file is not None:
        (script.parent / 'traincfg.json').write_bytes(file)
    import torch  # noqa: F401 - now, because the first epoch must not wait for the judge

    begin = time.monotonic()
    process = subprocess.Popen(
        [python, str(script)],
        cwd=script.parent,
        env=environment,
        stdin=subprocess.PIPE if file is None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    if process.stdin is not None:
        _hand_over(process.stdin, parameters)
    events: queue.Queue[str | Push | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, out, output, events), daemon=True)
    reader.start()
    judge = _Judge(parameters, task)
    last: list[str] = []
    judged: Path | None = None
    deadline = None
    while True:
        try:
            event = events.get(timeout=0.2)
        except queue.Empty:
            if stop is not None and stop.is_set() and deadline is None:
                _signal(process, signal.SIGTERM)
                deadline = time.monotonic() + STOP_S
            if deadline is not None and time.monotonic() > deadline:
                _signal(process, signal.SIGKILL)
            continue
        if event is None:
            break
        if isinstance(event, str):
            last = [*last, event][-LAST_LINES:]
            on_line(event)
        else:
            on_push(event, judge.judge(event))
            if judged is not None and judged != event.folder:
                _drop_weights(judged)  # the platform keeps the newest weights; log and pictures stay
            judged = event.folder
    reader.join()
    code = process.wait()
    result = RunResult(code, judge.epoch, time.monotonic() - begin, output)
    stopped = stop is not None and stop.is_set()
    result.findings = judge.finish(output, code, stopped, last)
    result.log = judge.log
    content = {
        'code': code,
        'epochs': result.epochs,
        'seconds': round(result.seconds, 1),
        'task': task,
        'findings': [list(finding.sentence()) for finding in result.findings],
    }
    (out / 'run.json').write_text(json.dumps(content, ensure_ascii=False, indent=4), encoding='utf-8')
    return result


class _Judge:
    """Judges each push and the end, and reports each violation once."""

    def __init__(self, parameters: dict[str, Any], task: str) -> None:
        try:
            classes = classes_of(parameters.get('label'))
        except ValueError:
            classes = ()  # the document's own example with full-width commas: the script has to cope
        self._expected = Expected(
            task=task,
            training_id=str(parameters.get('training_id', '')),
            model_name=str(parameters.get('model_name', '')),
            classes=classes,
        )
        self._wanted = int(parameters['epochs']) if str(parameters.get('epochs', '')).isdigit() else 0
        self._early = str(parameters.get('auto_termination', 0)) == '1'
        self._times: dict[str, int] = {}
        self._late = False  # lines come late: what lies there belongs to a later epoch, which is said once
        self._seen: list[Finding] = []
        self._lines: list[tuple[int, int]] = []
        self.log: dict[str, Any] = {}

    @property
    def epoch(self) -> int:
        return self._lines[-1][0] if self._lines else 0

    def judge(self, push: Push) -> list[Finding]:
        """Judge a push; return its violations, those seen before too."""
        expected = _with(self._expected, epoch=push.epoch, epochs=push.epochs, running=None if self._late else True)
        findings = check_output(push.folder, expected)
        if self._lines and not (self._lines[-1][0] <= push.epoch and self._lines[-1][1] == push.epochs):
            before = '{}/{}'.format(*self._lines[-1])
            findings.append(
                Finding('', f'[Process: {push.epoch}/{push.epochs}]', say('judge.line_order', before=before))
            )
        if self._wanted and push.epochs != self._wanted:
            key = f'[Process: {push.epoch}/{push.epochs}]'
            findings.append(Finding('', key, say('judge.line_total', found=push.epochs, wanted=self._wanted)))
        self._late |= any(finding.key == 'epochs' for finding in findings)
        if self._lines and push.epoch > self._lines[-1][0] and not self._late:
            findings += [
                Finding(f'picture/{name}', '', say('judge.picture_old', epoch=self._lines[-1][0]))
                for name, changed in push.times.items()
                if self._times.get(name) == changed
            ]
        self._times = push.times
        self._lines.append((push.epoch, push.epochs))
        self._remember(findings)
        return findings

    def finish(self, output: Path, code: int, stopped: bool, last: list[str]) -> list[Finding]:
        """Judge the end; return all violations of the run."""
        if code != 0 and not stopped:
            self._remember([Finding('', '', say('judge.exit_code', code=code, last=' | '.join(last) or '-'))])
        if not self._lines and code == 0:
            self._remember([Finding('', '', say('judge.no_line'))])
        if self._lines and code == 0 and not stopped and not self._early and self.epoch < self._lines[-1][1]:
            wanted = self._lines[-1][1]
            self._remember([Finding('', '', say('judge.stopped_early', found=self.epoch, wanted=wanted))])
        if self._lines:
            self._remember(check_output(output, _with(self._expected, running=False)))
        try:
            self.log = json.loads((output / 'trainlog.json').read_text(encoding='utf-8'))
        except (OSError, ValueError):
            self.log = {}
        return self._seen

    def _remember(self, findings: list[Finding]) -> None:
        self._seen += [finding for finding in findings if finding not in self._seen]


def _with(expected: Expected, **changes: Any) -> Expected:
    return replace(expected, **changes)


def _has_aiutils(python: str, folder: Path) -> bool:
    """Whether the script would find a module aiUtils without the stand-in."""
    code = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("aiUtils") is None)'
    return subprocess.run([python, '-c', code], cwd=folder, stdin=subprocess.DEVNULL).returncode == 0


def _hand_over(stream: BinaryIO | Any, parameters: dict[str, Any]) -> None:
    try:
        stream.write(json.dumps(parameters, ensure_ascii=False).encode() + b'\n')
        stream.close()
    except BrokenPipeError:
        pass  # it ended without reading; its exit code says so


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _read(process: subprocess.Popen[bytes], out: Path, output: Path, events: queue.Queue) -> None:
    """Hand on each line, and copy the output folder the moment a line `[Process: x/y]` arrives."""
    assert process.stdout is not None
    with (out / 'log.txt').open('wb') as log:
        for raw in process.stdout:
            log.write(raw)
            log.flush()
            line = raw.decode('utf-8', errors='replace').rstrip('\r\n')
            found = PROCESS_LINE.search(line)
            if found:
                events.put(_push(output, out / 'pushed', int(found[1]), int(found[2])))
            events.put(line)
    events.put(None)


def _drop_weights(folder: Path) -> None:
    for path in folder.rglob('*.th'):
        path.unlink()


def _push(output: Path, pushed: Path, epoch: int, epochs: int) -> Push:
    folder = pushed / f'epoch_{epoch}'
    shutil.rmtree(folder, ignore_errors=True)
    times: dict[str, int] = {}
    folder.mkdir(parents=True)
    for path in [
        output / 'trainlog.json',
        *output.glob('*.th'),
        *output.glob('files/*'),
        *output.glob('picture/*.png'),
    ]:
        target = folder / path.relative_to(output)
        target.parent.mkdir(exist_ok=True)
        try:
            times_before = path.stat().st_mtime_ns
            shutil.copyfile(path, target)
        except OSError:
            continue  # missing: the judge says so
        if path.suffix == '.png':
            times[path.name] = times_before
    return Push(epoch, epochs, folder, times)
