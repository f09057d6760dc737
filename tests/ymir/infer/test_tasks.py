"""`python ymir/start.py` mines and infers: results by the platform's rules, the same for any number of processes."""

import math
import os
import stat
import sys

import pytest

from tests.damaged_images import can_be_read, write_damaged
from tests.other_user import SOMEBODY, do_as, give_to_somebody
from tests.ymir.log_lines import noise
from tmi.inference.plan import make_plan
from tmi.inference.run import predict
from ymir.errors import code_of
from ymir.params import InferParams, load_params
from ymir_exc.mining_summary import read_mining_summary
from ymir_exc.skipped_images import read_skipped_images
from ymir_local.report import write_report

from .sandbox import CLASS_NAMES, Task, write_image, write_model

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def candidates(tmp_path_factory, images):
    """Good images, one that is listed twice, one that is none, one that is missing."""
    folder = tmp_path_factory.mktemp('bad')
    (folder / 'text.jpg').write_text('this is text')
    return [*images[:40], folder / 'text.jpg', *images[40:], folder / 'missing.png', images[3]]


@pytest.fixture(scope='module')
def both(tmp_path_factory, candidates, model_files):
    """Mining and inference in one run, on all cores."""
    task = Task(
        tmp_path_factory.mktemp('both'), candidates, model_files, ('mining', 'infer'), openpai_enable=True, max_iter=3
    )
    task.out.chmod(0o777)
    monitor_file = task.out / 'monitor.txt'
    monitor_file.write_text('t0\t1700000000\t0.00\t1\t0\n')
    give_to_somebody(monitor_file, 0o777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('YMIR_CPU_PROCESSES', '2')  # on one core too
        result = task.start(python=sys.executable)
    assert result.returncode == 0, result.stdout
    return task, result.stdout


def test_boxes_as_the_platform_reads_them(both, candidates):
    task, _ = both
    detections = task.detections()
    assert set(detections) == {path.name for path in candidates}
    boxes = [item for items in detections.values() for item in items]
    assert len(boxes) > 100
    for item in boxes:
        assert item['class_name'] in CLASS_NAMES and 0.2 < item['score'] <= 1
        assert set(item['box']) == set('xywh') and all(type(value) is int for value in item['box'].values())
        assert min(item['box']['x'], item['box']['y']) >= 0 and min(item['box']['w'], item['box']['h']) >= 1
    assert detections['text.jpg'] == detections['missing.png'] == []


def test_the_platforms_user_can_write_monitor_txt_after_the_task(both):
    """It was made before the task, as another user than the task's, and is written again when the task is done."""
    task, _ = both
    status = (task.out / 'monitor.txt').stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (SOMEBODY, 0o777)
    folder = os.open(task.out, os.O_PATH)
    line = task.monitor()

    def write_again() -> None:
        os.write(os.open('monitor.txt', os.O_WRONLY, dir_fd=folder), '\t'.join(line).encode())

    do_as(SOMEBODY, write_again)
    os.close(folder)
    assert task.monitor() == line


def test_ranking_as_the_platform_reads_it(both, candidates):
    task, _ = both
    rows = task.ranking()
    assert sorted(row[0] for row in rows) == sorted(map(str, candidates))
    scores = [float(row[1]) for row in rows]
    assert all(map(math.isfinite, scores)) and scores == sorted(scores, reverse=True)
    assert {os.path.basename(row[0]) for row in rows[-2:]} == {'text.jpg', 'missing.png'}
    assert len(set(scores)) > len(scores) / 2


def test_the_summary_says_why_the_first_images_are_first(both, candidates, tmp_path):
    task, _ = both
    paths = [row[0] for row in task.ranking()]
    summary = read_mining_summary(task.out)
    assert summary.is_of(paths) and summary.class_names == CLASS_NAMES and summary.unreadable == 2
    assert len(summary.first) == len(summary.map.points) == len(paths) - 2
    assert sorted(summary.map.rank) == list(range(len(paths) - 2))
    assert len(summary.about) == 2 and summary.settings['mining_score_thr'] == 0.05
    for image in summary.first:
        assert sum(box[6] for box in image.boxes) == pytest.approx(image.uncertainty, abs=1e-4 * (1 + len(image.boxes)))
        assert all(0.05 < box[5] <= 1 and box[2] > 0 and box[3] > 0 for box in image.boxes)
    picks = [image for image in summary.first if image.distance is not None]
    assert summary.first[: len(picks)] == picks and len(picks) + summary.near_duplicates == len(summary.first)
    for rank, image in enumerate(picks):
        assert 0 <= image.distance <= 1 and 0 < image.class_gain <= 1
        assert image.nearest in paths[:rank] if rank else image.nearest is None
    twice = str(candidates[3])  # listed twice: the second is nothing new
    assert summary.near_duplicates >= 1 and paths.count(twice) == 2
    page = write_report(task.out, tmp_path / 'report.html').read_text()
    assert page.count('class="why"') == len(summary.first) and page.count('class="spot') == len(summary.map.points)


def test_every_line_of_the_log_is_of_use(both):
    assert noise(both[1]) == []
    assert both[1].count('Unknown key') == 1 and 'max_iter; it has no effect.' in both[1]


def test_network_runs_once_for_both_tasks(both):
    task, log = both
    assert log.count('Predicting 73 images') == 1 and 'used again' in log
    assert '2 of 73 images were skipped' in log
    assert task.monitor()[2:5] == ['1.00', '2', '0']
    assert not (task.out / 'predictions').exists()


def test_one_process_gives_the_same_bytes(both, tmp_path, candidates, model_files):
    task = Task(tmp_path, candidates, model_files, ('infer',), samples_per_gpu=3)
    result = task.start(cores=1)
    assert result.returncode == 0, result.stdout
    assert 'in 1 processes' in result.stdout and 'in 2 processes' in both[1]
    assert (task.out / 'infer-result.json').read_bytes() == (both[0].out / 'infer-result.json').read_bytes()


@pytest.mark.parametrize(
    'change, code, sentence',
    [
        ({'models': []}, 300004, 'No weight file'),
        ({'lines': []}, 300002, 'is empty: choose a data set'),
        ({'lines': None}, 300002, 'does not exist'),
        ({'class_names': ['a', 'b']}, 300004, 'was trained for 3 classes, and class_names in config.yaml has 2'),
        ({'conf_threshold': 'high'}, 300001, 'conf_threshold'),
        ({'gpu_id': '0'}, 300102, 'this container sees none'),
    ],
)
def test_bad_input_has_its_code_and_says_what_to_do(tmp_path, images, model_files, change, code, sentence):
    arguments = {**{'lines': images[:3], 'models': model_files}, **change}
    task = Task(tmp_path, **arguments)
    result = task.start()
    assert result.returncode != 0
    columns = task.monitor()
    assert columns[3:5] == ['4', str(code)]
    assert sentence in columns[5]
    assert sentence in '\n'.join(result.stdout.splitlines()[-5:])
    assert not (task.out / 'infer-result.json').exists()


@pytest.mark.parametrize('flags', [('infer',), ('mining', 'infer')])
def test_nothing_readable_has_a_code_and_an_empty_result(tmp_path, model_files, flags):
    task = Task(tmp_path, ['/nowhere/1.jpg', '/nowhere/2.jpg'], model_files, flags)
    result = task.start()
    assert result.returncode != 0
    assert task.monitor()[3:5] == ['4', '300003'] and 'None of the 2 images can be read' in task.monitor()[5]
    assert task.detections() == {'1.jpg': [], '2.jpg': []}
    assert (task.out / 'result.tsv').exists() == ('mining' in flags)


def test_every_kind_of_damage_costs_itself_alone(tmp_path, model_files):
    photos = tmp_path / 'photos'
    photos.mkdir()
    names = write_damaged(photos)
    task = Task(tmp_path, [photos / name for name in names], model_files, ('mining', 'infer'))
    result = task.start()
    assert result.returncode == 0, result.stdout
    readable = {name for name in names if can_be_read(photos / name)}
    skipped = read_skipped_images(str(task.out))
    assert {os.path.basename(image.path) for image in skipped} == set(names) - readable
    assert all(image.part == 'candidates' and image.reason for image in skipped)
    assert f'{len(names) - len(readable)} of {len(names)} images were skipped' in result.stdout
    assert list(task.detections()) == names
    ranked = [os.path.basename(path) for path, _ in task.ranking()]
    assert set(ranked[: len(readable)]) == readable and set(ranked) == set(names)


def test_damaged_weights(tmp_path, images):
    models = write_model(tmp_path / 'models')
    models[0].write_bytes(models[0].read_bytes()[:1000])
    task = Task(tmp_path, images[:3], models)
    assert task.start().returncode != 0
    assert task.monitor()[3:5] == ['4', '300004'] and 'epoch_3.pth' in task.monitor()[5]


def test_random_order_needs_neither_model_nor_images(tmp_path):
    lines = [f'/nowhere/{number}.jpg' for number in range(50)]
    task = Task(tmp_path, lines, [], ('mining',), mining_algorithm='random', mining_seed=7)
    result = task.start()
    assert result.returncode == 0, result.stdout
    first = task.ranking()
    assert sorted(row[0] for row in first) == sorted(lines) and [row[0] for row in first] != lines
    assert task.start().returncode == 0 and task.ranking() == first


def plan_of(task, model_files):
    raw = {'class_names': CLASS_NAMES, 'model_params_path': [str(path) for path in model_files]}
    return make_plan(
        load_params(InferParams, raw), str(task.root / 'in/candidate-index.tsv'), 2, str(task.root / 'in/models'), 0.2
    )


def test_killed_process_is_reported(tmp_path, images, model_files, monkeypatch):
    lines = [write_image(tmp_path / f'{number}.jpg', 64, 64, seed=number) for number in range(2)]
    task = Task(tmp_path, lines, model_files)
    plan = plan_of(task, model_files)
    monkeypatch.setattr('sys.executable', '/bin/false')
    with pytest.raises(Exception, match='process 0 ended with status 1 without a Python error') as caught:
        list(predict(plan, map(str, lines), tmp_path / 'predictions', lambda done: None))
    assert code_of(caught.value) == 160004


def test_no_image_is_lost_to_a_byte_order_mark(tmp_path, images):
    task = Task(tmp_path, [f'\ufeff{images[0]}', *images[1:4]], [], ('mining',), mining_algorithm='random')
    assert task.start().returncode == 0
    assert sorted(row[0] for row in task.ranking()) == sorted(map(str, images[:4]))


def test_a_task_of_segmentation_has_a_code_of_its_own(tmp_path, images):
    task = Task(tmp_path, images[:1], [], ('mining', 'infer'), mining_algorithm='random', object_type=3)
    assert task.start().returncode == 1
    assert task.monitor()[3:5] == ['4', '300005'] and not (task.out / 'result.tsv').exists()
