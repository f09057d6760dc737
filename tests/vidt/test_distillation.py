"""A student that learns the tokens of a teacher."""

import math
from argparse import Namespace

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from tests.goldens import vidt_adapter as ours
from tests.vidt.public import seeded_batch, seeded_weights
from tests.vidt.recipe import recipe
from tests.vidt.test_initial_values import SPEC
from vidt.distillation import distillation_loss

TINY = {'embed_dims': 16, 'depths': (1, 1, 1, 1), 'num_heads': (1, 2, 4, 8)}


def features(number, tokens=4):
    generator = torch.Generator().manual_seed(number)
    return {
        'maps': [torch.randn(2, 8, 3, 5, generator=generator), torch.randn(2, 8, 2, 3, generator=generator)],
        'body_tokens': torch.randn(2, tokens, 8, generator=generator),
        'levels': [torch.randn(2, tokens, 8, generator=generator) for _ in range(3)],
    }


def test_loss_follows_the_formula():
    student, teacher = features(0), features(1)
    total = 0.0
    for mine, wanted in zip(student['maps'], teacher['maps']):
        lengths = [math.dist(a, b) for a, b in zip(*(x.permute(0, 2, 3, 1).reshape(-1, 8) for x in (mine, wanted)))]
        total += sum(lengths) / len(lengths)
    for mine, wanted in zip([student['body_tokens'], *student['levels']], [teacher['body_tokens'], *teacher['levels']]):
        lengths = [math.dist(a, b) for a, b in zip(mine.reshape(-1, 8), wanted.reshape(-1, 8))]
        total += sum(lengths) / len(lengths)
    assert float(distillation_loss(student, teacher)) == pytest.approx(math.sqrt(total), rel=1e-5)


def test_only_the_student_learns():
    student, teacher = features(0), features(1)
    for part in (student, teacher):
        part['body_tokens'].requires_grad_()
    distillation_loss(student, teacher).backward()
    assert student['body_tokens'].grad.abs().sum() > 0
    assert teacher['body_tokens'].grad is None


def test_other_tokens_are_told():
    with pytest.raises(ValueError, match='other levels than the student.*same number of detection tokens'):
        distillation_loss({**features(0), 'maps': []}, {**features(1, 5), 'maps': []})


def detector(**options):
    backbone = {'type': 'SwinWithRAM', 'arch': TINY, 'num_det_tokens': 4}
    return {'type': 'ViDT', 'backbone': backbone, 'num_classes': 3, 'num_decoder_layers': 1, **options}


def test_teacher_is_no_part_of_the_student(tmp_path):
    with DefaultScope.overwrite_default_scope('mmdet'):
        teacher = MODELS.build(detector())
        file = tmp_path / 'teacher.pth'
        torch.save({'model': ours.state(teacher), 'args': Namespace(lr=1e-4)}, file)
        criterion = {'type': 'ViDTCriterion', 'num_classes': 3}
        student = MODELS.build(
            {
                **detector(criterion=criterion),
                'type': 'DistilledViDT',
                'teacher': detector(),
                'teacher_checkpoint': file,
            }
        )
    assert student.state_dict().keys() == teacher.state_dict().keys()
    assert len(list(student.parameters())) == len(list(teacher.parameters()))
    student.train()
    assert not student._teacher[0].training
    sample = DetDataSample(
        gt_instances=InstanceData(bboxes=torch.tensor([[4.0, 4, 40, 30]]), labels=torch.tensor([1])),
        metainfo={'img_shape': (64, 64)},
    )
    images = torch.randn(1, 3, 64, 64)
    losses = student.loss(images, [sample])
    assert losses['loss_distil'] > 0.1
    student.load_state_dict(teacher.state_dict())
    # the root of what rounding leaves, as a network that learns computes in another order
    assert student.eval().loss(images, [sample])['loss_distil'] < 0.05 * losses['loss_distil']


@pytest.mark.slow
def test_published_loss():
    numbers = recipe('distillation')
    found = []
    for backbone in ('swin_nano', 'swin_tiny'):
        model = ours.build(dict(SPEC, backbone=backbone)).eval()
        ours.load(model, seeded_weights({key: list(value.shape) for key, value in ours.state(model).items()}))
        with torch.no_grad():
            found.append(model.forward_levels(*seeded_batch('pair'), features=True)['features'])
    assert float(distillation_loss(*found)) == pytest.approx(numbers['loss_distil'], rel=1e-4)
