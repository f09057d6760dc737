"""Splitting off a validation set."""

import random

import pytest

from ymir_exc.errors import DatasetError
from ymir_local.datasets import with_validation
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage


@pytest.fixture
def images_of(tmp_path):
    """Gives images with one box of each of the classes."""

    def make(*classes, prefix=''):
        images = []
        for number, present in enumerate(classes):
            path = tmp_path / f'{prefix}{number}.jpg'
            path.write_bytes(f'image {number}'.encode())
            images.append(LabelledImage(path, 9, 9, tuple(LabelledBox(index, 0, 0, 1, 1) for index in present)))
        return tuple(images)

    return make


def split(images, share=0.1):
    return with_validation(Dataset(('a', 'b', 'c'), {'all': images}), share).splits


@pytest.mark.parametrize('count, expected', [(2, 1), (5, 1), (14, 1), (16, 2), (100, 10)])
def test_share(images_of, count, expected):
    images = images_of(*[[0]] * count)
    splits = split(images)
    assert len(splits['val']) == expected and len(splits['train']) == count - expected
    assert sorted(splits['train'] + splits['val'], key=images.index) == list(images)
    assert list(splits['train']) == sorted(splits['train'], key=images.index)


def test_names_and_order_do_not_count(images_of):
    first = images_of(*[[0]] * 40)
    second = list(images_of(*[[0]] * 40, prefix='other'))
    random.Random(0).shuffle(second)
    assert {image.path.read_bytes() for image in split(first)['val']} == {
        image.path.read_bytes() for image in split(second)['val']
    }


def test_no_class_leaves_training(images_of):
    images = images_of(*[[0]] * 18, [1], [2])
    for share in (0.1, 0.5, 0.9):
        assert {box.class_index for image in split(images, share)['train'] for box in image.boxes} == {0, 1, 2}


def test_class_that_must_leave_is_named(images_of):
    dataset = with_validation(
        Dataset(('a', 'b', 'c'), {'train': images_of([0], [1, 2]), 'val': (), 'test': images_of([0])}, ('w',))
    )
    assert list(dataset.splits) == ['train', 'val', 'test']
    assert [len(images) for images in dataset.splits.values()] == [1, 1, 1]
    assert dataset.warnings[0] == 'w' and "class 'a' is in the validation set only" in dataset.warnings[1]


def test_validation_that_is_there_stays(images_of):
    train, val = images_of([0], [1]), images_of([2], prefix='v')
    assert with_validation(Dataset(('a', 'b', 'c'), {'train': train, 'val': val})).splits == {
        'train': train,
        'val': val,
    }


def test_edges(images_of):
    single = with_validation(Dataset(('a',), {'all': images_of([0])}))
    assert (len(single.splits['train']), len(single.splits['val'])) == (1, 0) and 'single image' in single.warnings[0]
    with pytest.raises(DatasetError, match='no images to train on; it has 1 in val'):
        with_validation(Dataset(('a',), {'val': images_of([0])}))
    with pytest.raises(ValueError, match='between 0 and 1'):
        with_validation(Dataset(('a',), {'all': images_of([0])}), 1.0)
