"""Inference and mining on the machines of a Ray cluster; `make test-ray` installs Ray and runs these."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.ray_machines import ray_machines
from tests.ymir.infer.sandbox import PROJECT_ROOT, Task, write_images
from tmi.errors import SettingError
from tmi.inference import ray_cluster
from tmi.inference.plan import PredictionPlan
from tmi.inference.ray_node import fingerprint

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3000)]

IMAGES = 300  # ten blocks
PLAN = PredictionPlan('index', 0, 'w.pth', None, ['a'], 0.1, 0.6, None, 'auto', 4, [], 1, 0, 1)
BOTH = ('mining', 'infer')


@pytest.fixture(scope='module')
def cluster():
    with ray_machines(2) as cluster:
        yield cluster


@pytest.fixture(scope='module')
def candidates(tmp_path_factory):
    """Images, one of them unreadable."""
    paths = write_images(tmp_path_factory.mktemp('candidates'), IMAGES)
    paths[40].write_bytes(b'no image')
    return paths


@pytest.fixture(scope='module')
def alone(tmp_path_factory, candidates, model_files):
    """What one process on one core of this machine gives: name of a file -> content."""
    task = Task(tmp_path_factory.mktemp('alone'), candidates, model_files, BOTH, conf_threshold=0.01)
    done = task.start(cores=1, python=sys.executable)
    assert done.returncode == 0, done.stdout
    return results(task)


def results(task):
    names = ('infer-result.json', 'result.tsv', 'mining-summary.json', 'skipped-images.tsv')
    return {name: (task.out / name).read_bytes() for name in names}


class Running:
    """A task on the cluster, while it runs."""

    def __init__(self, root, candidates, models, address, **params):
        self.task = Task(root, candidates, models, BOTH, conf_threshold=0.01, ray_address=address, **params)
        self.blocks: dict[str, int] = {}  # names of whole ones -> which folder each is

    def start(self):
        environ = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(self.task.env_file))
        self.log = open(self.task.root / 'log.txt', 'w+')
        command = [sys.executable, 'ymir/start.py']
        self.process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environ, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def look(self):
        """Note the blocks that are there, and see that none is made twice."""
        for path in self.task.out.glob('predictions/blocks_*/block_??????'):
            try:
                made = path.stat().st_ino
            except FileNotFoundError:  # they have been joined
                continue
            assert self.blocks.setdefault(path.name, made) == made, f'{path} was made twice'

    def wait(self, blocks=None):
        """Wait until so many blocks are there, or for the end."""
        while self.process.poll() is None and (blocks is None or len(self.blocks) < blocks):
            self.look()
            time.sleep(0.02)
        assert blocks is None or self.process.poll() is None, self.text
        return self.process.returncode

    @property
    def text(self):
        self.log.flush()
        return Path(self.log.name).read_text()


def test_the_files_are_those_of_one_process(cluster, candidates, model_files, alone, tmp_path):
    run = Running(tmp_path, candidates, model_files, cluster.address)
    run.start()
    assert run.wait() == 0, run.text
    assert results(run.task) == alone
    assert len(run.blocks) == 10 and 'in 10 blocks on 2 machines of the Ray cluster' in run.text
    assert run.text.count('The predictions of the task before are used again') == 1  # by inference, after mining
    assert run.task.monitor()[2] == '1.00'


def test_with_another_engine_the_files_are_those_of_one_process(cluster, candidates, model_files, tmp_path):
    alone = Task(tmp_path / 'alone', candidates, model_files, engine='openvino')
    task = Task(tmp_path / 'ray', candidates, model_files, engine='openvino', ray_address=cluster.address)
    logs = [alone.start(cores=1, python=sys.executable).stdout, task.start(python=sys.executable).stdout]
    chosen = [set(re.findall(r'engine is openvino, \w+ is used', log)) for log in logs]
    assert len(chosen[0]) == 1 and chosen[0] == chosen[1], logs
    assert (task.out / 'infer-result.json').read_bytes() == (alone.out / 'infer-result.json').read_bytes()


def test_a_task_that_is_killed_goes_on_with_its_blocks(cluster, candidates, model_files, alone, tmp_path):
    run = Running(tmp_path, candidates, model_files, cluster.address)
    run.start()
    run.wait(blocks=3)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    run.look()
    run.start()
    assert run.wait() == 0, run.text
    assert 'Going on where an earlier run ended' in run.text
    assert results(run.task) == alone


def test_a_machine_that_is_lost(candidates, model_files, alone, tmp_path):
    with ray_machines(2) as cluster:
        run = Running(tmp_path, candidates, model_files, cluster.address)
        run.start()
        run.wait(blocks=3)
        cluster.remove_node(cluster.machines[0], allow_graceful=False)
        assert run.wait() == 0, run.text
    assert results(run.task) == alone  # no image was skipped for it
    assert len(run.blocks) == 10


def test_a_cluster_whose_last_machine_is_lost(candidates, model_files, tmp_path, monkeypatch):
    monkeypatch.setenv('TMI_STANDSTILL_SECONDS', '40')
    with ray_machines(1) as cluster:
        run = Running(tmp_path, candidates, model_files, cluster.address)
        run.start()
        run.wait(blocks=2)
        cluster.remove_node(cluster.machines[0], allow_graceful=False)
        assert run.wait() == 1
    assert 'has predicted nothing for' in run.text and 'code:  160004' in run.text, run.text
    assert len(list(run.task.out.glob('predictions/blocks_*/block_??????'))) >= 2


def test_a_cluster_whose_head_is_lost(candidates, model_files, tmp_path):
    with ray_machines(1) as cluster:
        run = Running(tmp_path, candidates, model_files, cluster.address)
        run.start()
        run.wait(blocks=2)
        cluster.head_node.kill_gcs_server()
        assert run.wait() != 0
    assert 'code:  160004' in run.text, run.text


def test_a_model_that_cannot_be_used_ends_the_task_with_its_code(cluster, candidates, model_files, tmp_path):
    task = Task(tmp_path, candidates, model_files, class_names=['cat'], ray_address=cluster.address)
    done = task.start(python=sys.executable)
    assert done.returncode == 1 and 'was trained for 3 classes' in done.stdout
    assert task.monitor()[4] == '300004'


@pytest.fixture
def connection(cluster):
    with ray_cluster.connected(cluster.address):
        yield


@pytest.mark.parametrize('kind', ['folder', 'image', 'version'])
def test_machines_that_cannot_be_used(connection, kind, tmp_path):
    """The machines are processes of this one: what they lack is named to them though it is nowhere."""
    token = tmp_path / 'token'
    token.touch()
    packages, sizes, words = fingerprint(PROJECT_ROOT), {str(token): 0}, ''
    nodes = ray_cluster.usable_nodes(PLAN)
    ray_cluster.check_nodes(nodes, str(token), sizes, packages)
    if kind == 'folder':
        token = tmp_path / 'elsewhere/token'
        words = f'it does not see {tmp_path}/elsewhere as'
    elif kind == 'image':
        sizes[str(tmp_path / 'a.jpg')] = 9
        words = f'it does not see {tmp_path}/a.jpg as'
    else:
        packages['torch'] = '1.0'
        words = 'instead of 1.0'
    with pytest.raises(SettingError, match=f'The machine .* cannot be used: .*{words}'):
        ray_cluster.check_nodes(nodes, str(token), sizes, packages)


def test_a_cluster_without_gpus(connection):
    from dataclasses import replace

    with pytest.raises(SettingError, match='machines of the Ray cluster .*offers a GPU'):
        ray_cluster.usable_nodes(replace(PLAN, gpu_ids=[0]))


def test_a_port_at_which_there_is_no_ray():
    """In a process of its own: it cannot be taken back that Ray goes on trying."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        code = (
            'from tmi.inference import ray_cluster as c\nc.CONNECT_SECONDS = 10\n'
            f'with c.connected("127.0.0.1:{server.getsockname()[1]}"): pass'
        )
        done = subprocess.run([sys.executable, '-c', code], cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert 'SettingError: The Ray cluster 127.0.0.1:' in done.stderr and 'HOST:PORT' in done.stderr


def test_results_hold_boxes(alone):
    assert sum(len(one['boxes']) for one in json.loads(alone['infer-result.json'])['detection'].values()) > IMAGES
