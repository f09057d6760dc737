"""Runs cases of bad input and judges each: `python -m tests.fuzz.run_cases FOLDER SEED PYTHON FIRST STOP [KIND...]`.

Prints one line of JSON for each: number, kind, task, what was bad, how it ended, and what was wrong with that. The
folder of a case with faults is kept.
"""

import contextlib
import gc
import hashlib
import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.warm_python import FURTHER, leave_configs_unformatted
from tests.ymir_exc.platform_rules import monitor_violations
from ymir import start
from ymir.errors import CODES
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.yaml_text import load_yaml
from ymir_local.check import ERROR, check_out
from ymir_local.cli import main as ymir
from ymir_local.platform.folder_changes import changes_since, listing

from .cases import KINDS_OF_INPUT, Case, make_case
from .materials import Materials
from .mutations import CANARY
from .one_machine import CHANGES_USER, USER, Ended, Folders, run_whole_task

LIMIT = 150  # seconds of one case; the slowest take 10 on an idle machine
TRAINED = 7  # of so many trainings one trains; the others have read by then what they were given
FAULTS_OF_US = (ExecutorReturnCode.RC_CMD_CONTAINER_ERROR,)  # "unknown", and what stands still
CODES_OF_INPUT = {int(code) for code in CODES.values() if code not in FAULTS_OF_US}
ENDING = re.compile(r'---- the task failed ----\ncode:  (\d+) \w+\nwhat:  (.{10,})\nwhere: .+\nmore:  .+\n$')
FAILED = 'container/exit-code', 'container/no-error-state'  # rules that say that the task failed, which it may
BLAMED = 'so this comes from the options'  # where the cause is not known
OPEN_FOLDERS = '/tmp', '/var/tmp'  # where this user may write, whatever Python's hook sees of it
TRACE = 'Traceback (most recent call last)'


def folders_of(case: Case) -> Folders:
    """Make the folders that a task may write, and those that it may not, and give them to its user."""
    root = case.task.work_dir
    folders = Folders(root, (root / 'out', root / 'tensorboard', root / 'unpacked'), root / 'tmp', root / 'home/a/b')
    for folder in (folders.temporary, folders.home, root / 'tensorboard', root / 'unpacked'):
        folder.mkdir(parents=True, exist_ok=True)
    (root / 'report.txt').touch()
    for name in ('log.txt', 'report.txt'):
        (root / name).touch()
    if CHANGES_USER:
        for top in (*folders.output, folders.temporary):
            for path in (top, *top.rglob('*')):
                os.lchown(path, USER, USER)
    return folders


def content_of(folder: Path) -> dict[str, str]:
    """The hash of each plain file."""
    paths = (
        path for path in folder.rglob('*') if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 28
    )
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def run_case(case: Case, python: str, trains: bool) -> dict[str, Any]:
    """Run and judge a case."""
    task, folders = case.task, folders_of(case)
    is_task = case.work != 'unpack'

    def unpack() -> None:
        ymir(['unpack', str(task.in_dir / 'model.tar'), str(task.work_dir / 'unpacked/model')])

    kept = [task.in_dir, task.work_dir / 'asset_cache', task.work_dir / 'elsewhere', folders.home]
    before = {folder: (listing(folder), content_of(folder)) for folder in kept}
    ended = run_whole_task(start.main if is_task else unpack, task.in_dir, folders, python, LIMIT, trains)
    changes = {}
    for folder, (files, contents) in before.items():
        found = changes_since(files, folder)
        changes.update({f'{folder.name}/{name}': what for name, what in found.items()})
        if not found and content_of(folder) != contents:
            changes[folder.name] = 'content'
    faults = [*common_faults(ended, folders, changes)]
    if is_task:
        outcome, more = judge_task(case, ended, changes)
    else:
        outcome, more = judge_unpacking(case, ended)
    return {'outcome': outcome, 'faults': [*faults, *more], 'seconds': round(ended.seconds, 2)}


def common_faults(ended: Ended, folders: Folders, changes: dict[str, str]) -> Iterator[str]:
    """What no program may do."""
    if ended.status is None:
        yield f'did not end within {LIMIT} s'
    elif ended.status < 0:
        yield f'ended by signal {-ended.status}'
    yield from (f'outside: {line}' for line in ended.outside)
    yield from (f'changed {name}: {what}' for name, what in changes.items())
    if ended.left:
        yield f'{ended.left} processes are left'
    left = [
        path.name
        for path in folders.temporary.iterdir()
        if path.name != f'ymir-{USER if CHANGES_USER else os.getuid()}'
    ]
    if left:
        yield f'temporary files are left: {left}'
    if CHANGES_USER:
        yield from (f'outside: {path}' for place in OPEN_FOLDERS for path in strays(place))
    if any(CANARY in names for folder in (folders.root,) for _, *lists in os.walk(folder) for names in lists):
        yield 'code of the input was run'


def strays(folder: str) -> list[Path]:
    """What the user of the tasks has left in a folder of everybody's."""
    found = []
    for path in Path(folder).iterdir():
        with contextlib.suppress(FileNotFoundError):  # of others, who are at work
            if path.lstat().st_uid == USER:
                found.append(path)
    return found


def judge_task(case: Case, ended: Ended, changes: dict[str, str]) -> tuple[str, list[str]]:
    """Return how a task of the executor ended, and what is wrong with that."""
    task, faults = case.task, []
    code = 0
    if ended.status == 1:
        ending = ENDING.search(ended.log)
        if ending is None:
            faults.append('failed without code and sentence at the end of the log')
        else:
            code = int(ending[1])
            if code not in CODES_OF_INPUT:
                faults.append(f'code {code}: {ending[2][:300]}')
            if BLAMED in ending[2] and case.kind != 'config.yaml':
                faults.append(f'a cause that is not known: {ending[2][:300]}')
            if len(ending[2]) > 2000:
                faults.append(f'a sentence of {len(ending[2])} characters')
    elif ended.status:
        faults.append(f'exit status {ended.status}')
    text = task.monitor_file.read_text(encoding='utf-8', errors='replace') if task.monitor_file.is_file() else ''
    if case.kind == 'env.yaml' and not names_outputs(task):
        return f'{code}' if ended.status else 'done', faults
    faults += [f'monitor.txt: {fault}' for fault in monitor_violations(text)]
    columns = text.splitlines()[0].split('\t') if text else []
    if ended.status == 1 and columns[3:5] != ['4', str(code)]:
        faults.append(f'monitor.txt says {columns[2:5]}, the log {code}')
    findings = check_out(task.out_dir, task.in_dir, exit_code=ended.status, in_changes=changes)
    faults += [
        f'{finding.rule} {finding.place}: {finding.texts[0].en}'[:500]
        for finding in findings
        if finding.ok is False and finding.severity == ERROR and finding.rule not in FAILED
    ]
    return f'{code}' if ended.status else 'done', faults


def names_outputs(task: Any) -> bool:
    """Whether env.yaml still names the outputs of this task and its list of images."""
    path = task.in_dir / 'env.yaml'
    try:
        env = load_yaml(path.read_text(encoding='utf-8')) if path.is_file() else {}
        if env['input'].get('candidate_index_file') not in ('', str(task.in_dir / 'candidate-index.tsv')):
            return False
        return all(env['output'].get(key) == value for key, value in task_outputs(task).items())
    except Exception:
        return False


def task_outputs(task: Any) -> dict[str, str]:
    """The outputs that a judge looks at, as env.yaml names them."""
    out = task.out_dir
    return {
        'root_dir': str(out),
        'models_dir': str(out / 'models'),
        'training_result_file': str(out / 'models/result.yaml'),
        'mining_result_file': str(out / 'result.tsv'),
        'infer_result_file': str(out / 'infer-result.json'),
        'monitor_file': str(out / 'monitor.txt'),
    }


def judge_unpacking(case: Case, ended: Ended) -> tuple[str, list[str]]:
    """Return how `ymir unpack` ended, and what is wrong with that."""
    faults = []
    folder = case.task.work_dir / 'unpacked'
    if ended.status not in (0, 1, 2):
        faults.append(f'exit status {ended.status}')
    if TRACE in ended.log or not ended.log.strip():
        faults.append('a trace instead of a sentence')
    if ended.status and any(folder.iterdir()):
        faults.append(f'something is left: {[path.name for path in folder.iterdir()]}')
    for path in folder.rglob('*'):
        if path.is_symlink() or not (path.is_file() or path.is_dir()) or path.is_file() and path.stat().st_nlink > 1:
            faults.append(f'a link or a device: {path.name}')
        elif path.is_file() and path.stat().st_mode & 0o7000:
            faults.append(f'odd rights: {path.name}')
    return f'exit {ended.status}', faults


def run_cases(root: Path, seed: str, python: str, numbers: Iterable[int], kinds: tuple[str, ...] = ()) -> None:
    """Run cases, and print what came of each."""
    sys.dont_write_bytecode = True
    leave_configs_unformatted()
    for name in FURTHER:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # data sets ask for searches, and forks would copy what these touch
    root.chmod(0o755)
    materials = Materials(root / 'materials')
    for number in numbers:
        folder = root / str(number)
        case = make_case(number, seed, materials, folder, kinds)
        row = {
            'number': number,
            'kind': case.kind,
            'task': case.work,
            'what': case.what,
            **run_case(case, python, number % TRAINED == 0),
        }
        print(json.dumps(row), flush=True)
        if not row['faults']:
            shutil.rmtree(folder)


if __name__ == '__main__':
    folder, seed, python, first, stop, *kinds = sys.argv[1:]
    assert not {*kinds} - {*KINDS_OF_INPUT}
    run_cases(Path(folder).resolve(), seed, python, range(int(first), int(stop)), tuple(kinds))
