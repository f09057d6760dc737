"""Mining and inference through start.py, with the real model, disturbed at random instants and started again."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import small_disk
from tests.warm_python import warm_python
from tests.ymir_exc import platform_rules as rules
from tmi.inference.shards import finished_part
from ymir_exc.skipped_images import read_skipped_images

from .sandbox import PROJECT_ROOT, Task

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KILLS = int(os.environ.get('FAULT_KILLS', '4'))  # in each test below that kills; set higher for a longer search

# Python imports this at its start. It changes how images are decoded in the predicting processes.
SITE = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'tmi.inference.images' and 'tmi.inference.worker' in ' '.join(sys.orig_argv):
            from mmyolo.datasets.transforms import loading
            decode = loading.decode_image
            def decode_image(data, path, *rest):
                if os.path.basename(path) == os.environ['POISON']:
                    os.kill(os.getpid(), getattr(signal, os.environ['ENDS_BY']))
                return decode(data, path, *rest)
            loading.decode_image = decode_image
sys.meta_path.insert(0, Finder())
"""
RESULTS = ('infer-result.json', 'result.tsv', 'mining-summary.json')


def start(task: Task, python: str, **environ: str) -> subprocess.Popen:
    """Start start.py in a process group of its own."""
    return subprocess.Popen(
        [python, 'ymir/start.py'],
        cwd=PROJECT_ROOT,
        env=dict(os.environ, DEFAULT_ENV_FILE_PATH=str(task.env_file), YMIR_CPU_PROCESSES='2', **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory, images, model_files):
    task = Task(tmp_path_factory.mktemp('undisturbed'), images, model_files, ('mining', 'infer'))
    log, _ = (process := start(task, warm_python())).communicate()
    assert process.returncode == 0, log
    return {name: (task.out / name).read_bytes() for name in RESULTS}


def check_what_is_there(task: Task, undisturbed: dict[str, bytes]) -> None:
    """What stands in the output folder at any moment is whole."""
    assert rules.monitor_violations((task.out / 'monitor.txt').read_text(), 't0') == []
    for name, content in undisturbed.items():
        assert not (task.out / name).exists() or (task.out / name).read_bytes() == content


def begin_anew(task: Task) -> None:
    """Make the output folder as the platform does."""
    shutil.rmtree(task.out)
    (task.out / 'tensorboard').mkdir(parents=True)
    (task.out / 'monitor.txt').write_text('t0\t1700000000\t0.00\t1\t0\n')


def kill_all(task, process, draw):
    """What a node does that goes down."""
    os.killpg(process.pid, signal.SIGKILL)


def stop(task, process, draw):
    """What the platform does."""
    process.terminate()


def kill_one(task, process, draw):
    """What the system does when memory runs out; the task goes on."""
    for pid in draw.sample(predicting_processes(process.pid), 1) if predicting_processes(process.pid) else ():
        os.kill(pid, signal.SIGKILL)


def fill_disk(task, process, draw):
    """What another task does."""
    small_disk.fill(task.root)


@pytest.fixture
def disk(tmp_path):
    """A folder that can be filled up, or None."""
    with small_disk.mounted(tmp_path / 'disk', 64 << 20) as folder:
        yield folder


def test_disturbed_at_any_moment_and_started_again(tmp_path, disk, images, model_files, undisturbed):
    seed = random.randrange(1 << 30)
    print(f'seed {seed}')
    draw = random.Random(seed)
    task = Task(disk or tmp_path, images, model_files, ('mining', 'infer'))
    begin_anew(task)
    folder, finished, happened = task.out / 'predictions', 0, Counter()
    ways = [kill_all, stop, kill_one, *([fill_disk] if disk else [])]
    while happened.total() < KILLS:
        way = draw.choice(ways)
        python = warm_python() if way is kill_all else sys.executable  # its processes are not those of this group
        process = start(task, python)
        time.sleep(draw.uniform(0, 5 if way is kill_all else 8))
        way(task, process, draw)
        log, _ = process.communicate()
        small_disk.make_room(task.root)
        check_what_is_there(task, undisturbed)
        kept = re.search(r'earlier run ended: (\d+) of 70', log)
        assert 'anew' not in log and (kept is None or finished <= int(kept[1]))
        if process.returncode == 0:  # it was too late, or the task has survived
            happened[way.__name__] += 'it is started again' in log
            assert {name: (task.out / name).read_bytes() for name in RESULTS} == undisturbed
            begin_anew(task)
            finished = 0
            continue
        happened[way.__name__] += 1
        assert way is not kill_one and process.returncode in (1, -signal.SIGKILL, -signal.SIGTERM), log
        if way is fill_disk:
            assert process.returncode == 1 and 'No space is left' in log, log
        finished = sum(finished_part(folder, rank, 2).images for rank in range(2))
    print(dict(happened))
    log, _ = (process := start(task, warm_python())).communicate()
    assert process.returncode == 0, log
    if 0 < finished < 70:
        assert f'Going on where an earlier run ended: {finished} of 70 images' in log
    if finished == 70:
        assert 'used again' in log or '70 of 70 images are predicted' in log
    assert {name: (task.out / name).read_bytes() for name in RESULTS} == undisturbed
    assert {path.name for path in task.out.iterdir()} == {*RESULTS, 'monitor.txt', 'tensorboard'}


def wait_for_predictions(task: Task, process: subprocess.Popen) -> None:
    shard = task.out / 'predictions/rank_0.jsonl'
    while process.poll() is None and not (shard.exists() and shard.stat().st_size):
        time.sleep(0.05)


def test_stopped_from_outside_and_started_again(tmp_path, images, model_files, undisturbed):
    task = Task(tmp_path, images, model_files, ('mining', 'infer'))
    process = start(task, sys.executable)
    wait_for_predictions(task, process)
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate()
    assert process.returncode == 1 and task.monitor()[3] == '4' and 'SIGTERM' in task.monitor()[5], log
    assert not predicting_processes(process.pid)
    log, _ = (process := start(task, warm_python())).communicate()
    assert process.returncode == 0 and 'Going on where an earlier run ended' in log, log
    assert {name: (task.out / name).read_bytes() for name in RESULTS} == undisturbed


def test_predicting_processes_that_are_killed(tmp_path, images, model_files, undisturbed):
    """By whoever kills the largest process when memory runs out; or stopped by somebody."""
    task = Task(tmp_path, images, model_files, ('mining', 'infer'))
    process = start(task, sys.executable, TMI_STANDSTILL_SECONDS='60')
    ends = [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV]
    wait_for_predictions(task, process)
    while ends and process.poll() is None:
        for pid in predicting_processes(process.pid)[:1]:
            os.kill(pid, ends.pop())
        time.sleep(0.5)
    log, _ = process.communicate()
    assert process.returncode == 0, log
    assert log.count('it is started again') >= 1
    assert {name: (task.out / name).read_bytes() for name in RESULTS} == undisturbed


def predicting_processes(group: int) -> list[int]:
    """The predicting processes of a process group, oldest first."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if b'tmi.inference.worker' in path.read_bytes() and os.getpgid(int(path.parent.name)) == group:
                found.append(int(path.parent.name))
        except OSError:
            pass
    return sorted(found)


@pytest.mark.parametrize('name', ['SIGSEGV', 'SIGKILL'])
def test_an_image_that_ends_its_process(tmp_path, images, model_files, name):
    (tmp_path / 'site').mkdir()
    (tmp_path / 'site/sitecustomize.py').write_text(SITE)
    poison = images[13]
    task = Task(tmp_path, images[:20], model_files, ('mining', 'infer'))
    environ = {'PYTHONPATH': f'{PROJECT_ROOT}{os.pathsep}{tmp_path / "site"}', 'POISON': poison.name, 'ENDS_BY': name}
    log, _ = (process := start(task, sys.executable, **environ)).communicate()
    assert process.returncode == 0, log
    (skipped,) = read_skipped_images(str(task.out))
    assert skipped.path == str(poison) and f'a predicting process was ended by {name} at it, twice' == skipped.reason
    assert task.detections()[poison.name] == [] and sum(map(bool, task.detections().values())) > 10
    assert task.ranking()[-1][0] == str(poison)
