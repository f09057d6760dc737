"""`ymir report`: where it writes, and what it rejects."""

import json

import pytest

from tests.ymir_local.cli.conftest import run_in_process
from ymir_local.datasets import write_dataset
from ymir_local.platform.labels import Dataset


@pytest.fixture
def labels(tmp_path, images, class_names):
    write_dataset(Dataset(tuple(class_names), {'all': tuple(images)}), tmp_path / 'labels', 'voc')
    return tmp_path / 'labels'


def test_the_page_of_a_run_and_of_its_out(inference, labels, tmp_path):
    for run in (inference.work_dir, inference.out_dir):
        code, text, errors = run_in_process('report', run, '--labels', labels, '--json')
        page = inference.work_dir / 'report.html'
        assert code == 0 and json.loads(text) == {'ok': True, 'file': str(page), 'bytes': page.stat().st_size}, errors
        assert '<dd id="map">1.000</dd>' in page.read_text(encoding='utf-8')
        page.unlink()


def test_a_folder_as_file_gets_the_page(inference, tmp_path):
    (tmp_path / 'pages').mkdir()
    assert run_in_process('report', inference.work_dir, '--out', tmp_path / 'pages')[0] == 0
    assert (tmp_path / 'pages' / 'report.html').is_file()


def test_what_is_rejected(inference, training, labels, tmp_path, images):
    empty = tmp_path / 'empty'
    empty.mkdir()
    for arguments, told in (
        ([empty], 'is not a run'),
        ([tmp_path / 'nowhere'], 'is not a folder'),
        ([training.work_dir, '--labels', labels], 'holds no infer-result.json'),
        ([inference.work_dir, '--labels', images[0].path.parent], 'no labelled object'),
        ([inference.work_dir, '--labels', empty], 'no data set'),
        ([inference.work_dir, '--out', images[0].path / 'x.html'], 'cannot be written'),
    ):
        code, text, errors = run_in_process('report', *arguments)
        assert (code, text) == (2, '') and told in errors, arguments
    assert not list(tmp_path.glob('*.html'))


def test_warnings_of_the_labels_are_told(inference, labels, tmp_path):
    (labels / 'Annotations' / 'other.xml').write_text('<annotation></annotation>')
    assert 'other.jpg: the image does not exist' in run_in_process('report', inference.work_dir, '--labels', labels)[2]
