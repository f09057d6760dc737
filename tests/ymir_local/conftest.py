import sys
from pathlib import Path

import pytest
import yaml

from ymir_local.datasets import write_dataset
from ymir_local.demo.sample_data import generate
from ymir_local.platform.labels import Dataset


@pytest.fixture
def images(tmp_path):
    """Six small labelled images of three classes."""
    return generate(tmp_path / 'source', num_images=6, num_classes=3, size_range=(64, 96), objects_range=(1, 2))


@pytest.fixture
def class_names():
    return ['target', 'crate', 'star']


@pytest.fixture
def fake(tmp_path):
    """Options that run `fake_executor.py` with templates of its own."""
    img_man = tmp_path / 'img-man'
    img_man.mkdir()
    common = {'crash_code': 0, 'exit_status': 0, 'seconds': 0.0, 'child_file': '', 'broken_monitor': 0}
    templates = {
        'training': dict(common, model_name='small', max_epochs=2, metric=0.5, curves=0, export_format='ark:raw'),
        'mining': dict(common, mining_algorithm='random'),
        'infer': dict(common, conf_threshold=0.2),
    }
    for name, values in templates.items():
        (img_man / f'{name}-template.yaml').write_text(yaml.safe_dump(values))
    executor = Path(__file__).with_name('fake_executor.py')
    return ['--executor', f'{sys.executable} {executor}', '--img-man', str(img_man), '--gpus', '0']


@pytest.fixture
def coco_folder(tmp_path, images, class_names):
    """The six images as a COCO folder."""
    dataset = Dataset(tuple(class_names), {'all': tuple(images)})
    write_dataset(dataset, tmp_path / 'coco', 'coco')
    return tmp_path / 'coco'
