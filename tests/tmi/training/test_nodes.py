"""Who the nodes of a training are, and what they tell each other over a real link, in one process."""

import contextlib
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.processes import wait_until
from tmi.errors import LostNodeError, SettingError, StandstillError, StepMemoryError, StoppedError, UnknownError
from tmi.processes import ERROR_FILE_VARIABLE, ErrorRecord, leave_record
from tmi.training import follow as following
from tmi.training import nodes, ranks, supervise
from tmi.training.nodes import NODE_VARIABLE, NodeLink, Nodes, find_interface
from tmi.training.supervise import OtherNodes


def test_nodes_stand_in_the_environment():
    assert Nodes.of({}) == Nodes.of({'NNODES': '1', 'NODE_RANK': '7'}) == Nodes(1, 0)
    assert Nodes.of({'NNODES': '4', 'NODE_RANK': '3', 'MASTER_ADDR': 'gpu1'}) == Nodes(4, 3, 'gpu1', 29500)


@pytest.mark.parametrize(
    'name, value, allowed',
    [
        ('NNODES', 'two', 'from 1 to 1024'),
        ('NODE_RANK', '', 'from 0 to 1'),
        ('NODE_RANK', '2', 'from 0 to 1'),
        ('PORT', '65535', 'from 1 to 65534'),
        ('MASTER_ADDR', '', 'address of node 0'),
    ],
)
def test_an_invalid_variable_is_named(name, value, allowed):
    with pytest.raises(SettingError, match=f'(?s){name}.*{allowed}'):
        Nodes.of({'NNODES': '2', 'NODE_RANK': '0', 'MASTER_ADDR': 'gpu1', name: value})


def test_the_interface_is_the_one_that_has_the_address():
    assert find_interface('no such name', 1) == ''
    assert find_interface('127.0.0.1', 1) == ''  # other nodes cannot reach the loopback


def free_port():
    """One whose next is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(('127.0.0.1', 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second.bind(('127.0.0.1', port + 1))
                return port


@pytest.fixture
def links(monkeypatch):
    monkeypatch.setenv(NODE_VARIABLE, '100')
    monkeypatch.setattr(nodes, 'BEAT_SECONDS', 0.02)
    port = free_port()
    with contextlib.ExitStack() as stack:

        def make(rank, count=2, join_seconds=100):
            return stack.enter_context(NodeLink(Nodes(count, rank, '127.0.0.1', port), join_seconds))

        yield make


def test_each_hears_what_the_other_says(links):
    first, second = links(0), links(1)
    wait_until(lambda: first.is_complete() and second.is_complete())
    first.say(start={'number': 3})
    second.say(result={'number': 3})
    wait_until(lambda: first.heard()[1].get('result') and second.heard()[0].get('start'))
    assert first.heard()[1]['result'] == second.heard()[0]['start'] == {'number': 3}
    assert first.lost() == second.lost() == ''
    assert first.name(1) == f'node 1 (host {socket.gethostname()})'


def test_a_node_that_falls_silent_is_lost_and_named(links):
    first, second = links(0), links(1)
    wait_until(lambda: first.is_complete() and second.is_complete())
    second._exchange = lambda store: None
    first.limit = second.limit = 0.1
    wait_until(first.lost)
    host = socket.gethostname()
    words = rf'Node 1 \(host {host}\) cannot be reached from node 0 \(host {host}\) since \d+ s; the limit is 0.1 s'
    assert re.search(words, first.lost()) and NODE_VARIABLE in first.lost()
    began = time.monotonic()
    assert not first._may_leave(1)  # nobody waits for it at the end
    first.forgive(began + 100)  # this process stood still
    assert first.lost() == ''
    with pytest.raises(LostNodeError):
        wait_until(lambda: second.is_complete() and False)  # it hears nothing either


def test_a_node_that_ends_is_not_lost_but_one_that_comes_again_is(links):
    first = links(0)
    second = links(1)
    wait_until(first.is_complete)
    second.__exit__()
    first.limit = 0.0  # whatever its silence
    time.sleep(0.1)
    assert first.lost() == ''
    first.limit = 100.0
    links(1)
    wait_until(first.lost)
    assert 'was started again while the training ran' in first.lost()


@pytest.mark.parametrize('rank', [0, 1])
def test_who_does_not_come_is_named(links, rank):
    link = links(rank, 3, join_seconds=0.2)
    with pytest.raises(LostNodeError) as caught:
        wait_until(link.is_complete)
    words = ['these have not come within 0.2 s: 1, 2', 'cannot reach node 0 at 127.0.0.1, port'][rank]
    assert words in str(caught.value)


def test_a_port_that_is_taken_is_a_wrong_setting(links):
    link = links(0)
    with pytest.raises(SettingError, match=f'cannot listen at port {link.nodes.port + 1} .*PORT'):
        NodeLink(link.nodes)


class Said:
    """A link to node 1 of which the test says what is heard."""

    nodes = Nodes(2, 0, 'here')

    def __init__(self, result=None, lost=''):
        self.said, self.result, self.gone = {}, result, lost

    def heard(self):
        return {1: {'host': 'there', 'result': self.result} if self.result else {}}

    def name(self, rank):
        return f'node {rank} (host there)'

    def lost(self):
        return self.gone

    def say(self, **values):
        self.said.update(values)


def result(cause, sentence, is_consequence=False, number=0, was_memory=False):
    return dict(number=number, cause=cause, sentence=sentence, is_consequence=is_consequence, was_memory=was_memory)


CLOSED = 'RuntimeError: [gloo] Connection closed by peer [10.0.0.2]:4711'


@pytest.mark.parametrize(
    'own, theirs, expected',
    [
        (UnknownError(CLOSED), result('StepMemoryError', 'Too little.'), (StepMemoryError, 'Node 1 (host there): Too')),
        (StepMemoryError('Too little.'), result('UnknownError', CLOSED, True), (StepMemoryError, 'Too little.')),
        (UnknownError(CLOSED), result('', ''), (UnknownError, CLOSED)),
        (UnknownError(CLOSED), result('LostNodeError', 'Node 0 has ended.', True), (UnknownError, CLOSED)),
        (UnknownError('KeyError: 3'), result('UnknownError', CLOSED, True), (UnknownError, 'KeyError')),
        (
            StandstillError('Rank 0 computes.'),
            result('StandstillError', 'Rank 1 is stopped.'),
            (StandstillError, 'Rank 0 computes. Node 1 (host there): Rank 1 is stopped.'),
        ),
    ],
)
def test_the_error_is_that_of_the_node_on_which_it_began(own, theirs, expected):
    link = Said(theirs)
    found = OtherNodes(link, 0).cause(own)
    assert type(found) is expected[0] and str(found).startswith(expected[1])
    assert link.said == {'failed': 0}  # so that processes end that still wait there


@pytest.mark.parametrize('is_trouble', [False, True])
def test_what_the_processes_of_this_node_say_of_the_loss_is_forgotten(tmp_path, monkeypatch, is_trouble):
    record = tmp_path / 'error.json'
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(record))
    monkeypatch.setattr(ranks, 'POLL_SECONDS', 0.01)
    leave_record(str(record), ErrorRecord('UnknownError', CLOSED, 'training, rank 0', []))
    there = SettingError('It is wrong there.')
    script = 'import time\nwhile True: time.sleep(0.01)' if is_trouble else 'raise SystemExit(1)'
    watcher = ranks.Ranks(handles_signals=False)
    with watcher.watches() as watches:
        error = watcher.run([sys.executable, '-c', script], {}, next(watches), lambda: there if is_trouble else None)
    if is_trouble:
        assert error is there and not record.exists()
    else:
        assert str(error) == CLOSED and record.exists()  # it may be the cause; `Supervisor` compares the nodes


def test_a_lost_connection_is_that_of_a_lost_node(monkeypatch):
    monkeypatch.setattr(supervise, 'POLL_SECONDS', 0.01)
    lost = OtherNodes(Said(lost='Node 1 is gone.'), 0).cause(UnknownError(CLOSED))
    assert isinstance(lost, LostNodeError) and 'Node 1 is gone. ' in str(lost)
    own = StepMemoryError('Too little.')
    assert OtherNodes(Said(lost='Node 1 is gone.'), 0).cause(own) is own


def test_a_node_that_ended_without_a_result_of_this_start_is_lost(monkeypatch):
    monkeypatch.setattr(supervise, 'POLL_SECONDS', 0.01)
    link = Said(result('StepMemoryError', 'Too little.'))
    heard = {**link.heard()[1], 'left': True}
    link.heard = lambda: {1: heard}
    assert OtherNodes(link, 0).lost() == ''
    later = OtherNodes(link, 1)
    assert isinstance(later.trouble(), LostNodeError) and 'was stopped or has failed' in str(later.trouble())
    assert isinstance(later.cause(UnknownError(CLOSED)), LostNodeError)


def test_processes_that_wait_for_those_of_another_node_are_ended(monkeypatch):
    others = OtherNodes(Said(result('StepMemoryError', 'Too little.')), 0)
    assert others.trouble() is None
    monkeypatch.setattr(supervise, 'FAILED_NODE_SECONDS', -1.0)
    assert 'Too little.' in str(others.trouble())
    assert OtherNodes(Said(result('StepMemoryError', 'Too little.')), 1).trouble() is None  # of an earlier start
    assert isinstance(OtherNodes(Said(lost='Node 1 is gone.'), 0).trouble(), LostNodeError)


def test_a_node_starts_what_node_0_says_and_ends_as_it_does(links, tmp_path, monkeypatch):
    starts = []

    def run(self, command, environment, watch, trouble):
        starts.append((command, environment['NNODES'] if 'NNODES' in environment else None))
        return StepMemoryError('Too little.') if len(starts) == 1 else None

    monkeypatch.setattr(following.Ranks, 'run', run)
    monkeypatch.setenv('NNODES', '2')
    monkeypatch.setenv('NODE_RANK', '1')
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    first, second = links(0), links(1)
    wait_until(first.is_complete)
    task = SimpleNamespace(nodes=2, node_processes=1, device='cpu', models_dir=tmp_path / 'models')
    config = tmp_path / 'config.py'

    def lead():
        for number, cause in enumerate(['StepMemoryError', '']):
            config.write_text(f'a = {number}')
            others = OtherNodes(first, number)
            others.start(config, task, ['--amp'])
            wait_until(lambda others=others: others.results())
            assert others.results()[0]['cause'] == cause
        first.say(ended={'cause': 'SettingError', 'sentence': 'Set it lower.'})

    thread = threading.Thread(target=lead)
    thread.start()
    with pytest.raises(SettingError, match=r'The training ended on node 0 \(host .*\): Set it lower'):
        following.follow(second, Path('script.py'))
    thread.join()
    assert len(starts) == 2 and starts[0][0][2:4] == [str(config), '1'] and '--amp' in starts[0][0]


def test_a_config_that_is_not_shared_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(following, 'SHARED_FILE_SECONDS', 0.0)
    monkeypatch.setattr(following, 'POLL_SECONDS', 0.01)
    with pytest.raises(SettingError, match=r'run\.py, which node 0 has written, is not seen here'):
        following._prepared({'run_config': str(tmp_path / 'run.py'), 'digest': ''}, ranks.Ranks())


def test_a_node_that_is_stopped_waits_for_no_config(tmp_path):
    stopped = ranks.Ranks()
    stopped.stop_signals.append(signal.SIGTERM)
    with pytest.raises(StoppedError, match='SIGTERM'):
        following._prepared({'run_config': str(tmp_path / 'run.py'), 'digest': ''}, stopped)


@pytest.mark.parametrize('error', [LostNodeError('Node 0 has ended.'), UnknownError(CLOSED), SettingError('Wrong.')])
def test_a_node_says_whether_its_error_may_have_its_cause_elsewhere(error):
    found = following._described(error)
    assert found == {
        'cause': type(error).__name__,
        'sentence': error.sentence,
        'is_consequence': not isinstance(error, SettingError),
    }
