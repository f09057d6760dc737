"""Outputs depend neither on the other images of a batch, nor on how they are computed, nor on what ran before."""

from pathlib import Path

import onnxruntime
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmyolo.utils.onnx_trace import trace_to_onnx
from tests.vidt.test_checkpoint import without_neck
from tests.vidt.test_network import detector
from vidt.losses import ViDTCriterion

OPTIONS = [{}, {'epff': True, 'iou_aware': True}, {'box_refine': False}]
DETECTORS = [*(lambda options=options: detector(**options) for options in OPTIONS), without_neck]
NAMES = ('pred_logits', 'pred_boxes')
detectors = pytest.mark.parametrize('make', DETECTORS, ids=['plain', 'fused', 'not refined', 'without neck'])


def images_of(*sizes, canvas=(160, 192)):
    generator = torch.Generator().manual_seed(0)
    images, mask = torch.zeros(len(sizes), 3, *canvas), torch.ones(len(sizes), *canvas, dtype=torch.bool)
    for index, (height, width) in enumerate(sizes):
        images[index, :, :height, :width] = torch.randn(3, height, width, generator=generator)
        mask[index, :height, :width] = False
    return images, mask


def pixels(boxes):
    """Boxes at the scale of an image of 640 x 640."""
    return boxes * 640


@detectors
def test_an_image_does_not_depend_on_the_others_of_its_batch(make):
    model = make().eval()
    images, mask = images_of((160, 192), (131, 100), (96, 192), (33, 51), (160, 40), (160, 192), (70, 70), (128, 128))
    with torch.no_grad():
        together = model.forward_levels(images, mask, 'last')
        assert not torch.allclose(together['pred_boxes'][0], together['pred_boxes'][5], atol=1e-3)
        for index in range(len(images)):
            alone = model.forward_levels(images[index : index + 1], mask[index : index + 1], 'last')
            for name, scale in zip(NAMES, (1, 640)):
                difference = (alone[name][0] - together[name][index]).abs().max() * scale
                assert difference < 1e-3, (index, name)
        whole = model.forward_levels(images[:1], None, 'last')
    assert (pixels(whole['pred_boxes'][0]) - pixels(together['pred_boxes'][0])).abs().max() < 1e-3


@detectors
def test_last_level_alone_is_that_of_all(make):
    model = make().eval()
    images, mask = images_of((160, 192), (131, 100))
    with torch.no_grad():
        every, last = (model.forward_levels(images, mask, levels) for levels in ('all', 'last'))
    assert last['aux'] == []
    for name in NAMES:
        assert torch.equal(every[name], last[name])
    with pytest.raises(ValueError, match="allowed are 'all' and 'last'"):
        model.forward_levels(images, mask, 'first')


def test_training_after_inference():
    """What is kept for a size serves gradients too; a network that learns computes the same, in another order."""
    model = detector()
    images, mask = images_of((160, 192), (131, 100))
    with torch.inference_mode():
        before = model.forward_levels(images, mask)
    after = model.forward_levels(images, mask)
    after['pred_logits'].sum().backward()
    for name, factor in zip(NAMES, (1, 640)):
        torch.testing.assert_close(after[name] * factor, before[name] * factor, rtol=0, atol=1e-3)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite_and_near(dtype):
    model = detector(epff=True, iou_aware=True)
    criterion = ViDTCriterion(model.num_classes)
    images, mask = images_of((160, 192), (131, 100))
    boxes = torch.tensor([[0.4, 0.5, 0.3, 0.4], [0.7, 0.3, 0.2, 0.2]])
    targets = [dict(labels=torch.tensor([1, 2]), boxes=boxes), dict(labels=torch.tensor([0]), boxes=boxes[:1])]
    exact = model.forward_levels(images, mask)
    with torch.autocast('cpu', dtype=dtype):
        outputs = model.forward_levels(images, mask)
        losses = criterion.weighted(criterion(outputs, targets))
        total = sum(value for name, value in losses.items() if 'loss' in name)
    assert outputs['pred_logits'].dtype == dtype and outputs['pred_boxes'].dtype == total.dtype == torch.float32
    total.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(gradients) > 100 and all(gradient.isfinite().all() for gradient in gradients)
    difference = (outputs['aux'][0]['pred_boxes'] - exact['aux'][0]['pred_boxes']).abs().mean()
    assert 0 < difference < (0.05 if dtype == torch.bfloat16 else 0.01)
    expected = criterion.weighted(criterion(exact, targets))
    for name in ('loss_ce_0', 'loss_bbox_0', 'loss_giou_0'):  # before rounding has moved places of later levels
        assert losses[name].item() == pytest.approx(expected[name].item(), rel=0.1, abs=0.01), name


def test_dropped_residuals_are_drawn_per_image():
    torch.manual_seed(0)
    model = detector()
    for stage in model.backbone.layers:
        for block in stage.blocks:
            block.drop_path = 0.5
    images, _ = images_of((64, 64), canvas=(64, 64))
    images = images.expand(4, -1, -1, -1)
    model.train()
    tokens = model.backbone(images).tokens
    assert not torch.allclose(tokens[0], tokens[1])
    model.eval()
    tokens = model.backbone(images).tokens
    torch.testing.assert_close(tokens[0], tokens[1])


def sample(height, width, boxes):
    """What the loader gives for an image that was resized to half."""
    objects = InstanceData(bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.zeros(len(boxes), dtype=torch.int64))
    meta = dict(img_shape=(height, width), ori_shape=(2 * height, 2 * width))
    return DetDataSample(gt_instances=objects, metainfo=meta)


@pytest.mark.parametrize('neck', [True, False], ids=['plain', 'without neck'])
def test_losses_and_predictions_in_the_form_of_mmdet(neck):
    model = detector(num_classes=4) if neck else without_neck()
    model.criterion = ViDTCriterion(4, background=not neck)
    images, mask = images_of((160, 192), (131, 100))
    samples = [sample(160, 192, [[10.0, 20, 110, 70]]), sample(131, 100, [])]
    losses = model(images, samples, mode='loss')
    targets = [
        dict(labels=torch.tensor([0]), boxes=torch.tensor([[60 / 192, 45 / 160, 100 / 192, 50 / 160]])),
        dict(labels=torch.zeros(0, dtype=torch.int64), boxes=torch.zeros(0, 4)),
    ]
    expected = model.criterion.weighted(model.criterion(model.forward_levels(images, mask), targets))
    assert losses.keys() == expected.keys()
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name], msg=name)

    with torch.no_grad():
        result = model(images, samples, mode='predict')[1].pred_instances
        boxes = model.forward_levels(images[1:, :, :131, :100], None, 'last')['pred_boxes'][0]  # without its padding
    assert len(result) == (12 * 4 if neck else 7)
    cx, cy, w, h = (boxes * torch.tensor([200, 262, 200, 262])).unbind(1)  # in pixels of the original image
    every = torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1)
    assert (result.bboxes[:, None] - every).abs().amax(2).amin(1).max() < 1e-3


class Network(torch.nn.Module):
    """What is exported: from images to logits and boxes."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        outputs = self.model.forward_levels(images, None, 'last')
        return outputs['pred_logits'], outputs['pred_boxes']


@pytest.mark.slow
@detectors
def test_onnx(make, tmp_path: Path):
    """One file serves every number and size of images."""
    network = Network(make()).eval()
    for name, parameter in network.named_parameters():  # a trained one does not make so much of rounding either
        if 'sampling_offsets.weight' in name or 'bbox_embed' in name:
            parameter.data *= 0.2
    axes = {'images': {0: 'n', 2: 'h', 3: 'w'}, 'logits': {0: 'n'}, 'boxes': {0: 'n'}}
    with torch.no_grad():
        images = torch.randn(2, 3, 96, 128)
        trace_to_onnx(network, images, tmp_path / 'a.onnx', ['logits', 'boxes'], opset=16, dynamic_axes=axes)
        session = onnxruntime.InferenceSession(tmp_path / 'a.onnx', providers=['CPUExecutionProvider'])
        for shape in ((2, 3, 96, 128), (1, 3, 64, 96), (3, 3, 137, 203)):
            images = torch.randn(shape)
            results = session.run(None, {'images': images.numpy()})
            for result, expected, factor in zip(results, network(images), (1, max(shape))):
                torch.testing.assert_close(torch.from_numpy(result) * factor, expected * factor, rtol=0, atol=1e-3)
