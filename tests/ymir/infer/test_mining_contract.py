"""What holds for every mining algorithm, however its work is shared among processes."""

from dataclasses import replace

import numpy as np
import pytest

from tests.ymir.infer.sandbox import write_image
from tests.ymir.vidt_models import small_config, write_package
from tmi.inference.embeddings import Embeddings
from tmi.inference.plan import PLAN_FILE, make_plan
from tmi.inference.run import predict
from tmi.inference.worker import predict_shard
from tmi.mining import ALGORITHMS, describe
from tmi.mining.rank import rank
from tmi.settings import MiningSettings

CLASSES = ['cat', 'dog', 'bird']
BAD = [5, 11]  # positions in the pool that cannot be read


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    """Paths of images: different ones, one twice in the list, a copy of another, and two that cannot be read."""
    folder = tmp_path_factory.mktemp('pool')
    images = [write_image(folder / f'{n}.png', 96 + 8 * (n % 3), 96, seed=n) for n in range(9)]
    (folder / 'copy.png').write_bytes(images[2].read_bytes())
    (folder / 'text.jpg').write_text('this is text')
    return [*images[:5], folder / 'text.jpg', *images[5:], folder / 'copy.png', folder / 'missing.png', images[0]]


def settings_of(algorithm, model_files, **changes):
    return MiningSettings(
        class_names=CLASSES,
        mining_algorithm=algorithm,
        model_params_path=[str(path) for path in model_files],
        **changes,
    )


def rank_pool(settings, paths, folder, world_size=1, workers=0):
    """Rank as a task does, in this process; returns the ranking."""
    algorithm = ALGORITHMS[settings.mining_algorithm](settings)
    plan = make_plan(settings, 'list', len(paths), '/', algorithm.score_thr, settings)
    plan = replace(plan, world_size=world_size, workers=workers)
    with pytest.MonkeyPatch.context() as patch:

        def run(plan, folder, on_progress):
            for number in range(plan.world_size):
                predict_shard(plan, folder, number)

        patch.setattr('tmi.inference.run._run_processes', run)
        predictions = predict(plan, map(str, paths), folder, lambda done: None)
    assert (folder / PLAN_FILE).exists()
    return rank(predictions, len(paths), algorithm, Embeddings(folder, world_size, len(paths)), folder)


WITH_MODEL = [name for name, algorithm in ALGORITHMS.items() if algorithm.passes]


@pytest.fixture(scope='module', params=WITH_MODEL)
def ranked(request, pool, model_files, tmp_path_factory):
    """The ranking of one process without loader processes."""
    settings = settings_of(request.param, model_files)
    return settings, rank_pool(settings, pool, tmp_path_factory.mktemp(request.param))


def test_every_candidate_has_a_place_and_bad_ones_the_last(ranked, pool):
    settings, ranking = ranked
    assert sorted(ranking.positions.tolist()) == list(range(len(pool)))
    assert ranking.positions.tolist()[-2:] == BAD and ranking.unreadable == 2
    assert np.isnan(ranking.uncertainty).nonzero()[0].tolist() == BAD
    assert np.isfinite(np.delete(ranking.uncertainty, BAD)).all()
    assert len(set(np.delete(ranking.uncertainty, BAD).tolist())) > 4, 'the model tells the images apart'
    assert ranking.uncertainty[0] == ranking.uncertainty[12] and ranking.uncertainty[2] == ranking.uncertainty[10]


@pytest.mark.parametrize(
    'world_size, workers, batch_size',
    [
        (2, 0, 1),
        *(pytest.param(*shares, marks=pytest.mark.slow) for shares in [(2, 0, 16), (3, 0, 16), (1, 4, 16), (1, 0, 1)]),
    ],
)
def test_the_same_however_the_work_is_shared(ranked, pool, tmp_path, world_size, workers, batch_size):
    settings, expected = ranked
    settings = settings.model_copy(update={'samples_per_gpu': batch_size})
    other = rank_pool(settings, pool, tmp_path, world_size, workers)
    assert other.positions.tolist() == expected.positions.tolist()
    assert other.uncertainty.tobytes() == expected.uncertainty.tobytes()


@pytest.mark.parametrize('algorithm', ALGORITHMS)
@pytest.mark.parametrize('images', [[0], [], [5], [3, 3, 3]])
def test_small_pools(algorithm, images, pool, model_files, tmp_path):
    settings = settings_of(algorithm, model_files)
    ranking = rank_pool(settings, [pool[place] for place in images], tmp_path)
    assert ranking.positions.tolist() == list(range(len(images)))


@pytest.mark.parametrize('algorithm', WITH_MODEL)
def test_no_box_in_any_image(algorithm, pool, model_files, tmp_path):
    settings = settings_of(algorithm, model_files, mining_score_thr=1, conf_threshold=1)
    ranking = rank_pool(settings, pool, tmp_path)
    assert sorted(ranking.positions.tolist()) == list(range(len(pool)))
    assert ranking.without_boxes == len(pool) - 2


@pytest.fixture(scope='module')
def vidt_files(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp('vidt'), small_config())


@pytest.mark.parametrize(
    'files, algorithm',
    [
        ('instance_files', 'hybrid'),
        ('vidt_files', 'hybrid'),
        *(pytest.param('instance_files', algorithm, marks=pytest.mark.slow) for algorithm in ('cald', 'aldd')),
        *(pytest.param('vidt_files', name, marks=pytest.mark.slow) for name in WITH_MODEL if name != 'hybrid'),
    ],
)
def test_models_of_other_kinds(files, algorithm, pool, request, tmp_path):
    settings = settings_of(algorithm, request.getfixturevalue(files))
    first = rank_pool(settings, pool, tmp_path / 'first')
    assert sorted(first.positions.tolist()) == list(range(len(pool))) and first.positions.tolist()[-2:] == BAD
    assert np.isfinite(np.delete(first.uncertainty, BAD)).all() and not first.without_boxes
    assert len(set(np.delete(first.uncertainty, BAD).tolist())) > 4, 'the model tells the images apart'
    other = rank_pool(settings.model_copy(update={'samples_per_gpu': 3}), pool, tmp_path / 'other', 2, 2)
    assert other.positions.tolist() == first.positions.tolist()
    assert other.uncertainty.tobytes() == first.uncertainty.tobytes()


def test_template_and_documents_follow_from_the_registry():
    root = describe.__file__.rsplit('/tmi/', 1)[0]
    template = open(f'{root}/ymir/img-man/mining-template.yaml', encoding='utf-8').read()
    assert '\n'.join(describe.template_lines()) in template, 'python -m tmi.mining.describe template'
    document = open(f'{root}/docs/mining.md', encoding='utf-8').read()
    assert '\n'.join(describe.algorithm_lines()) in document, 'python -m tmi.mining.describe algorithms'
    assert '\n'.join(describe.setting_lines()) in document, 'python -m tmi.mining.describe settings'
