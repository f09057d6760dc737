"""A data set through all formats, with awkward names, has the same boxes."""

import random

import pytest

from ymir_local.datasets import detect_format, read_dataset, write_dataset
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage

NAMES = ('person', '叉车', 'fork lift')


@pytest.fixture
def dataset(draw, tmp_path):
    generator = random.Random(1)
    splits = {}
    for split, count in (('train', 6), ('val', 3)):
        images = []
        for number in range(count):
            width, height = generator.randint(40, 900), generator.randint(40, 700)
            path = draw(
                f'source/{split} 图/{"a b " if number == 0 else ""}{number}.{"png" if number % 2 else "jpg"}',
                width,
                height,
            )
            boxes = []
            for _ in range(number):  # the first image of each split is empty
                x, y = generator.randrange(width), generator.randrange(height)
                boxes.append(
                    LabelledBox(
                        generator.randrange(3), x, y, generator.randint(1, width - x), generator.randint(1, height - y)
                    )
                )
            images.append(LabelledImage(path, width, height, tuple(boxes)))
        splits[split] = tuple(images)
    return Dataset(NAMES, splits, (), tmp_path / 'source')


def content(dataset):
    """By bytes of the image: the names differ from format to format where two splits have the same ones."""
    return dataset.class_names, {
        split: {image.path.read_bytes(): (image.width, image.height, image.boxes) for image in images}
        for split, images in dataset.splits.items()
    }


@pytest.mark.parametrize('link', [False, True])
def test_coco_voc_yolo_ymir_coco(dataset, tmp_path, link):
    before = content(dataset)
    for number, name in enumerate(('coco', 'voc', 'yolo', 'ymir', 'coco')):
        folder = tmp_path / f'{number} 数据' / name
        assert write_dataset(dataset, folder, name, link=link) == ()
        assert detect_format(folder) == name
        dataset = read_dataset(folder)
        assert dataset.warnings == ()
        assert content(dataset) == before


@pytest.mark.parametrize('name', ['coco', 'voc', 'yolo'])
def test_without_splits(dataset, tmp_path, name):
    dataset = Dataset(NAMES, {'all': dataset.images()})
    write_dataset(dataset, tmp_path / 'out', name)
    assert content(read_dataset(tmp_path / 'out')) == content(dataset)


def test_difficult_survives_where_the_format_has_it(dataset, tmp_path, draw):
    image = LabelledImage(
        draw('d.jpg'), 64, 48, (LabelledBox(1, 2, 3, 4, 5, difficult=True), LabelledBox(0, 0, 0, 9, 9))
    )
    one = Dataset(NAMES, {'all': (image,)})
    for name in ('voc', 'coco'):
        assert write_dataset(one, tmp_path / name, name) == ()
        assert content(read_dataset(tmp_path / name)) == content(one)
    warnings = write_dataset(one, tmp_path / 'yolo', 'yolo')
    assert len(warnings) == 1 and 'difficult' in warnings[0]
