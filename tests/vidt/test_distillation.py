"""A student that learns the tokens of a teacher."""

import math
import pickle
from argparse import Namespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from tests.goldens import vidt_adapter as ours
from tests.vidt.public import seeded_batch, seeded_weights
from tests.vidt.recipe import recipe
from tests.vidt.test_initial_values import SPEC
from vidt.checkpoint import to_public
from vidt.distillation import distillation_loss
from vidt.models import ViDT

CRITERION = {'type': 'ViDTCriterion', 'num_classes': 3}
SAMPLE = DetDataSample(
    gt_instances=InstanceData(bboxes=torch.tensor([[4.0, 4, 40, 30]]), labels=torch.tensor([1])),
    metainfo={'img_shape': (64, 64)},
)
BATCH = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), [SAMPLE]


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


def detector(number=0, tokens=4, width=16, **options):
    torch.manual_seed(number)
    arch = {'embed_dims': width, 'depths': (1, 1, 1, 1), 'num_heads': (1, 2, 4, 8)}
    backbone = {'type': 'SwinWithRAM', 'arch': arch, 'num_det_tokens': tokens}
    return ViDT(backbone, **{'num_classes': 3, 'num_decoder_layers': 1, **options})


def write(path, model):
    """Write a public file, with the class of parsed options in it."""
    torch.save({'model': to_public(model.state_dict()), 'args': Namespace(lr=1e-4)}, path)
    return str(path)


def test_teacher_is_no_part_of_the_student(tmp_path):
    """It may have other classes and a wider backbone; it stays as it is."""
    teacher = detector(1, width=32, num_classes=5)
    file = write(tmp_path / 'teacher.pth', teacher)
    plain = detector(criterion=CRITERION).train()
    student = detector(criterion=CRITERION, teacher=file).train()
    assert student.state_dict().keys() == plain.state_dict().keys()
    assert len(list(student.parameters())) == len(list(plain.parameters()))
    (taught,) = student._teacher
    assert not taught.training and not any(parameter.requires_grad for parameter in taught.parameters())
    assert all(torch.equal(value, teacher.state_dict()[name]) for name, value in taught.state_dict().items())
    assert 'loss_distil' not in plain.loss(*BATCH)
    loss = student.loss(*BATCH)['loss_distil']
    assert loss > 0.1
    loss.backward()
    assert student.tgt_proj[0].weight.grad.abs().sum() > 0

    same = detector(criterion=CRITERION, teacher=write(tmp_path / 'same.pth', plain)).eval()
    same.load_state_dict(plain.state_dict())
    # the root of what rounding leaves, as a network that learns computes in another order
    assert same.loss(*BATCH)['loss_distil'] < 0.05 * loss


@pytest.mark.parametrize(
    'options, words',
    [
        ({'tokens': 5}, 'has num_det_tokens=5, the model that learns from it num_det_tokens=4: both need the same'),
        ({'num_decoder_layers': 2, 'epff': True}, 'has num_decoder_layers=2, epff=True, the model'),
    ],
)
def test_a_teacher_with_other_tokens_is_told(options, words, tmp_path):
    file = write(tmp_path / 'teacher.pth', detector(**options))
    with pytest.raises(ValueError, match=f'teacher.pth {words}'):
        detector(teacher=file)


class Code:
    """Pickles to a call."""

    def __reduce__(self):
        return print, ('executed',)


def test_a_teacher_that_is_none_is_told(tmp_path, capsys):
    file = tmp_path / 'teacher.pth'
    torch.save({'state_dict': {'conv.weight': torch.zeros(3)}}, file)
    with pytest.raises(ValueError, match='teacher.pth: these weights are not those of a ViDT'):
        detector(teacher=file)
    torch.save({'state_dict': detector().state_dict(), 'args': Code()}, file)
    with pytest.raises(pickle.UnpicklingError):
        detector(teacher=file)
    assert 'executed' not in capsys.readouterr().out


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
