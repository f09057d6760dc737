"""A training that stops, stands still, crashes or needs more memory than there is: what the one that watches does.

The processes of the training are a script of the test; how it is started, watched and ended is real.
"""

import json
import os
import runpy
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from tests.processes import is_alive
from tmi.errors import NotFiniteError, SettingError, StandstillError, StepMemoryError, StoppedError, TaskError
from tmi.processes import ERROR_FILE_VARIABLE, STANDSTILL_VARIABLE
from tmi.training import ranks
from tmi.training.config import config_text
from tmi.training.ranks import STOP_VARIABLE
from tmi.training.supervise import Supervisor

ROOT = Path(__file__).resolve().parents[3]
# Does what FAKE says; `note` is a line for the test.
SCRIPT = """
import json, os, runpy, signal, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tmi.errors import NotFiniteError, StepMemoryError, StoppedError
from tmi.processes import report
from tmi.training.watch import COMPUTING, RankReport

config, folder = runpy.run_path(sys.argv[1]), Path({folder!r})
train_cfg = config['train_cfg']
with open(folder / 'starts.txt', 'a') as file:
    line = [train_cfg.get('micro_batches', 1), train_cfg.get('shuffle', 0), train_cfg.get('rate_factor', 1.0),
            config['train_dataloader']['num_workers'], config.get('load_from'), sys.argv[4:]]
    file.write(json.dumps(line) + '\\n')
(folder / 'pid').write_text(str(os.getpid()))
rank = RankReport()

def end(error):
    report(error, 'training, rank 0')
    os._exit(1)

def step(count=1):
    rank.write(COMPUTING, 2, count, 1)

def wait():
    time.sleep(0.01)

{code}
"""


class Scene:
    """A training whose processes run a script of the test."""

    def __init__(self, folder, state=True):
        self.folder = folder
        self.state = folder / 'models' / 'resume.pth'
        self.state.parent.mkdir()
        self.run = Config(
            dict(
                train_cfg={'type': 'TaskTrainLoop'},
                train_dataloader={'batch_size': 4, 'num_workers': 4},
                val_dataloader={'batch_size': 4, 'num_workers': 2},
                custom_hooks=[{'type': 'TimeBudgetHook', 'launched': 0.0}],
            )
        )
        self.task = SimpleNamespace(
            num_processes=1, node_processes=1, nodes=1, device='cpu', models_dir=self.state.parent
        )
        self.has_state = state

    def train(self, code):
        run_config, script = self.folder / 'run_config.py', self.folder / 'script.py'
        run_config.write_text(config_text(self.run, run_config))
        script.write_text(SCRIPT.format(root=str(ROOT), folder=str(self.folder), code=code))
        Supervisor(
            self.run,
            self.folder / 'run_config.py',
            self.task,
            script,
            ['--resume'],
            self.state if self.has_state else None,
        ).train()

    def starts(self):
        return [json.loads(line) for line in (self.folder / 'starts.txt').read_text().splitlines()]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(tmp_path / 'error.json'))
    monkeypatch.setattr(ranks, 'POLL_SECONDS', 0.02)
    monkeypatch.setattr(ranks, 'SAME_SIGNAL_SECONDS', 0.0)
    return Scene(tmp_path)


def test_a_training_that_ends_well_is_started_once(scene):
    scene.train('step()')
    assert scene.starts() == [[1, 0, 1.0, 4, None, ['--resume']]]


def test_too_little_memory_halves_the_images_at_once_until_a_step_fits(scene, caplog):
    before = time.monotonic()
    scene.train("train_cfg.get('micro_batches', 1) < 4 and end(StepMemoryError('Too little memory.'))")
    assert [start[0] for start in scene.starts()] == [1, 2, 4]
    assert all(start[1:4] == [0, 1.0, 4] for start in scene.starts())
    assert [record.getMessage().count('in 2 parts') for record in caplog.records][0] == 1
    config = runpy.run_path(str(scene.folder / 'run_config.py'))
    assert config['val_dataloader']['batch_size'] == 1 and config['custom_hooks'][0]['launched'] > before


def test_one_image_that_does_not_fit_is_the_error(scene):
    with pytest.raises(StepMemoryError, match='Too little'):
        scene.train("end(StepMemoryError('Too little memory.'))")
    assert [start[0] for start in scene.starts()] == [1, 2, 4]


def test_further_starts_go_on_from_a_state_that_was_saved_meanwhile(scene):
    scene.state.write_bytes(b'of an earlier training')
    code = """
if train_cfg.get('micro_batches', 1) == 1:
    end(StepMemoryError('before a state is saved'))
if train_cfg['micro_batches'] == 2:
    Path({state!r}).with_name('new').write_bytes(b'new')
    os.replace(Path({state!r}).with_name('new'), {state!r})
    end(StepMemoryError('after it'))
"""
    scene.train(code.format(state=str(scene.state)))
    assert [start[4:] for start in scene.starts()] == [[None, ['--resume']]] * 2 + [[str(scene.state), []]]


def test_a_further_start_never_goes_on_from_a_state_that_is_gone(scene):
    """As where the disk has no room for a new one after that of an earlier training was deleted."""
    scene.state.write_bytes(b'of an earlier training')
    scene.train(f"""
Path({str(scene.state)!r}).unlink(missing_ok=True)
train_cfg.get('micro_batches', 1) < 2 and end(StepMemoryError('Too little memory.'))
""")
    assert [start[4:] for start in scene.starts()] == [[None, ['--resume']]] * 2


def test_a_training_whose_only_state_is_gone_ends_with_its_error(scene):
    scene.state.write_bytes(b'what it goes on from')
    scene.run.load_from = str(scene.state)
    with pytest.raises(StepMemoryError, match='Too little'):
        scene.train(f"Path({str(scene.state)!r}).unlink(); end(StepMemoryError('Too little memory.'))")
    assert len(scene.starts()) == 1


@pytest.mark.parametrize('variable', [STANDSTILL_VARIABLE, STOP_VARIABLE])
def test_a_time_that_is_none_is_the_error(scene, monkeypatch, variable):
    monkeypatch.setenv(variable, 'soon')
    with pytest.raises(SettingError, match=f"{variable} is 'soon'; allowed is a number of seconds above 0"):
        scene.train('step()')


def test_a_loss_that_is_no_number_is_tried_twice_more(scene, caplog):
    with pytest.raises(NotFiniteError):
        scene.train("step(); end(NotFiniteError('The loss is not a number.'))")
    assert [start[:3] for start in scene.starts()] == [[1, 0, 1.0], [1, 1, 1.0], [1, 2, 0.5]]
    assert 'another order' in caplog.text and 'the learning rate is halved' in caplog.text


def test_the_rate_is_halved_once_for_a_state(scene):
    """A state that was saved since holds the halved rate."""
    code = """
step()
if train_cfg.get('shuffle', 0) == 2 and train_cfg.get('micro_batches', 1) == 1:
    Path({state!r}).write_bytes(b'saved')
    end(StepMemoryError('later'))
if train_cfg.get('micro_batches', 1) == 1:
    end(NotFiniteError('no number'))
"""
    scene.train(code.format(state=str(scene.state)))
    assert [start[:3] for start in scene.starts()] == [[1, 0, 1.0], [1, 1, 1.0], [1, 2, 0.5], [2, 2, 1.0]]


def test_the_first_loss_of_all_depends_on_no_rate(scene):
    with pytest.raises(NotFiniteError):
        scene.train("end(NotFiniteError('The loss is not a number.'))")
    assert len(scene.starts()) == 1


def test_a_process_that_the_system_kills_for_memory_is_started_with_less(scene, tmp_path, monkeypatch):
    counter = tmp_path / 'memory.events'
    counter.write_text('low 0\noom 3\noom_kill 3\n')
    monkeypatch.setattr(ranks, 'KILL_COUNTERS', (str(tmp_path / 'missing'), str(counter)))
    code = """
if train_cfg.get('micro_batches', 1) == 1:
    Path({counter!r}).write_text('oom_kill 4')
    os.kill(os.getpid(), signal.SIGKILL)
"""
    scene.train(code.format(counter=str(counter)))
    assert [start[0] for start in scene.starts()] == [1, 2]
    assert [start[3] for start in scene.starts()] == [4, 2]  # loader workers


@pytest.mark.parametrize('number, words', [('SIGKILL', 'killed (SIGKILL)'), ('SIGSEGV', 'crashed (SIGSEGV)')])
def test_a_process_that_is_lost_otherwise_is_named_with_signal_and_place(scene, number, words):
    with pytest.raises(TaskError) as caught:
        scene.train(f'step(7)\nos.kill(os.getpid(), signal.{number})')
    assert f'The training process 0 (epoch 2, step 7) was {words}'.replace('was crashed', 'crashed') in str(
        caught.value
    )
    assert len(scene.starts()) == 1


def send(number, count=1, after='pid'):
    """Send this process a signal as soon as the script of the test runs."""

    def run(folder):
        while not (folder / after).exists():
            time.sleep(0.01)
        time.sleep(0.2)
        for _ in range(count):
            os.kill(os.getpid(), number)
            time.sleep(0.2)

    return run


def in_background(function, *values):
    thread = threading.Thread(target=function, args=values)
    thread.start()
    return thread


WAIT_FOR_STOP = """
while not rank.stop_signal():
    step(); wait()
Path({state!r}).write_bytes(b'saved')
end(StoppedError(f'stopped by {{rank.stop_signal()}}'))
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_has_the_processes_save_and_end(scene, number):
    before = signal.getsignal(number)
    thread = in_background(send(number), scene.folder)
    with pytest.raises(StoppedError, match=f'stopped by {number.value}'):
        scene.train(WAIT_FOR_STOP.format(state=str(scene.state)))
    thread.join()
    assert scene.state.read_bytes() == b'saved' and signal.getsignal(number) is before


@pytest.mark.parametrize('count, seconds, words', [(2, '100', 'twice'), (1, '0.1', 'did not end a step within 0.1 s')])
def test_a_second_signal_or_the_end_of_the_grace_time_ends_it_at_once(scene, monkeypatch, count, seconds, words):
    monkeypatch.setenv(STOP_VARIABLE, seconds)
    thread = in_background(send(signal.SIGTERM, count), scene.folder)
    with pytest.raises(StoppedError, match=words):
        scene.train('while True: wait()')
    thread.join()
    assert not is_alive(int((scene.folder / 'pid').read_text()))


def test_a_training_that_ends_while_it_is_asked_to_stop_says_so(scene):
    thread = in_background(send(signal.SIGTERM), scene.folder)
    with pytest.raises(StoppedError, match='had just ended'):
        scene.train('while not rank.stop_signal(): wait()')
    thread.join()


def test_a_training_that_stands_still_is_ended_with_its_place(scene, monkeypatch):
    monkeypatch.setenv(STANDSTILL_VARIABLE, '0.5')
    with pytest.raises(StandstillError) as caught:
        scene.train('step(7)\nos.kill(os.getpid(), signal.SIGSTOP)')
    assert 'rank 0 is stopped (SIGSTOP) and computes in epoch 2, step 7' in str(caught.value)
    assert not is_alive(int((scene.folder / 'pid').read_text()))


def test_an_error_of_the_one_that_watches_ends_the_processes(scene, monkeypatch):
    def fail(self, *_):
        while not (scene.folder / 'pid').exists():
            time.sleep(0.01)
        raise KeyError('ours')

    monkeypatch.setattr(ranks.Ranks, '_wait', fail)
    with pytest.raises(KeyError):
        scene.train('while True: wait()')
    assert not is_alive(int((scene.folder / 'pid').read_text()))
