"""Decoding and letterboxing: the pixels of the config's own pipeline, whatever the loader; bad files do no harm."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config

from mmyolo.utils import register_all_modules
from tests.damaged_images import can_be_read, write_damaged
from tmi.families.image_size import pixel_transforms
from tmi.inference.image_list import write_image_list
from tmi.inference.images import ImageBatches, Letterbox, make_loader, read_image

from .sandbox import write_image


@pytest.fixture(scope='module')
def pipeline(model_files):
    register_all_modules()
    return Config.fromfile(model_files[1]).test_dataloader.dataset.pipeline


def test_pixels_and_metas_are_those_of_the_pipeline(pipeline, images):
    whole = Compose(pipeline)
    letterbox = Letterbox(pixel_transforms(pipeline))
    for index, path in enumerate(images[:5]):
        expected = whole({'img_path': str(path), 'img_id': 0})
        image, pixels = letterbox(index, str(path))
        assert torch.equal(torch.from_numpy(pixels).permute(2, 0, 1), expected['inputs'])
        meta = expected['data_samples'].metainfo
        assert image.meta['ori_shape'] == meta['ori_shape'] and image.meta['scale_factor'] == meta['scale_factor']
        assert image.meta['pad_param'].tolist() == meta['pad_param'].tolist()


def test_another_size_replaces_that_of_the_config(pipeline, images):
    _, pixels = Letterbox(pixel_transforms(pipeline, (128, 64)))(0, str(images[0]))
    assert pixels.shape == (64, 128, 3)
    assert pipeline[1]['scale'] == (96, 96)


def test_orientation_of_the_file_is_applied(tmp_path):
    upright = write_image(tmp_path / 'a.jpg', 40, 20, seed=0)
    data = upright.read_bytes()
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'  # orientation 6
    turned = tmp_path / 'b.jpg'
    turned.write_bytes(data[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + data[2:])
    assert np.array_equal(read_image(str(turned)), cv2.rotate(read_image(str(upright)), cv2.ROTATE_90_CLOCKWISE))


@pytest.mark.parametrize(
    'content, problem',
    [
        (None, 'No such file or directory'),
        (b'', 'the file is empty'),
        (b'this is text', 'not a readable image, or a damaged one'),
        (b'\x89PNG\r\n\x1a\n' + b'\0' * 40, 'not a readable image, or a damaged one'),
    ],
)
def test_unreadable_files_say_why(tmp_path, pipeline, content, problem):
    path = tmp_path / 'a.jpg'
    if content is not None:
        path.write_bytes(content)
    image, pixels = Letterbox(pixel_transforms(pipeline))(3, str(path))
    assert (image.index, image.path, image.meta, image.problem, pixels) == (3, str(path), None, problem, None)


def test_folder_in_place_of_an_image_says_so(tmp_path, pipeline):
    assert Letterbox(pixel_transforms(pipeline))(0, str(tmp_path))[0].problem == 'Is a directory'


@pytest.mark.parametrize(
    'error, problem',
    [
        (ZeroDivisionError('division by zero'), 'it cannot be prepared (ZeroDivisionError: division by zero)'),
        (cv2.error('bad size'), 'it cannot be prepared (error: bad size)'),
        (MemoryError(), 'its pixels need more memory than there is'),
    ],
)
def test_whatever_goes_wrong_with_an_image_costs_it_alone(tmp_path, pipeline, images, monkeypatch, error, problem):
    letterbox = Letterbox(pixel_transforms(pipeline))
    prepare = letterbox._transform

    def fail_at_one(results):
        if results['img_path'] == str(images[1]):
            raise error
        return prepare(results)

    monkeypatch.setattr(letterbox, '_transform', fail_at_one)
    found = [letterbox(index, str(path)) for index, path in enumerate(images[:3])]
    assert [image.problem for image, _ in found] == ['', problem, '']
    assert [pixels is None for _, pixels in found] == [False, True, False]


def test_every_kind_of_damage(tmp_path, pipeline):
    names = write_damaged(tmp_path)
    letterbox = Letterbox(pixel_transforms(pipeline))
    for index, name in enumerate(names):
        image, pixels = letterbox(index, str(tmp_path / name))
        assert (pixels is not None) == can_be_read(tmp_path / name) == (not image.problem), name
        assert pixels is None or pixels.shape == (96, 96, 3)


def _load(folder, pipeline, workers, batch_size=4):
    batches = ImageBatches(folder, 0, 1, Letterbox(pixel_transforms(pipeline)), batch_size)
    return list(make_loader(batches, workers, pin_memory=False))


@pytest.mark.parametrize('shared_memory', ['/dev/shm', '/nowhere'])
@pytest.mark.parametrize('workers', [1, 3])
def test_batches_do_not_depend_on_the_loader(tmp_path, monkeypatch, pipeline, images, workers, shared_memory):
    monkeypatch.setattr('tmi.inference.images.SHARED_MEMORY', shared_memory)
    write_image_list([*map(str, images[:9]), str(tmp_path / 'gone.jpg')], tmp_path)
    expected = _load(tmp_path, pipeline, 0)
    loaded = _load(tmp_path, pipeline, workers)
    assert [[image.index for image in batch.images] for batch in loaded] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert loaded[2].images[1].meta is None and loaded[2].groups[0][0] == [0]
    for batch, other in zip(loaded, expected):
        for (places, pixels), (other_places, other_pixels) in zip(batch.groups, other.groups):
            assert places == other_places
            assert np.array_equal(np.asarray(pixels), np.asarray(other_pixels))


def test_images_of_different_input_sizes_form_groups(tmp_path, pipeline, images):
    steps = pixel_transforms(pipeline)
    steps[1]['use_mini_pad'] = True
    write_image_list(map(str, images[:5]), tmp_path)
    (batch,) = make_loader(ImageBatches(tmp_path, 0, 1, Letterbox(steps), 8), 0, pin_memory=False)
    assert sorted(place for places, _ in batch.groups for place in places) == [0, 1, 2, 3, 4]
    assert len({pixels.shape[1:] for _, pixels in batch.groups}) == len(batch.groups) > 1
