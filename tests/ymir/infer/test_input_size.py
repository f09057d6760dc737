"""An img_size at which the network cannot work is rejected before the first image, with the sizes next to it."""

import copy

import pytest

from tmi.errors import TaskError
from tmi.families.image_size import pixel_transforms
from tmi.families.input_size import check_input_size, largest_stride
from tmi.inference.image_list import write_image_list
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.inference.plan import make_plan
from tmi.inference.worker import predict_shard
from tmi.zoo.weights import InferenceModel
from ymir.errors import code_of
from ymir.params import InferParams, MiningParams, load_params

from .sandbox import CLASS_NAMES


@pytest.fixture(scope='module')
def package(model_files):
    return read_package(InferenceModel(*model_files))


@pytest.fixture(scope='module')
def model(package):
    return build_model(package, CLASS_NAMES)


def run(cls, size, model_files, tmp_path):
    """What a predicting process does with the parameters of a task."""
    write_image_list(['/nowhere.jpg'], tmp_path)
    params = load_params(
        cls, {'class_names': CLASS_NAMES, 'img_size': size, 'model_params_path': [str(path) for path in model_files]}
    )
    predict_shard(make_plan(params, 'index.tsv', 1, '/', 0.1), tmp_path, 0)


@pytest.mark.parametrize('cls', [InferParams, MiningParams])
@pytest.mark.parametrize(
    'size, words',
    [
        (100, 'img_size: 100: each side must be a multiple of 32 for this model; next to it are 96 or 128'),
        ('100', 'next to it are 96 or 128'),
        ('33', 'next to it are 32 or 64'),
        ('96,100', 'next to it are 96 or 96,128'),
        ('100x96', 'next to it are 96 or 128,96'),
        ([641, 480], 'next to it are 640,480 or 672,480'),
        (8191, 'next to it are 8160 or 8192'),
        (-96, '32 to 8192'),
        ('0,96', '32 to 8192'),
        (16, '32 to 8192'),
        (8224, '32 to 8192'),
        ('96,96,96', '32 to 8192'),
        ('wide', '32 to 8192'),
        (96.5, '32 to 8192'),
        (True, '32 to 8192'),
        (float('nan'), '32 to 8192'),
    ],
)
def test_sizes_that_are_rejected(cls, size, words, model_files, tmp_path):
    with pytest.raises(TaskError) as caught:
        run(cls, size, model_files, tmp_path)
    assert code_of(caught.value) == 300001 and words in caught.value.sentence
    assert not [path for path in tmp_path.glob('rank_*') if path.suffix != '.heartbeat']


@pytest.mark.parametrize('size', [None, (32, 32), (96, 64), (640, 640)])
def test_sizes_that_fit(size, package, model):
    check_input_size(model, pixel_transforms(package.pipeline, size), size, package.source)


@pytest.mark.parametrize(
    'own, words', [((100, 100), '96 or 128'), ((96, 50), '96,32 or 96,64'), ((20, 20), 'img_size in config.yaml to 32')]
)
def test_the_size_of_the_package_itself(own, words, package, model):
    pipeline = copy.deepcopy(package.pipeline)
    for step in pipeline:
        if 'scale' in step:
            step['scale'] = own
    with pytest.raises(TaskError) as caught:
        check_input_size(model, pixel_transforms(pipeline), None, package.source)
    assert (
        code_of(caught.value) == 300001
        and words in caught.value.sentence
        and str(package.source) in caught.value.sentence
    )
    check_input_size(model, pixel_transforms(pipeline, (96, 96)), (96, 96), package.source)


def test_padding_to_the_stride_makes_any_size_fit(package, model, monkeypatch):
    monkeypatch.setattr(model.data_preprocessor, 'pad_size_divisor', 32)
    steps = [{'type': 'mmdet.Resize', 'scale': (100, 60), 'keep_ratio': True}]
    check_input_size(model, steps, None, package.source)
    assert largest_stride(model.bbox_head) == 32
