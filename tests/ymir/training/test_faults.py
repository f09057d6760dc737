"""Real trainings that are stopped, killed, held up, or short of memory, and started again in the same output folder.

How long they take is mostly the start of Python, so all but the tests of files run with the slow ones.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from tests import small_disk
from tests.processes import is_alive, wait_until
from tmi.checkpoint_io import load_checkpoint
from tmi.process_tree import descendants

from .platform import REPOSITORY, check_result, environment, read_monitor, tiny_task

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KILLS = int(os.environ.get('FAULT_KILLS', '6'))
EPOCHS = 12
# Python imports this at its start; once the loop of a training is there, it is changed.
SITE = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'tmi.training.time_budget_hook':
            exec(os.environ['DO'], {})
sys.meta_path.insert(0, Finder())
"""
CHANGED_STEP = """
import torch
from tmi.training.train_loop import TaskTrainLoop
step = TaskTrainLoop._train_step
def changed(self, model, batch):
    {code}
    return step(self, model, batch)
TaskTrainLoop._train_step = changed
"""
CHANGED_VALIDATION = """
import torch
from mmengine.model import BaseModel
step = BaseModel.val_step
def changed(self, data):
    len(data['inputs']) > 1 and torch.empty(2**60)
    return step(self, data)
BaseModel.val_step = changed
"""


def make_task(folder, **edits):
    return tiny_task(folder, **{'max_epochs': EPOCHS, 'val_interval': 3, 'check_labels': False, **edits})


class Run:
    """start.py in a process group of its own, whose log is read all the time."""

    def __init__(self, task, **extra):
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / 'ymir' / 'start.py')],
            env=environment(task, **extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()

    def wait_for(self, pattern):
        wait_until(lambda: self.process.poll() is not None or re.search(pattern, self.log()), 500)
        assert re.search(pattern, self.log()), self.log()

    def signal(self, number):
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def end(self):
        """Wait for the end; return the exit status."""
        self.process.wait(500)
        self.reader.join()
        return self.process.returncode

    def log(self):
        return ''.join(self.lines)


def ranks(run):
    """The pids of the training processes by rank."""
    found = {}
    for pid in descendants(run.process.pid):
        try:
            command = Path(f'/proc/{pid}/cmdline').read_bytes()
            variables = Path(f'/proc/{pid}/environ').read_bytes().split(b'\0')
        except OSError:
            continue
        if b'train_process.py' in command and b'torchrun' not in command:
            number = next((int(one[5:]) for one in variables if one.startswith(b'RANK=')), 0)
            found[number] = pid
    return found


def final_weights(task):
    models = task.out_dir / 'models'
    content = load_checkpoint(models / check_result(task)['model_stages']['last']['files'][0])
    assert content['meta']['epoch'] == EPOCHS
    return content['state_dict']


def place_after(found, steps):
    """What the log says of where a training goes on.

    Args:
        found: step and epoch after which it was stopped.
        steps: of an epoch.
    """
    step, epoch = map(int, found.groups())
    if step == steps:
        return f'goes on with the validation of epoch {epoch}, from'
    return f'goes on in epoch {epoch}, step {step + 1}, from'


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    task = make_task(tmp_path_factory.mktemp('undisturbed'))
    with Run(task) as run:
        assert run.end() == 0, run.log()
    return final_weights(task)


def check_equal(task, weights):
    found = final_weights(task)
    assert found.keys() == weights.keys()
    for name, value in found.items():
        assert torch.equal(value, weights[name]), name


def test_sigterm_saves_and_a_restart_goes_on_at_the_step(tmp_path, undisturbed):
    task = make_task(tmp_path)
    with Run(task) as run:
        run.wait_for(r'Epoch\(train\) +\[4\]')
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.end() == 1
    _, state, code, message = read_monitor(task)
    assert (state, code) == (4, 160004)
    found = re.search(r'stopped by SIGTERM after step (\d+) of epoch (\d+)\. Its state is saved', message)
    assert found, message
    assert '---- the task failed ----' in run.log() and 'CalledProcessError' not in run.log()
    assert set(check_result(task)['model_stages']) == {'last', 'best'}  # of epoch 3
    with Run(task) as run:
        assert run.end() == 0, run.log()
    assert place_after(found, 2) in run.log()
    check_equal(task, undisturbed)


def disturb(way, run, task):
    """Do what ends a training: the node goes down, the platform stops it, a process is lost, the disk is full."""
    if way == 'kill all':
        run.signal(signal.SIGKILL)
    elif way == 'stop' and run.process.poll() is None:
        os.kill(run.process.pid, signal.SIGTERM)
    elif way == 'kill a rank':
        for pid in ranks(run).values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    elif way == 'fill the disk':
        small_disk.fill(task.out_dir.parents[1])


@pytest.fixture
def disk(tmp_path):
    """A folder that can be filled up, or None."""
    with small_disk.mounted(tmp_path / 'disk', 256 << 20) as folder:
        yield folder


def test_disturbed_at_random_instants_and_started_again(tmp_path, disk, undisturbed):
    rng = random.Random(time.time_ns())
    task, steps, happened, logs = make_task(disk or tmp_path / 'no_disk'), [0], Counter(), []
    assert task.out_dir.parents[1] == (disk or tmp_path / 'no_disk')
    for _ in range(KILLS):
        way = rng.choice(['kill all', 'stop', 'kill a rank', *(['fill the disk'] if disk else [])])
        with Run(task) as run:
            begun = r'Epoch\(train\)|examination of labelled images'  # where the kill before was late
            wait_until(lambda run=run: run.process.poll() is not None or re.search(begun, run.log()), 500)
            time.sleep(rng.uniform(0, 1.5))
            pids = [run.process.pid, *descendants(run.process.pid)]
            disturb(way, run, task)
            run.end()
        print(f'---- {way}\n{run.log()}')
        logs.append(run.log())
        wait_until(lambda pids=pids: not any(map(is_alive, pids)), 100)
        small_disk.make_room(task.out_dir.parents[1])
        read_monitor(task)
        if (task.out_dir / 'models' / 'result.yaml').exists():
            for stage in check_result(task)['model_stages'].values():
                load_checkpoint(task.out_dir / 'models' / stage['files'][0])
        if (task.out_dir / 'models' / 'resume.pth').exists():
            steps.append(load_checkpoint(task.out_dir / 'models' / 'resume.pth')['meta']['iter'])
        if run.process.returncode == 0:
            break
        happened[way] += 1
        assert 'Traceback' not in read_monitor(task)[3], run.log()
    assert steps == sorted(steps), steps
    with Run(task) as run:
        assert run.end() == 0, run.log()
    logs.append(run.log())
    print(f'---- to the end\n{run.log()}\n{dict(happened)}, steps after them: {steps}')
    if any('its optimizer begins anew' in log for log in logs):  # a full disk, or a kill between weights and state
        final_weights(task)
    else:
        check_equal(task, undisturbed)
    assert not list((task.out_dir / 'models').glob('.*'))


def test_a_state_that_is_cut_short_is_replaced_by_the_weights(tmp_path):
    task = make_task(tmp_path)
    with Run(task) as run:
        run.wait_for(r'Epoch\(train\) +\[5\]')
        run.signal(signal.SIGKILL)
        run.end()
    state = task.out_dir / 'models' / 'resume.pth'
    state.write_bytes(state.read_bytes()[:-1000])
    with Run(task) as run:
        assert run.end() == 0, run.log()
    assert 'resume.pth cannot be read' in run.log() and 'goes on in epoch 4, step 1, from the weights' in run.log()
    assert final_weights(task)


def test_another_model_starts_anew_and_keeps_the_state(tmp_path):
    task = make_task(tmp_path)
    with Run(task) as run:
        run.wait_for(r'Epoch\(train\) +\[5\]')
        os.kill(run.process.pid, signal.SIGTERM)
        run.end()
    config = task.in_dir / 'config.yaml'
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), 'model_name': 'yolov5_n', 'max_epochs': 1}))
    with Run(task) as run:
        assert run.end() == 0, run.log()
    assert 'does not go on, because of other values of model_name: a new one starts.' in run.log()
    models = task.out_dir / 'models'
    assert load_checkpoint(models / 'resume_earlier.pth')['meta']['model_name'] == 'yolov8_n'
    last = check_result(task)['model_stages']['last']['files'][0]
    assert load_checkpoint(models / last)['meta']['model_name'] == 'yolov5_n'


def at_each_step(folder, code):
    """Variables that have each training step begin with some code."""
    (folder / 'site').mkdir()
    (folder / 'site' / 'sitecustomize.py').write_text(SITE)
    return {'DO': CHANGED_STEP.format(code=code), 'PYTHONPATH': f'{REPOSITORY}{os.pathsep}{folder / "site"}'}


@pytest.fixture
def changed_step(tmp_path):
    """Gives the variables of `at_each_step`."""
    return lambda code: at_each_step(tmp_path, code)


def test_too_little_memory_is_answered_with_fewer_images_at_once(tmp_path, changed_step):
    """The allocator of PyTorch refuses what no machine has."""
    task = make_task(tmp_path, max_epochs=3)
    with Run(task, **changed_step('self.micro_batches < 4 and torch.empty(2**60)')) as run:
        assert run.end() == 0, run.log()
    for parts in (2, 4):
        assert f'the 4 images of a step go through the network in {parts} parts' in run.log()
    check_result(task)


def test_a_validation_for_which_the_memory_is_too_small_takes_fewer_images_at_once(tmp_path, changed_step):
    task = make_task(tmp_path, max_epochs=3)
    with Run(task, **{**changed_step(''), 'DO': CHANGED_VALIDATION}) as run:
        assert run.end() == 0, run.log()
    assert 'The validation goes on with 2 images at once instead of 4.' in run.log()
    assert 'The validation goes on with 1 images at once instead of 2.' in run.log()
    assert 'go through the network in' not in run.log()
    check_result(task)


def test_an_error_of_cuda_has_its_code(tmp_path, changed_step):
    """The sentence is that of a GPU which no test has."""
    task = make_task(tmp_path)
    error = 'CUDA error: an illegal memory access was encountered'
    with Run(task, **changed_step(f'if self.iter > 5: raise RuntimeError({error!r})')) as run:
        assert run.end() == 1
    percent, state, code, sentence = read_monitor(task)
    assert (state, code) == (4, 300101) and error in sentence, run.log()


def test_a_loss_that_is_no_number_goes_back_to_the_last_state(tmp_path, changed_step):
    task = make_task(tmp_path, max_epochs=6)
    code = "self.epoch == 4 and not self.shuffle and model.backbone.stem.conv.weight.data.fill_(float('nan'))"
    with Run(task, **changed_step(code)) as run:
        assert run.end() == 0, run.log()
    assert 'The training goes on from its last state: the images come in another order.' in run.log()
    assert len(re.findall(r'resumed epoch: [34],', run.log())) == 1
    state = load_checkpoint(task.out_dir / 'models' / 'resume.pth')['state_dict']
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


TWO = {'YMIR_CPU_PROCESSES': '2'}


def test_two_processes_stop_after_the_same_step_and_go_on(tmp_path):
    task = make_task(tmp_path, max_epochs=40)
    with Run(task, **TWO) as run:
        run.wait_for(r'Epoch\(train\) +\[4\]')
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.end() == 1
    found = re.search(r'stopped by SIGTERM after step (\d+) of epoch (\d+)', read_monitor(task)[3])
    assert found, run.log()
    config = task.in_dir / 'config.yaml'
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), 'max_epochs': int(found[2]) + 1}))
    with Run(task, **TWO) as run:
        assert run.end() == 0, run.log()
    assert place_after(found, 1) in run.log()
    check_result(task)


@pytest.mark.parametrize(
    'number, words',
    [
        (signal.SIGKILL, r'The training process 1 \(epoch \d+, step \d+\) was killed \(SIGKILL\)'),
        (signal.SIGSEGV, r'The training process 1 \(epoch \d+, step \d+\) crashed \(SIGSEGV\)'),
        (signal.SIGSTOP, r'The training stood still and was ended: rank 1 is stopped \(SIGSTOP\)'),
    ],
)
def test_a_rank_that_is_lost_is_named(tmp_path, number, words):
    task = make_task(tmp_path, max_epochs=1000)
    with Run(task, TMI_STANDSTILL_SECONDS='30', **TWO) as run:
        run.wait_for(r'Epoch\(train\) +\[4\]')
        pids = ranks(run)
        os.kill(pids[1], number)
        assert run.end() == 1
    assert re.search(words, read_monitor(task)[3]), run.log()
    wait_until(lambda: not any(map(is_alive, pids.values())))
    check_result(task)
