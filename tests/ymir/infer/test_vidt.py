"""ViDT in inference and mining: the boxes of the model itself, whatever the batch; files of other projects."""

import argparse
import itertools

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose

from mmyolo.registry import TRANSFORMS
from tests.tools.running import load_tool, run_tool
from tests.ymir.infer.sandbox import write_image
from tests.ymir.vidt_models import random_model, small_config, write_package, write_public
from tmi.checkpoint_io import class_names_of, load_checkpoint
from tmi.errors import ModelError
from tmi.families import family_of
from tmi.families.vidt_checkpoint import config_of, read_checkpoint
from tmi.inference.images import ImageBatches, Letterbox
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.inference.worker import predict_batch
from tmi.zoo.weights import InferenceModel
from vidt.coco import CLASS_NAMES as COCO_NAMES
from vidt.coco import NUMBERS
from ymir.errors import code_of

CLASSES = ['cat', 'dog', 'bird']
CPU = torch.device('cpu')
MODELS = ['vidt_nano', 'vidt_plus_nano', 'vidt_wo_neck_nano']
SHAPES = ((120, 80), (80, 120), (96, 96), (61, 200), (120, 80), (31, 17))  # width, height


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    return [write_image(folder / f'{place}.png', *shape, seed=place) for place, shape in enumerate(SHAPES)]


@pytest.fixture(scope='module', params=MODELS)
def files(request, tmp_path_factory):
    return write_package(tmp_path_factory.mktemp(request.param), small_config(request.param))


def make_predictor(files, score_thr=0.0, names=CLASSES):
    package = read_package(InferenceModel(*files, *[None] * (2 - len(files))))
    model = build_model(package, names)
    family = package.family
    return family.predictor(model, CPU, score_thr, 0.65), family.pixel_transforms(package.pipeline)


def run(predictor, steps, images, batch_size, tmp_path):
    """The predictions of images by the path of a task."""
    batches = ImageBatches(tmp_path, 0, 1, Letterbox(steps), batch_size)
    listed = [(index, str(path)) for index, path in enumerate(images)]
    found = []
    for first in range(0, len(listed), batch_size):
        batch = batches._load(listed[first : first + batch_size])
        found += predict_batch(predictor, batch, batch_size)[0]
    return found


def test_boxes_are_those_of_the_model_itself(files, images):
    """`model.test_step`, by which trainings validate, gives the same before clipping, for images of several sizes."""
    predictor, steps = make_predictor(files)
    config = small_config(files[0].parent.name.rstrip('0123456789'))
    pipeline = Compose(
        [TRANSFORMS.build(step) for step in config.test_dataloader.dataset.pipeline if 'Annot' not in step.type]
    )
    letterbox = Letterbox(steps)
    samples = [pipeline({'img_path': str(path), 'img_id': 0}) for path in images]
    batch = {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}
    for path, sample in zip(images, predictor.model.test_step(batch), strict=True):
        image, pixels = letterbox(0, str(path))
        (found,) = predictor.predict(torch.from_numpy(pixels)[None], [image.meta])
        expected = sample.pred_instances
        order = expected.scores.argsort(descending=True, stable=True)
        height, width = image.meta['ori_shape']
        boxes = expected.bboxes[order].clamp(min=0).minimum(torch.tensor([width, height] * 2))
        assert len(found.scores) == len(order) > 5 and found.finite
        torch.testing.assert_close(found.scores, expected.scores[order], rtol=0, atol=1e-6)
        torch.testing.assert_close(found.boxes, boxes, rtol=0, atol=1e-3)
        assert len(set(found.scores.tolist())) > 5 and found.boxes.std(0).min() > 0


def test_boxes_do_not_depend_on_the_batch(files, images, tmp_path):
    predictor, steps = make_predictor(files)
    predictor.max_images = 4  # as on a GPU
    alone, together = (run(predictor, steps, images, size, tmp_path) for size in (1, 8))
    for one, other in zip(alone, together, strict=True):
        assert len(one.boxes) == len(other.boxes) > 5
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=2e-3)  # written to a thousandth of a pixel


def test_images_keep_their_aspect(files):
    _, steps = make_predictor(files)
    letterbox = Letterbox(steps)
    shapes = [
        letterbox.prepare(0, '', np.zeros((*size, 3), np.uint8))[1].shape[:2]
        for size in ((64, 64), (48, 96), (200, 20), (1, 999))
    ]
    assert shapes == [(64, 64), (48, 96), (96, 16), (16, 96)]


def test_boxes_below_the_threshold_are_left_out(files, images):
    predictor, steps = make_predictor(files)
    image, pixels = Letterbox(steps)(0, str(images[0]))
    pixels = torch.from_numpy(pixels)[None]
    (every,) = predictor.predict(pixels, [image.meta])
    predictor.score_thr = float(every.scores[3])
    assert len(predictor.predict(pixels, [image.meta])[0].scores) == 3
    assert len(predictor.predict_any(pixels, [image.meta])[0].scores) == len(every.scores)


def test_evidence_is_of_the_boxes(files, images):
    predictor, steps = make_predictor(files)
    letterbox = Letterbox(steps)
    seen = []
    for path in images[:2]:
        image, pixels = letterbox(0, str(path))
        pixels = torch.from_numpy(pixels)[None]
        (found,), (evidence,) = (call(pixels, [image.meta]) for call in (predictor.predict, predictor.inspect))
        torch.testing.assert_close(evidence.detections.boxes, found.boxes)
        scores = evidence.class_scores[torch.arange(len(found.labels)), found.labels]
        torch.testing.assert_close(scores, found.scores)
        assert evidence.class_scores.shape == (len(found.scores), 3) and (evidence.support == 1).all()
        assert ((evidence.spread >= 0) & (evidence.spread <= 1)).all()
        assert bool(evidence.spread.max() > 0.01) != bool(predictor.model.background)  # there is no level before
        seen.append(evidence.embedding)
    assert seen[0].isfinite().all() and seen[0].shape == seen[1].shape and not torch.allclose(*seen, atol=1e-2)


def test_class_maps_hold_the_best_box_of_each_place(files, images):
    predictor, steps = make_predictor(files)
    image, pixels = Letterbox(steps)(0, str(images[0]))
    pixels = torch.from_numpy(pixels)[None]
    _, (maps,) = predictor.inspect_once(pixels, [image.meta], True)
    outputs = predictor.model.forward_levels(predictor.network_input(pixels))
    scores = predictor._class_scores(outputs['pred_logits'])[0]
    x, y, w, h = outputs['pred_boxes'][0].unbind(1)
    for row, column in itertools.product(range(maps.shape[3]), range(maps.shape[4])):
        left, right = column / maps.shape[4], (column + 1) / maps.shape[4]
        top, bottom = row / maps.shape[3], (row + 1) / maps.shape[3]
        covers = (x - w / 2 < right) & (x + w / 2 > left) & (y - h / 2 < bottom) & (y + h / 2 > top)
        expected = (scores * covers[:, None]).amax(0)
        torch.testing.assert_close(maps[0, 0, :, row, column], expected, rtol=0, atol=1e-6)


def test_weights_that_are_not_finite_are_told(files, images):
    predictor, steps = make_predictor(files)
    image, pixels = Letterbox(steps)(0, str(images[0]))
    for parameter in predictor.model.class_embed.parameters():
        parameter.data.fill_(torch.nan)
    (found,) = predictor.predict(torch.from_numpy(pixels)[None], [image.meta])
    assert not found.finite and not len(found.scores)
    (evidence,) = predictor.inspect(torch.from_numpy(pixels)[None], [image.meta])
    assert not evidence.detections.finite and evidence.embedding.isfinite().all()


@pytest.mark.parametrize('name, zipped', [('vidt_nano', False), ('vidt_plus_nano', True), ('vidt_wo_neck_nano', True)])
def test_a_public_file_is_a_model_by_itself(name, zipped, images, tmp_path):
    """No config, no class names, outputs by number of category: its shapes tell the rest."""
    config = small_config(name, num_classes=91, layers=2)
    model = random_model(config)
    with torch.no_grad():  # the two decoder levels of a file need not be six
        for head in model.class_embed if name != 'vidt_wo_neck_nano' else ():
            head.bias[0] = 9.0  # the number of no category would win everywhere
    file = write_public(tmp_path / 'checkpoint.pth', model, zipped)
    predictor, _ = make_predictor([file], names=list(COCO_NAMES))
    assert predictor.model.num_classes == 80
    assert name == 'vidt_wo_neck_nano' or len(predictor.model.transformer.decoder.layers) == 2
    steps = family_of(config.model).pixel_transforms(config.test_dataloader.dataset.pipeline)
    image, pixels = Letterbox(steps)(0, str(images[0]))
    pixels = torch.from_numpy(pixels)[None]
    (found,) = predictor.predict(pixels, [image.meta])
    with torch.no_grad():
        outputs = model.forward_levels(predictor.network_input(pixels))
    logits = outputs['pred_logits'][0]
    if name == 'vidt_wo_neck_nano':  # one class of each token, or none; the last output is that of no object
        expected = logits[:, [*NUMBERS, 91]].softmax(1)[:, :-1].amax(1)
    else:
        expected = logits.sigmoid()[:, NUMBERS].flatten()
    expected = expected.sort(descending=True)[0]
    torch.testing.assert_close(found.scores, expected[: len(found.scores)], rtol=0, atol=1e-6)


FORMS = [  # model, classes, data set, classes that are read
    ('vidt_nano', 91, 'coco', 80),
    ('vidt_nano', 91, 'voc', 91),
    ('vidt_wo_neck_nano', 91, 'coco', 80),
    ('vidt_wo_neck_nano', 90, 'coco', 90),
]


@pytest.mark.parametrize('name, classes, data, expected', FORMS)
def test_the_converter_and_a_task_read_the_same(name, classes, data, expected, tmp_path):
    config = small_config(name, num_classes=classes)
    args = argparse.Namespace(dataset_file=data)
    file = write_public(tmp_path / 'vidt.pth', random_model(config), args=args)
    load_tool('model_converters/vidt_to_mmyolo').main(['--src', str(file), '--dst', str(tmp_path / 'converted.pth')])
    read, converted = (read_checkpoint(load_checkpoint(path)) for path in (file, tmp_path / 'converted.pth'))
    assert read['state_dict'].keys() == converted['state_dict'].keys()
    assert all(torch.equal(value, converted['state_dict'][key]) for key, value in read['state_dict'].items())
    assert class_names_of(read) == class_names_of(converted) == (list(COCO_NAMES) if expected == 80 else None)
    assert config_of(read).model.num_classes == expected


@pytest.mark.slow  # a process that imports everything
def test_the_converter_as_a_command(tmp_path):
    """Its weights load into a model of 80 classes, whose outputs are those of the file for each category."""
    model = random_model(small_config(num_classes=91, layers=2))
    file, target = write_public(tmp_path / 'vidt_nano_50.pth', model), tmp_path / 'vidt.pth'
    done = run_tool('model_converters/vidt_to_mmyolo', '--src', file, '--dst', target)
    assert f'{target}: ' in done.stdout
    converted = load_checkpoint(target)
    assert converted['meta']['dataset_meta']['classes'] == tuple(COCO_NAMES)
    ours = random_model(small_config(num_classes=80, layers=2), seed=1)
    loaded = ours.load_state_dict(converted['state_dict'], strict=False)
    assert not loaded.unexpected_keys and all(name.endswith('relative_position_index') for name in loaded.missing_keys)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected, outputs = (detector.forward_levels(images)['pred_logits'] for detector in (model, ours))
    torch.testing.assert_close(outputs, expected[..., list(NUMBERS)])
    assert NUMBERS[COCO_NAMES.index('toothbrush')] == 90 and NUMBERS[COCO_NAMES.index('stop sign')] == 13


class Code:
    """Pickles to a call."""

    def __reduce__(self):
        return print, ('executed',)


def test_code_in_a_public_file_is_refused(tmp_path, capsys):
    file = write_public(tmp_path / 'vidt_nano_50.pth', random_model(small_config()), args=Code())
    with pytest.raises(ModelError, match='could run code') as caught:
        read_package(InferenceModel(file, None))
    assert code_of(caught.value) == 300004 and 'executed' not in capsys.readouterr().out


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda state: {'backbone.det_token': torch.zeros(1, 5, 7)}, 'these weights are not those of a ViDT'),
        (lambda state: {**state, 'backbone.det_token': torch.zeros(3)}, 'these weights are not those of a ViDT'),
        (lambda state: {k: v for k, v in state.items() if 'cross_attn' not in k}, 'tensors are missing'),
    ],
)
def test_public_files_with_something_else_are_told(change, words, tmp_path):
    model = random_model(small_config())
    file = tmp_path / 'a.pth'
    torch.save({'model': change(model.state_dict())}, file)
    with pytest.raises(ModelError, match=words):
        build_model(read_package(InferenceModel(file, None)), CLASSES)


def test_a_package_builds_nothing_but_vidt(tmp_path):
    config = small_config()
    for place, value in itertools.chain(
        [('criterion', {'type': 'mmdet.DeltaXYWHBBoxCoder'})],
        [('backbone', {'type': 'mmdet.ResNet', 'depth': 50})],
        [('data_preprocessor', {'type': 'mmengine.Visualizer'})],
    ):
        changed = small_config()
        changed.model[place] = value
        files = write_package(tmp_path / place, config)
        changed.dump(files[1])
        with pytest.raises(ModelError, match=f'model.{place}.*a part of ViDT'):
            read_package(InferenceModel(*files))


def test_a_package_may_not_name_a_teacher(tmp_path):
    """Which is a file."""
    config = small_config()
    files = write_package(tmp_path, config)
    config.model.teacher = '/nowhere/teacher.pth'
    config.dump(files[1])
    with pytest.raises(ModelError, match='has teacher=.*may not name files'):
        read_package(InferenceModel(*files))
