"""The data of a training: what is nothing to train on ends it before it begins."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.ymir.training.platform import in_this_process, run_start, tiny_data, tiny_task
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import SettingError
from tmi.training.data import hold_out
from tmi.training.needs import Resources
from ymir import ymir_training
from ymir.data import prepare_training_data
from ymir.errors import as_task_error, code_of
from ymir_exc import settings
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.preflight import read_preflight
from ymir_exc.reading import read_training_result
from ymir_exc.skipped_images import read_skipped_images
from ymir_local.platform.labels import LabelledImage
from ymir_local.platform.prepare import hyper_parameters, prepare_training


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepares a task of images, of which those with the numbers given have objects, and reads its data."""

    def prepare(num_train, num_val, labelled, export_format, change=lambda task: None):
        images = [
            image if number in labelled else LabelledImage(image.path, image.width, image.height, ())
            for number, image in enumerate(tiny_data(tmp_path / 'data', num_train + num_val))
        ]
        task = prepare_training(
            tmp_path / 'task',
            ['one', 'two'],
            images[:num_train],
            images[num_train:],
            hyper_parameters('training', {'export_format': export_format}),
        )
        monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
        change(task)
        return prepare_training_data(['one', 'two'], task.out_dir)

    return prepare


@pytest.mark.parametrize('export_format', ['ark:raw', 'voc:raw', 'coco:raw'])
@pytest.mark.parametrize('num_val, labelled', [(2, ()), (2, (4, 5)), (0, ())])
def test_a_training_without_an_object(prepare, export_format, num_val, labelled):
    with pytest.raises(
        Exception, match='none of the 4 training images has a labelled object of the classes one, two'
    ) as caught:
        prepare(4, num_val, labelled, export_format)
    assert code_of(as_task_error(caught.value)) == ExecutorReturnCode.RC_EXEC_DATASET_ERROR


@pytest.mark.parametrize('labelled', range(4))
def test_one_object_is_trained_on_wherever_it_is(prepare, labelled):
    data, _ = prepare(4, 0, (labelled,), 'ark:raw')
    assert data.num_train in (3, 4) and json.loads(data.train_file.read_text())['annotations']


def test_images_held_out_stay_where_all_objects_are_in_them():
    images = sorted(
        ({'id': number, 'file_name': f'{number}.jpg'} for number in range(20)),
        key=lambda image: hashlib.sha1(image['file_name'].encode()).hexdigest(),
    )
    coco = {'images': images, 'annotations': [{'id': 1, 'image_id': images[0]['id']}]}
    train, val = hold_out(coco)
    assert (len(train['images']), len(val['images'])) == (20, 2) and len(train['annotations']) == 1
    coco['annotations'] = [{'id': 1, 'image_id': images[5]['id']}]
    train, val = hold_out(coco)
    assert (len(train['images']), len(val['images']), len(train['annotations'])) == (18, 2, 1)


def with_polygons(task):
    """Give each object of a coco file the outline of its box, as an export of masks has it."""
    (path,) = task.in_dir.rglob('coco-annotations.json')
    content = json.loads(path.read_text())
    for item in content['annotations']:
        x, y, w, h = item['bbox']
        item['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    path.write_text(json.dumps(content))


OF_A_FORMAT = {'segmentation', 'bbox_quality', 'rotate_angle'}


def test_all_formats_give_the_same_data(prepare, tmp_path):
    contents = []
    for export_format, change in (('ark:raw', None), ('voc:raw', None), ('seg-coco:raw', with_polygons)):
        data, splits = prepare(6, 3, range(9), export_format, change or (lambda task: None))
        content = [json.loads(path.read_text()) for path in (data.train_file, data.val_file)]
        for part in content:
            for item in part['annotations']:
                assert bool(item.pop('segmentation')) == (change is not None)
                for key in OF_A_FORMAT & item.keys():
                    del item[key]
        shutil.rmtree(tmp_path / 'task')
        contents.append((content, data.image_sizes, data.num_val, [part.boxes_per_class for part in splits.values()]))
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0][0][0]['annotations']) > 5 and len(contents[0][0][1]['annotations']) > 2


@pytest.mark.slow
@pytest.mark.integration
def test_all_formats_train_to_the_same_metric(tmp_path):
    """And to the same weights."""
    metrics, states = [], []
    for export_format, change in (('ark:raw', None), ('voc:raw', None), ('seg-coco:raw', with_polygons)):
        folder = tmp_path / export_format.partition(':')[0]
        task = tiny_task(folder, export_format=export_format, img_size=128, max_epochs=8, seed=3)
        if change:
            change(task)
        done = run_start(task, folder)
        assert done.returncode == 0, done.stdout
        result = read_training_result(task.out_dir / 'models')
        metrics.append({name: stage.metrics for name, stage in result.stages.items()})
        (weights,) = (path for name, path in result.stages[result.best].files.items() if name.endswith('.pth'))
        states.append(load_checkpoint(weights)['state_dict'])
    assert metrics[0] == metrics[1] == metrics[2] and metrics[0]
    assert all(torch.equal(value, state[name]) for state in states[1:] for name, value in states[0].items())


def spoil(task):
    """An annotation line that is none in the first training image, and no validation image that can be read."""
    first = (task.in_dir / 'train-index.tsv').read_text().splitlines()[0]
    lines = Path(host_path(task, first.split('\t')[1]))
    lines.write_text(f'nonsense [bold]\n{lines.read_text()}')
    for line in (task.in_dir / 'val-index.tsv').read_text().splitlines():
        image = host_path(task, line.split('\t')[0])
        image.unlink()
        image.write_bytes(b'')


def host_path(task, path):
    return task.in_dir / path.rpartition('/in/')[2] if path.startswith('/in/') else Path(path)


def test_what_is_found_is_listed_and_costs_only_itself(prepare, capsys, caplog, tmp_path):
    data, splits = prepare(10, 2, range(12), 'ark:raw', spoil)
    rows = list(read_preflight(str(tmp_path / 'task/out')))
    assert [(row.part, row.line, row.kind, row.done) for row in rows] == [
        ('training', '1', 'invalid annotation line', 'box skipped'),
        ('validation', '', 'empty image file', 'image skipped'),
        ('validation', '', 'empty image file', 'image skipped'),
    ]
    assert [image.part for image in read_skipped_images(str(tmp_path / 'task/out'))] == ['validation'] * 2
    assert 'The validation set has no usable image of 2: 1 training images are validated on instead' in caplog.text
    assert (data.num_train, data.num_val, splits['val'].num_listed) == (9, 1, 2)
    log = capsys.readouterr().out
    assert '| invalid annotation line |' in log and 'nonsense [bold]' in ''.join(log.split('|'))


def test_a_set_of_which_most_is_skipped_is_doubted(prepare, caplog):
    def spoil_most(task):
        for line in (task.in_dir / 'train-index.tsv').read_text().splitlines()[1:]:
            file = host_path(task, line.split('\t')[1])
            file.write_text(''.join(f'9{line[1:]}\n' for line in file.read_text().splitlines()))

    data, splits = prepare(6, 2, range(8), 'ark:raw', spoil_most)
    left, skipped = splits['train'].num_boxes, splits['train'].dropped_boxes.count
    assert data.num_train == 6 and skipped > left > 0
    assert f'Most boxes of the training set were skipped ({skipped} of {left + skipped})' in caplog.text
    assert 'of the validation set' not in caplog.text and 'Most images' not in caplog.text


def test_a_stop_lists_everything_too(prepare, tmp_path):
    def spoil_all(task):
        for line in (task.in_dir / 'train-index.tsv').read_text().splitlines():
            host_path(task, line.split('\t')[1]).write_text('5, 1, 2, 3, 4\nx\n')

    with pytest.raises(Exception, match='all 8 boxes of the train set are unusable') as caught:
        prepare(4, 2, range(6), 'ark:raw', spoil_all)
    assert code_of(as_task_error(caught.value)) == ExecutorReturnCode.RC_EXEC_DATASET_ERROR
    rows = list(read_preflight(str(tmp_path / 'task/out')))
    assert [row.kind for row in rows] == ['unknown class', 'invalid annotation line'] * 4


def test_a_disk_too_small_for_the_weights_stops_the_task_before_it_trains(tmp_path, monkeypatch):
    task = tiny_task(tmp_path)
    in_this_process(task, monkeypatch)
    monkeypatch.setattr(ymir_training, 'train', lambda *arguments: pytest.fail('it trains'))
    seen = Resources(1 << 30, 100_000, 1 << 35)
    monkeypatch.setattr('tmi.training.needs.available_resources', lambda *arguments: seen)
    with pytest.raises(SettingError, match='The training will write up to .* where 0 MB are free') as caught:
        ymir_training.main()
    assert code_of(caught.value) == ExecutorReturnCode.RC_EXEC_CONFIG_ERROR
    assert not list((task.out_dir / 'models').glob('*.pth'))


def test_images_larger_than_the_memory_are_skipped(prepare, tmp_path, monkeypatch):
    pixels = [width * height for width, height in prepare(8, 2, range(10), 'ark:raw')[0].image_sizes]
    shutil.rmtree(tmp_path / 'task')
    monkeypatch.setattr('tmi.training.needs.available_memory', lambda: 6 * (max(pixels) - 1))
    sizes = prepare(8, 2, range(10), 'ark:raw')[0].image_sizes
    assert [width * height for width, height in sizes] == [number for number in pixels if number < max(pixels)]
    kinds = [row.kind for row in read_preflight(str(tmp_path / 'task/out')) if row.part == 'training']
    assert kinds == ['image too large'] * (8 - len(sizes)) and sizes
