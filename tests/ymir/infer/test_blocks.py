"""Blocks of images, as machines of a cluster predict them, without a cluster: what is kept, repeated and skipped."""

import fcntl
import json
import logging
import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from tmi.errors import DiskFullError, ModelError, SettingError, UnknownError
from tmi.inference import ray_actor, ray_cluster, ray_packages, ray_run
from tmi.inference.blocks import Attempt, Block, blocks_folder, blocks_of, finished_blocks, is_whole
from tmi.inference.embeddings import Embeddings, EmbeddingWriter
from tmi.inference.finite_check import FiniteCheck
from tmi.inference.heartbeat import Heartbeat
from tmi.inference.image_list import iter_image_list
from tmi.inference.plan import PredictionPlan, block_size
from tmi.inference.ray_node import fault_of, fingerprint, look
from tmi.inference.run import predict
from tmi.inference.shards import Finished, Prediction, ShardWriter
from tmi.paths import PROJECT_ROOT
from tmi.settings import InferenceSettings

BATCH = 4
SIZE = 10  # images of a block
NAMES = [f'{number}' for number in range(35)]
MINING = {'mining_algorithm': 'hybrid'}
PLAN = PredictionPlan(
    'index', 0, 'w.pth', None, ['a'], 0.1, 0.6, None, 'auto', BATCH, [], 1, 0, 1, ray_address='h:1', block_size=SIZE
)


class Lost(BaseException):
    """Stands for the end of a process by a signal."""


class Model:
    """Stands in for `ShardPredictor`: names of images say what happens to whoever reads them."""

    warning = ''

    def __init__(self, plan, folder):
        self.plan, self.folder = plan, folder
        self.check = FiniteCheck('w.pth', False)
        self.read = Counter()
        self.at_start = 0

    def batches(self, rank, world_size, skipped):
        def part(first, stop):
            return SimpleNamespace(first=first, stop=stop, skipped=skipped)

        return SimpleNamespace(part=part)

    def predict(self, batches, output, beat, rank=0, kept=Finished(), careful=0):
        assert fcntl.fcntl(beat._file, fcntl.F_GETFL) & os.O_DSYNC  # other machines read it
        images = list(iter_image_list(self.folder, first=batches.first, stop=batches.stop))
        shard = ShardWriter(output, rank, kept)
        embeddings = EmbeddingWriter(output, rank) if self.plan.mining else None
        while images:
            size = 1 if careful else BATCH
            batch, images = images[:size], images[size:]
            beat.at_image(batch[0][0]) if careful else beat.at_batch()
            for index, path in batch:
                if index not in batches.skipped:
                    self.look_at(Path(path).stem)
            shard.write([self.found(index, path, batches.skipped) for index, path in batch])
            if embeddings:
                embeddings.write([np.full(4, index + 1.0) for index, _ in batch])
            self.check.add(len(batch), 0)
        shard.close()

    def found(self, index, path, skipped):
        return Prediction(index, path, None if index in skipped else (9, index), problem=skipped.get(index, ''))

    def look_at(self, name):
        self.read[name] += 1
        if name.startswith('lost') or name.startswith('once') and self.read[name] == 1:
            raise Lost
        if name == 'full':
            raise OSError(28, 'No space left on device', 'x')


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster in this process: `nodes` are the machines that are there, `node` the one that predicts."""
    state = SimpleNamespace(node='a', nodes={'a', 'b'}, model=None, end_after=None, order=1)
    state.seen = {'host': 'h1', 'files': [], 'packages': {}, 'problem': ''}

    class Pool:
        def __init__(self, plan, root, todo, progress):
            self.blocks, self.progress = todo[:: state.order], progress
            sizes = {}
            work = ray_actor.Work(asdict(plan), str(root), 'run0', str(root / 'images.jsonl'), sizes, {}, {})
            state.actor = ray_actor.BlockPredictor(json.dumps(asdict(work)))
            state.model = state.actor._model = Model(plan, root)

        def run(self):
            for number, block in enumerate(self.blocks):
                if number == state.end_after:
                    raise KeyboardInterrupt
                while True:
                    try:
                        values = state.actor({key: [value] for key, value in block._asdict().items()})
                        break
                    except Lost:  # as Ray does
                        continue
                self.progress.add(block, json.loads(values['report'][0]))
            self.progress.end()

    monkeypatch.setattr(ray_run, 'Pool', Pool)
    monkeypatch.setattr(ray_run, 'connected', lambda address: nullcontext())
    monkeypatch.setattr(ray_actor, '_places', lambda: (state.node, state.nodes))
    monkeypatch.setattr(ray_actor, 'configure_logging', lambda level: None)
    monkeypatch.setattr(ray_actor, 'look', lambda *_: state.seen)
    monkeypatch.setattr(ray_actor, 'Watch', lambda limit: SimpleNamespace(folder=None))
    return state


@pytest.fixture
def run(tmp_path, cluster, caplog):
    """Predict images of these names; gives the predictions by name."""
    (tmp_path / 'w.pth').write_bytes(b'weights')
    caplog.set_level(logging.INFO, 'tmi')

    def run(names, **changes):
        plan = replace(PLAN, num_images=len(names), checkpoint=str(tmp_path / 'w.pth'), **changes)
        done = []
        found = predict(plan, (f'/images/{name}.jpg' for name in names), tmp_path / 'predictions', done.append)
        found = {Path(one.path).stem: one for one in found}
        assert done == sorted(done) and done[-1] == len(names)
        return found

    run.folder = tmp_path / 'predictions'
    return run


@pytest.mark.parametrize('order', [1, -1])
def test_blocks_are_joined_to_the_files_of_one_process(run, cluster, tmp_path, order):
    cluster.order = order
    found = run(NAMES, mining=MINING)
    assert list(found) == NAMES
    one = tmp_path / 'one'
    one.mkdir()
    ShardWriter(one, 0).write(
        [Prediction(index, f'/images/{name}.jpg', (9, index)) for index, name in enumerate(NAMES)]
    )
    EmbeddingWriter(one, 0).write([np.full(4, index + 1.0) for index in range(35)])
    for name in ('rank_0.jsonl', 'rank_0.embeddings'):
        assert (run.folder / name).read_bytes() == (one / name).read_bytes()
    assert len(Embeddings(run.folder, 1, 35)) == 35
    assert sorted(path.name for path in run.folder.iterdir()) == [
        'done', 'images.jsonl', 'plan.json', 'rank_0.embeddings', 'rank_0.jsonl'
    ]  # fmt: skip


def test_a_task_goes_on_with_the_blocks_that_are_whole(run, cluster, caplog):
    cluster.end_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(NAMES, mining=MINING)
    (root,) = run.folder.glob('blocks_*')
    Attempt(root, Block(3, 30, 35), 'run1', 'a')  # of a machine that was at work
    (root / 'block_000001/rank_0.jsonl').write_text('[10,')  # as no rename leaves it, but disks do
    cluster.end_after = None
    run(NAMES, mining=MINING, ray_address='other:1')
    assert set(cluster.model.read) == {*NAMES[10:20], *NAMES[30:]}
    assert 'Going on where an earlier run ended: 20 of 35 images are predicted' in caplog.text


@pytest.mark.parametrize('changes', [{'score_thr': 0.3}, {'iou_thr': 0.5}, {'mining': MINING}])
def test_blocks_of_other_settings_are_not_used(run, cluster, changes):
    cluster.end_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(NAMES)
    (before,) = run.folder.glob('blocks_*')
    cluster.end_after = None
    run(NAMES, **changes)
    assert len(cluster.model.read) == 35 and not before.exists()


def test_blocks_are_of_no_use_without_a_cluster(run, cluster, caplog, monkeypatch):
    cluster.end_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(NAMES)

    def predict_alone(plan, folder, on_progress):
        assert [path.name for path in folder.iterdir() if path.is_dir()] == []
        ShardWriter(folder, 0).write([Prediction(index, path) for index, path in iter_image_list(folder)])
        on_progress(plan.num_images)

    monkeypatch.setattr('tmi.inference.run._run_processes', predict_alone)
    run(NAMES, block_size=0, ray_address='')
    assert 'are of a run on a Ray cluster, so all images are predicted anew' in caplog.text


def test_a_joined_file_is_enough(run, cluster):
    """The task was ended after the blocks were removed, and before it said that it is done."""
    run(NAMES)
    (run.folder / 'done').unlink()
    model = cluster.model
    run(NAMES)
    assert cluster.model is model


def test_an_image_that_ends_whoever_reads_it_is_skipped(run, cluster, caplog):
    names = [*NAMES[:13], 'lost', *NAMES[13:16], 'once', *NAMES[16:]]
    found = run(names)
    assert [name for name, one in found.items() if not one.readable] == ['lost']
    assert found['lost'].problem == 'a predicting process was lost at it, twice'
    assert cluster.model.read['lost'] == 2 and cluster.model.read['20'] == 1
    assert 'skipped: 13' in caplog.text


def test_a_loss_with_its_machine_is_no_fault_of_an_image(run, cluster):
    """The machine is gone by the time that its block is predicted again."""
    names = [*NAMES[:13], 'once', *NAMES[13:]]
    cluster.nodes = {'b'}
    assert all(one.readable for one in run(names).values())
    assert cluster.model.read['once'] == 2


def test_images_that_end_processes_one_after_the_other(run):
    names = [*NAMES[:11], 'lost0', '11', 'lost1', *NAMES[12:20], 'lost2', *NAMES[20:]]
    assert [name for name, one in run(names).items() if not one.readable] == ['lost0', 'lost1', 'lost2']


def test_a_model_that_ends_whoever_uses_it_ends_the_task(run):
    with pytest.raises(UnknownError, match='was lost at each of the first 3 images'):
        run([f'lost{number}' for number in range(9)])


def test_a_process_that_is_lost_while_the_model_is_loaded(run, tmp_path):
    block = Block(0, 0, SIZE)
    for _ in range(2):
        attempt = Attempt(tmp_path, block, 'run0', 'a')
        Heartbeat(attempt.path, 0)
    losses = Attempt(tmp_path, block, 'run0', 'b').losses({'a'})
    with pytest.raises(UnknownError, match='lost 2 times before the first image'):
        ray_actor._judge(losses)


def test_a_machine_that_joins_later_is_compared_too(run, cluster):
    cluster.seen['files'] = ['/shared']
    with pytest.raises(SettingError, match='machine h1 of the Ray cluster cannot be used: it does not see /shared'):
        run(NAMES)


def test_a_process_that_stands_still_ends_itself(tmp_path, monkeypatch):
    ended = Event()

    def kill(pid):
        assert pid == os.getpid()
        ended.set()
        Event().wait()  # for ever, as the process would be gone

    monkeypatch.setattr(ray_actor, 'kill_tree', kill)
    monkeypatch.setattr(ray_actor.Standstill, 'lasts', lambda self, beat, pid: beat.image == 7)
    watch = ray_actor.Watch(600)
    beat = Heartbeat(tmp_path, 0)
    watch.folder = tmp_path
    assert not ended.wait(0.2)
    beat.at_image(7)
    assert ended.wait(60)


def test_an_error_of_a_machine_is_that_of_the_task(run):
    with pytest.raises(DiskFullError, match='No space is left on the disk'):
        run([*NAMES, 'full'])


def test_a_model_without_finite_numbers_is_rejected_by_all_machines_together():
    progress = ray_run.Progress(PLAN, 0, lambda done: None)
    report = {'images': 7, 'unusable': 7, 'half_precision': True, 'warning': '', 'error': None}
    progress.add(Block(0, 0, 7), report)
    progress.add(Block(1, 7, 14), report)
    with pytest.raises(ModelError, match='14 of 14 pictures.*try precision fp32'):
        progress.end()


def test_the_first_whole_attempt_stays(tmp_path):
    block, plan = Block(0, 0, 1), replace(PLAN, num_images=1)
    attempts = [Attempt(tmp_path, block, 'run0', node) for node in 'ab']
    for attempt in attempts:
        ShardWriter(attempt.path, 0).write([Prediction(0, 'a.jpg')])
        attempt.finish()
    assert [path.name for path in tmp_path.iterdir()] == ['block_000000'] and is_whole(plan, tmp_path, block)
    assert (tmp_path / 'block_000000/node.txt').read_text() == 'a'


def test_files_of_finished_blocks_are_closed(run, tmp_path):
    before = os.listdir('/proc/self/fd')
    run([f'{number}' for number in range(30 * SIZE)])
    assert len(os.listdir('/proc/self/fd')) < len(before) + 20


def test_blocks_cover_all_images_once():
    for count in (0, 1, 31, 32, 33, 1000, 100_000, 1_000_003):
        plan = replace(PLAN, num_images=count, block_size=block_size(count))
        blocks = blocks_of(plan)
        assert [block.first for block in blocks[1:]] == [block.stop for block in blocks[:-1]]
        assert (blocks[0].first, blocks[-1].stop) == (0, count) if count else blocks == []
        assert len(blocks) <= 1000 and finished_blocks(plan, Path('nowhere')) == []


def test_folders_follow_from_what_decides_the_predictions():
    def name(**changes):
        return blocks_folder(replace(PLAN, **changes), Path()).name

    same = ({'ray_address': 'x:1'}, {'log_level': 'debug'}, {'batch_size': 2})
    assert {name(**change) for change in ({}, *same)} == {name()}
    other = ({'identity': 'b'}, {'score_thr': 0.2}, {'gpu_ids': [0]}, {'block_size': 11}, {'mining': MINING})
    assert len({name(**change) for change in ({}, *other)}) == 6


def test_a_machine_is_compared_with_the_first(tmp_path):
    token, image = tmp_path / 'token', tmp_path / 'a.jpg'
    token.touch()
    image.write_bytes(b'12')
    packages = fingerprint(PROJECT_ROOT)
    assert fault_of(look(str(token), {str(image): 2}), packages) == ''
    assert str(image) in fault_of(look(str(token), {str(image): 3}), packages)
    found = look(str(token), {})
    assert 'torch' in packages and 'it has torch' in fault_of(found, {**packages, 'torch': '1.0'})
    assert 'this code' in fault_of(found, {**packages, 'this code': 'other'})
    assert 'cannot be imported' in fault_of({**found, 'problem': 'no module'}, packages)


def test_a_folder_that_a_machine_does_not_see(tmp_path, monkeypatch):
    monkeypatch.setattr('tmi.inference.ray_node.VISIBLE_SECONDS', 0)
    found = look(str(tmp_path / 'none/token'), {})
    assert found['files'] == [str(tmp_path / 'none')]


@pytest.mark.parametrize('address', ['127.0.0.1:1', 'localhost:99999'])
def test_an_address_at_which_nothing_answers(address):
    with pytest.raises(SettingError, match=f'Ray cluster {address} cannot be used .*ray_address is HOST:PORT'):
        with ray_cluster.connected(address):
            pass


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ray_packages, 'PACKAGES', ('no_such_package',))
    with pytest.raises(SettingError, match=r"install the extra .ray. .pip install 'ray\[data\]'"):
        ray_packages.check_ray('10.0.0.5:6379')


@pytest.mark.parametrize('address', ['', 'auto', '10.0.0.5:6379', 'head.cluster:6379', '[fe80::1]:6379', ' auto '])
def test_addresses(address):
    assert InferenceSettings(class_names=['a'], ray_address=address).ray_address == address.strip()


@pytest.mark.parametrize('address', ['host', '10.0.0.5', 'ray://h:10001', 'a b:1', '; rm -rf:1', 6379])
def test_what_is_no_address(address):
    with pytest.raises(ValidationError, match='HOST:PORT'):
        InferenceSettings(class_names=['a'], ray_address=address)
