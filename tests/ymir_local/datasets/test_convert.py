"""`ymir convert`."""

import json

import pytest
from typer.testing import CliRunner

from ymir_local.cli import app
from ymir_local.datasets import detect_format, read_dataset, write_dataset
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage


@pytest.fixture
def source(draw, tmp_path):
    """A COCO set of 10 images of one class."""
    images = tuple(
        LabelledImage(draw(f'drawn/{number} 图.jpg'), 64, 48, (LabelledBox(0, number, 2, 3, 4),))
        for number in range(10)
    )
    write_dataset(Dataset(('cat',), {'all': images}), tmp_path / 'source', 'coco')
    return tmp_path / 'source'


def run(*arguments):
    return CliRunner().invoke(app, ['convert', *map(str, arguments)])


@pytest.mark.parametrize('to', ['coco', 'voc', 'yolo', 'ymir'])
def test_every_format(source, tmp_path, to):
    result = run(source, tmp_path / 'out', '--to', to, '--from', 'coco', '--val', '0.2', '--json', '--quiet')
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said['images'], said['boxes'], said['splits'], said['warnings']) == (10, 10, {'train': 8, 'val': 2}, [])
    assert detect_format(tmp_path / 'out') == to
    boxes = {image.path.read_bytes(): image.boxes for image in read_dataset(tmp_path / 'out').images()}
    assert boxes == {image.path.read_bytes(): image.boxes for image in read_dataset(source).images()}


@pytest.mark.parametrize('option, linked', [('--link', True), ('--copy', False)])
def test_link_or_copy(source, tmp_path, option, linked):
    assert run(source, tmp_path / 'out', '--to', 'yolo', option).exit_code == 0
    target = next((tmp_path / 'out').rglob('0 图.jpg'))
    assert target.samefile(source / 'images/0 图.jpg') == linked


def test_mistakes(source, tmp_path):
    for arguments, message in (
        ((tmp_path / 'none', tmp_path / 'a', '--to', 'voc'), 'does not exist'),
        ((source, source, '--to', 'voc'), 'is not empty, so nothing was written'),
        ((source, source / 'new', '--to', 'voc'), 'lies within'),
        ((source, tmp_path / 'b', '--to', 'pascal'), "'pascal' is not one of"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2 and message in ' '.join(result.output.split()), result.output


def test_nothing_is_left_of_a_conversion_that_failed(source, tmp_path, monkeypatch):

    def reject(*_):
        raise OSError(28, 'No space left on device')

    dataset = read_dataset(source)
    monkeypatch.setattr('ymir_local.datasets.image_writer.copy', reject)
    with pytest.raises(OSError, match='No space left'):
        write_dataset(dataset, tmp_path / 'out', 'yolo')
    assert not (tmp_path / 'out').exists()
