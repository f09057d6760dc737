"""A training on two nodes: network namespaces stand for two hosts, which share a disk."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.network_hosts import can_make_hosts, two_hosts
from tests.processes import wait_until

from .platform import REPOSITORY, check_result, environment, read_monitor, tiny_task
from .test_faults import at_each_step

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != 'linux' or not can_make_hosts(), reason='network namespaces need Linux, root and the command ip'
    ),
]
PORT = 29611
LIMIT = 20


class Node:
    """start.py on a host, whose log is read all the time."""

    def __init__(self, task, rank, host, first, **extra):
        variables = dict(
            environment(task, **extra), NNODES='2', NODE_RANK=str(rank), MASTER_ADDR=first.address, PORT=str(PORT),
            TMI_NODE_SECONDS=str(LIMIT),
        )  # fmt: skip
        self.rank, self.lines, self.ended = rank, [], None
        self.process = subprocess.Popen(
            host.command(sys.executable, str(REPOSITORY / 'ymir' / 'start.py')),
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        self.lines.extend(self.process.stdout)
        self.ended = time.monotonic()

    def log(self):
        return ''.join(self.lines)


class Training:
    """The task on both nodes."""

    def __init__(self, task, hosts, **extra):
        self.nodes = [Node(task, rank, host, hosts[0], **extra) for rank, host in enumerate(hosts)]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for node in self.nodes:
            if kind is not None and node.process.poll() is None:
                os.killpg(node.process.pid, signal.SIGKILL)
            node.process.wait()
            node.reader.join()

    def log(self):
        return '\n======\n'.join(node.log() for node in self.nodes)

    def wait_for(self, pattern):
        first = self.nodes[0]
        wait_until(lambda: first.process.poll() is not None or re.search(pattern, first.log()), 500)
        assert re.search(pattern, first.log()), self.log()

    def end(self):
        """Wait for the end of both; return the exit statuses."""
        for node in self.nodes:
            node.process.wait(500)
            node.reader.join()
        return [node.process.returncode for node in self.nodes]


@pytest.fixture(scope='module')
def hosts():
    with two_hosts() as pair:
        yield pair


MEASURED = ('time', 'data_time', 'memory', 'waiting_share')


def losses(task):
    """All that the log of the training has, step by step, but what the machine makes of it."""
    (path,) = (task.out_dir / 'models').glob('**/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


def make_task(folder, **edits):
    return tiny_task(folder, **{'max_epochs': 6, 'check_labels': False, 'samples_per_gpu': 2, **edits})


def test_two_hosts_train_as_two_processes_of_one(tmp_path, hosts):
    alone, both = make_task(tmp_path / 'alone'), make_task(tmp_path / 'both')
    run = subprocess.run(
        [sys.executable, str(REPOSITORY / 'ymir' / 'start.py')],
        env=environment(alone, YMIR_CPU_PROCESSES='2'),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    with Training(both, hosts) as training:
        assert training.end() == [0, 0], training.log()
    assert len(losses(alone)) == 12  # of 6 epochs and their validations
    assert losses(both) == losses(alone)
    assert check_result(both)['mAP'] == check_result(alone)['mAP']
    assert 'results are in the output folder of node 0' in training.nodes[1].log()


@pytest.mark.parametrize('which', [0, 1])
def test_a_host_that_is_cut_off_ends_the_task_in_time_with_its_name(tmp_path, which):
    with two_hosts() as hosts:
        task = make_task(tmp_path, max_epochs=2000)
        with Training(task, hosts) as training:
            training.wait_for(r'Epoch\(train\) +\[3\]')
            time.sleep(random.uniform(0, 3))
            hosts[which].cut_off()
            cut = time.monotonic()
            assert training.end() == [1, 1]
        assert all(node.ended - cut < 3 * LIMIT for node in training.nodes), training.log()
        percent, state, code, sentence = read_monitor(task)
        assert (state, code) == (4, 300301), training.log()
        words = r'Node {0} \(host {1}\) cannot be reached from node {2} \(host {3}\) since \d+ s; the limit is 20 s'
        assert re.search(words.format(1, hosts[1].name, 0, hosts[0].name), sentence), training.log()
        assert re.search(words.format(0, hosts[0].name, 1, hosts[1].name), training.nodes[1].log()), training.log()
        assert 'code:  300301' in training.nodes[1].log()
        check_result(task)


@pytest.mark.parametrize(
    'number, words',
    [
        (signal.SIGSEGV, r'The training process 1 \(epoch \d+, step \d+\) crashed \(SIGSEGV\)'),
        (signal.SIGSTOP, r'The training stood still and was ended: rank 1 is stopped \(SIGSTOP\)'),
    ],
)
def test_a_process_that_is_lost_on_another_node_is_the_error_of_all(tmp_path, hosts, number, words):
    task = make_task(tmp_path, max_epochs=2000)
    with Training(task, hosts, TMI_STANDSTILL_SECONDS='30') as training:
        training.wait_for(r'Epoch\(train\) +\[3\]')
        found = subprocess.run(['ip', 'netns', 'pids', hosts[1].name], capture_output=True, text=True).stdout.split()
        (rank,) = [pid for pid in found if is_rank(pid)]
        os.kill(int(rank), number)
        assert training.end() == [1, 1]
    words = rf'Node 1 \(host {hosts[1].name}\): {words}'
    assert re.search(words, read_monitor(task)[3]), training.log()
    assert re.search(words, training.nodes[1].log()), training.log()


def test_too_little_memory_on_one_node_is_answered_on_all(tmp_path, hosts):
    task = make_task(tmp_path, max_epochs=3)
    code = "self.micro_batches < 2 and __import__('os').environ['RANK'] == '1' and torch.empty(2**60)"
    with Training(task, hosts, **at_each_step(tmp_path, code)) as training:
        assert training.end() == [0, 0], training.log()
    assert 'the 2 images of a step go through the network in 2 parts' in training.nodes[0].log()
    check_result(task)


def is_rank(pid):
    with open(f'/proc/{pid}/cmdline', 'rb') as file:
        command = file.read()
    return b'train_process.py' in command and b'torchrun' not in command


def test_a_stopped_node_has_all_save_and_end(tmp_path, hosts):
    task = make_task(tmp_path, max_epochs=2000)
    with Training(task, hosts) as training:
        training.wait_for(r'Epoch\(train\) +\[3\]')
        os.killpg(training.nodes[1].process.pid, signal.SIGTERM)
        assert training.end() == [1, 1]
    found = re.search(r'stopped by another process after step \d+ of epoch (\d+). Its state is saved', training.log())
    assert found and read_monitor(task)[2] == 160004, training.log()
    with Training(task, hosts) as training:
        training.wait_for(rf'goes on (in|with the validation of) epoch {found[1]}')
        training.wait_for(rf'Epoch\(train\) +\[{int(found[1]) + 2}\]')
        for node in training.nodes:
            os.killpg(node.process.pid, signal.SIGTERM)
        assert training.end() == [1, 1]
