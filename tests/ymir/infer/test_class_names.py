"""Names of a task against those of the checkpoint: never a wrong label without a word."""

import json
from pathlib import Path

import pytest
import torch

from tmi.class_names import match_class_names
from tmi.errors import TaskError
from tmi.inference.image_list import write_image_list
from tmi.inference.plan import make_plan
from tmi.inference.shards import shard_path
from tmi.inference.worker import predict_shard
from ymir.errors import code_of
from ymir.params import InferParams, load_params

from .sandbox import CLASS_NAMES

SOURCE = Path('best.pth')


@pytest.mark.parametrize(
    'own, wanted, positions, words',
    [
        (None, ['a', 'b'], [0, 1], ''),
        (['a', 'b'], ['a', 'b'], [0, 1], ''),
        ([' A', 'B '], ['a', 'b'], [0, 1], ''),
        (['a', 'b'], ['b', 'a'], [1, 0], 'another order (b, a) than the classes of best.pth (a, b), which decides'),
        (['a', 'b', 'c'], ['c', 'A', 'b'], [1, 2, 0], 'another order'),
        (['a', 'b'], ['a', 'x'], [0, 1], 'new names of them: b is x. If that is wrong'),
        (['a', 'b'], ['x', 'y'], [0, 1], 'a is x, b is y'),
        (['a', 'b', 'c'], ['a', 'b'], [0, 1], 'names 3 classes (a, b, c) and has 2 outputs'),
        (['a', 'a'], ['a', 'b'], [0, 1], 'names 2 classes (a, a)'),
    ],
)
def test_which_name_an_output_has(own, wanted, positions, words):
    found, warning = match_class_names(own, wanted, SOURCE)
    assert found == positions
    assert words in warning and bool(warning) == bool(words)


@pytest.mark.parametrize(
    'own, wanted, words',
    [
        (['a', 'b', 'c'], ['b', 'x', 'c'], 'b is number 2 there and number 1 in config.yaml'),
        (['a', 'b', 'c'], ['x', 'a', 'b'], 'a is number 1 there and number 2'),
        (['background', 'cat'], ['cat', 'dog'], 'cat is number 2 there and number 1'),
    ],
)
def test_names_that_contradict_end_the_task(own, wanted, words):
    with pytest.raises(TaskError) as caught:
        match_class_names(own, wanted, SOURCE)
    assert code_of(caught.value) == 300004 and words in caught.value.sentence


def predict(folder, model_files, images, own, wanted):
    """Boxes of some images as (image, box, name), by a model whose checkpoint keeps the names `own`."""
    folder.mkdir()
    content = torch.load(model_files[0], weights_only=True)
    content['meta']['dataset_meta'] = {'classes': own}
    torch.save(content, folder / 'model.pth')
    write_image_list(map(str, images), folder)
    params = load_params(
        InferParams, {'class_names': wanted, 'model_params_path': [str(folder / 'model.pth'), str(model_files[1])]}
    )
    predict_shard(make_plan(params, 'index.tsv', len(images), str(folder), 0.2), folder, 0)
    lines = map(json.loads, shard_path(folder, 0).read_text().splitlines())
    return [(line[1], box, wanted[label]) for line in lines for box, label in zip(line[3], line[5])]


def test_boxes_have_the_names_that_they_were_trained_with(tmp_path, model_files, images, caplog):
    right = predict(tmp_path / 'right', model_files, images[:3], CLASS_NAMES, CLASS_NAMES)
    assert len({name for _, _, name in right}) > 1 and not caplog.records
    other = predict(tmp_path / 'other', model_files, images[:3], CLASS_NAMES, [CLASS_NAMES[2], *CLASS_NAMES[:2]])
    assert other == right
    assert 'another order' in caplog.text
    renamed = predict(tmp_path / 'renamed', model_files, images[:3], CLASS_NAMES, [*CLASS_NAMES[:2], 'vogel'])
    assert renamed == [(image, box, 'vogel' if name == CLASS_NAMES[2] else name) for image, box, name in right]
    assert f'{CLASS_NAMES[2]} is vogel' in caplog.text


@pytest.mark.parametrize(
    'wanted, words',
    [
        (['dog', 'cat', 'fish'], 'contradict the classes'),
        (['cat', 'dog'], 'trained for 3 classes (cat, dog, bird), and class_names'),
    ],
)
def test_a_task_whose_names_contradict_has_a_code(tmp_path, model_files, images, wanted, words):
    with pytest.raises(TaskError) as caught:
        predict(tmp_path / 'x', model_files, images[:1], CLASS_NAMES, wanted)
    assert code_of(caught.value) == 300004 and words in caught.value.sentence
