"""A training whose data hold every kind of damage: each image costs only itself."""

import os
import re

import pytest

from tests.damaged_images import KINDS, can_be_read, png_chunk, png_chunks, write_damaged
from ymir_exc.dataset_convert.image_header import ImageProblem, read_image_header
from ymir_exc.dataset_convert.image_size import any_image_size
from ymir_exc.skipped_images import read_skipped_images
from ymir_local.platform.labels import LabelledBox, LabelledImage
from ymir_local.platform.prepare import SOURCES_FILE, hyper_parameters, prepare_training

from .platform import TINY, check_result, read_monitor, run_start

pytestmark = pytest.mark.integration


def damaged_task(folder, names, **edits):
    """All images are in both sets, with a box of five pixels."""
    images = [LabelledImage(folder / name, 96, 64, (LabelledBox(k % 2, 0, 0, 5, 5),)) for k, name in enumerate(names)]
    return prepare_training(
        folder.parent / 'task', ['one', 'two'], images, images, hyper_parameters('training', {**TINY, **edits})
    )


@pytest.mark.slow
def test_a_training_uses_what_can_be_read(tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    names = write_damaged(folder, links=False)
    readable = {name for name in names if can_be_read(folder / name)}
    unreadable = set(names) - readable
    assert len(unreadable) > 40 and len(readable) > 40
    task = damaged_task(folder, names, max_epochs=1, samples_per_gpu=16, workers_per_gpu=2)
    done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    check_result(task)
    assert read_monitor(task)[:3] == (1.0, 2, 0)

    owners = dict(line.split('\t') for line in (task.work_dir / SOURCES_FILE).read_text().splitlines())
    skipped = read_skipped_images(str(task.out_dir))
    for part in ('training', 'validation'):
        found = {os.path.basename(owners[os.path.basename(image.path)]) for image in skipped if image.part == part}
        assert found == unreadable, part
    in_time = {name for name in names if not _has_header(folder / name)}
    late = len(unreadable - in_time)
    assert late > 10
    assert f'{late} images of the training set were skipped because they cannot be read' in done.stdout
    assert f'{late} of {len(names) - len(in_time)} images cannot be read and do not count' in done.stdout
    named = re.findall('Skipped an image of the training set, which cannot be read', done.stdout)
    assert len(named) == late


def _has_header(path):
    with any_image_size():
        try:
            return bool(read_image_header(str(path)))
        except ImageProblem:
            return False


def test_a_validation_set_in_which_nothing_can_be_read(tmp_path):
    """Noticed before the first epoch, not after it."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'good.jpg').write_bytes(KINDS['plain.jpg'])
    for share in range(4):  # whose ends look whole
        first, header, *_, last = png_chunks(KINDS['plain.png'])
        pixels = png_chunk(b'IDAT', b'junk' * (40 + share))
        (folder / f'junk_{share}.png').write_bytes(b''.join([first, header, pixels, last]))
    good, *cut = [
        LabelledImage(path, 96, 64, (LabelledBox(0, 0, 0, 5, 5),))
        for path in sorted(folder.iterdir(), key=lambda path: path.stem != 'good')
    ]
    task = prepare_training(tmp_path / 'task', ['one'], [good], cut, hyper_parameters('training', TINY))
    done = run_start(task, tmp_path)
    _, state, code, message = read_monitor(task)
    assert (state, code) == (4, 300003), done.stdout
    assert '4 images of the validation set were tried and none can be read: ' in message
    assert 'not a readable image, or a damaged one' in message
    assert not list((task.out_dir / 'models').glob('*.pth'))
    assert [image.part for image in read_skipped_images(str(task.out_dir))] == ['validation'] * 4
