"""A network that gives NaN or inf for some images of a pool: these rank and have boxes, the others stay as they are."""

import json
import math
import os
from dataclasses import replace

import pytest
import torch

from tests.ymir.infer.sandbox import Task, write_image
from tests.ymir.infer.test_families import make_predictor
from tmi.errors import ModelError
from tmi.families.dense_predictor import Normalize
from tmi.inference.images import read_image
from tmi.inference.worker import predict_shard
from tmi.mining import ALGORITHMS
from ymir import ymir_infer, ymir_mining
from ymir_exc.mining_summary import read_mining_summary

ALL_NAN, PART_INF = 2, 5
RUNS = [(name, 'model_files', 96) for name, algorithm in ALGORITHMS.items() if algorithm.passes]


def write_pool(folder, width=96):
    """Images of the size of the network's input, so that it sees their pixels."""
    return [write_image(folder / f'{n}.png', width, 96, seed=n) for n in range(9)]


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    return write_pool(tmp_path_factory.mktemp('pool'))


@pytest.fixture
def mine_and_infer(tmp_path, monkeypatch):
    """Run a task here, with the one predicting process; gives the task."""

    def predict(plan, folder, on_progress):
        predict_shard(replace(plan, workers=0), folder, 0)

    def run(name, pool, files, **params):
        task = Task(tmp_path / name, pool, files, ('mining', 'infer'), **params)
        monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(task.env_file))
        ymir_mining.main()
        ymir_infer.main()
        return task

    monkeypatch.setattr(os, 'environ', dict(os.environ, YMIR_CPU_PROCESSES='1'))
    monkeypatch.setattr('tmi.inference.run._run_processes', predict)
    return run


def spoil(monkeypatch, wanted):
    """Have the network get a value in a corner of images: path to value and length of the corner's sides."""
    wanted = [(torch.from_numpy(read_image(str(path))), *change) for path, change in wanted.items()]
    forward = Normalize.forward

    def spoilt(self, pixels):
        inputs = forward(self, pixels)
        for place, one in enumerate(pixels):
            for image, value, side in wanted:
                if torch.equal(one, image):
                    inputs[place, :, :side, :side] = value
        return inputs

    monkeypatch.setattr(Normalize, 'forward', spoilt)


def uncertainties(task):
    return {one.path: one.uncertainty for one in read_mining_summary(task.out).first}


@pytest.mark.parametrize('algorithm, model, width', [*RUNS, ('hybrid', 'instance_files', 128)])
def test_some_images_without_finite_numbers(
    tmp_path, monkeypatch, mine_and_infer, capsys, request, algorithm, model, width
):
    pool = write_pool(tmp_path / 'pool', width)
    files, params = request.getfixturevalue(model), {'mining_algorithm': algorithm, 'conf_threshold': 0.1}
    before = mine_and_infer('before', pool, files, **params)
    spoil(monkeypatch, {pool[ALL_NAN]: (math.nan, width), pool[PART_INF]: (math.inf, 4)})
    capsys.readouterr()
    after = mine_and_infer('after', pool, files, **params)
    assert 'not finite (NaN or inf) for 2 of 9 images' in capsys.readouterr().out
    rows = after.ranking()
    assert sorted(path for path, _ in rows) == sorted(map(str, pool))
    assert [float(score) for _, score in rows] == pytest.approx([(9 - rank) / 9 for rank in range(9)])
    json.loads((after.out / 'infer-result.json').read_text(), parse_constant=pytest.fail)
    found, boxes = uncertainties(after), after.detections()
    assert len(found) == len(boxes) == 9 and all(map(math.isfinite, found.values()))
    assert before.detections()[pool[ALL_NAN].name] and not boxes[pool[ALL_NAN].name]
    for place, path in enumerate(pool):
        if place not in (ALL_NAN, PART_INF):
            assert boxes[path.name] == before.detections()[path.name]
            assert found[str(path)] == uncertainties(before)[str(path)]


@pytest.mark.parametrize('gives_boxes', [True, False])
def test_embeddings_are_finite(monkeypatch, pool, model_files, gives_boxes):
    predictor, letterbox = make_predictor(model_files, 0.02, 0.65)
    assert predictor.gives_boxes
    predictor.gives_boxes = gives_boxes
    spoil(monkeypatch, {pool[0]: (math.nan, 96)})
    loaded = [letterbox(index, str(path)) for index, path in enumerate(pool[:2])]
    pixels = torch.stack([torch.from_numpy(pixels) for _, pixels in loaded])
    first, second = predictor.inspect(pixels, [image.meta for image, _ in loaded])
    assert not first.embedding.any() and second.embedding.any() and second.embedding.isfinite().all()


@pytest.mark.parametrize('batch_size', [1, 16])
def test_a_model_is_judged_by_many_images(monkeypatch, mine_and_infer, pool, model_files, batch_size):
    """Whatever the size of a batch, and wherever in the list the images are that it gives no finite numbers for."""
    bad, good, size = pool[:3], pool[3:], {'samples_per_gpu': batch_size}
    spoil(monkeypatch, dict.fromkeys(bad, (math.nan, 96)))
    with pytest.raises(ModelError, match=r'gives no finite numbers \(NaN or inf\) for 33 of 64 pictures'):
        mine_and_infer('many', bad * 11 + good * 10, model_files, **size)
    with pytest.raises(ModelError, match='for 6 of 8 pictures'):
        mine_and_infer('all', bad * 2 + good[:2], model_files, **size)
    assert len(mine_and_infer('some', bad + good, model_files, **size).ranking()) == 9
    assert len(mine_and_infer('few', bad, model_files, **size).ranking()) == 3
