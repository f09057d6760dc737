"""The data of a training: what is nothing to train on ends it before it begins."""

import hashlib
import json

import pytest

from tests.ymir.training.platform import tiny_data
from tmi.training.data import hold_out
from ymir.data import prepare_training_data
from ymir.errors import as_task_error, code_of
from ymir_exc import settings
from ymir_exc.code import ExecutorReturnCode
from ymir_local.platform.labels import LabelledImage
from ymir_local.platform.prepare import hyper_parameters, prepare_training


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepares a task of images, of which those with the numbers given have objects, and reads its data."""

    def prepare(num_train, num_val, labelled, export_format):
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
