"""The detectors against the numbers of the published implementation for the same weights, images and objects."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from tests.goldens import vidt_adapter as ours
from tests.mmyolo.goldens.seeded import sample
from tests.vidt.public import CASES, seeded_batch, seeded_targets, seeded_weights

NUMBERS = sorted((Path(__file__).parent / 'numbers').glob('vidt_*.json.gz'))


@pytest.fixture(scope='module', params=NUMBERS, ids=lambda path: path.name[: -len('.json.gz')])
def detector(request):
    """The golden numbers and our detector with the weights they were made with."""
    golden = json.loads(gzip.decompress(request.param.read_bytes()))
    model = ours.build(golden['spec'])
    shapes = {key: list(value.shape) for key, value in ours.state(model).items()}
    assert shapes == golden['state']
    assert sum(parameter.numel() for parameter in model.parameters()) == golden['parameters']
    ours.load(model, seeded_weights(shapes, golden['spec']['with_box_refine']))
    return golden, model.eval()


def check_tensor(tensor, numbers, what):
    assert list(tensor.shape) == numbers['shape'], what
    atol = 2e-4 * max(numbers['absmax'], 1e-3)
    values = torch.tensor(numbers['values']).double()
    torch.testing.assert_close(sample(tensor, len(values)), values, rtol=0, atol=atol, msg=what)
    assert tensor.double().std().item() == pytest.approx(numbers['std'], rel=2e-4), what


@pytest.mark.parametrize('case', ['odd', 'square'])
def test_outputs_of_every_level(detector, case):
    golden, model = detector
    images, mask = seeded_batch(case)
    with torch.no_grad():
        outputs = ours.forward(model, images, mask)
    levels = [*outputs['aux'], outputs]
    for index, (level, numbers) in enumerate(zip(levels, golden['cases'][case]['levels'], strict=True)):
        for name in numbers:
            check_tensor(level[name], numbers[name], f'level {index} {name}')
    for index, numbers in enumerate(golden['cases'][case].get('enc_tokens', ())):
        check_tensor(outputs['enc_tokens'][index], numbers, f'enc_tokens {index}')
    found = ours.postprocess(golden['spec'], outputs, torch.tensor(CASES[case][2]))
    for result, numbers in zip(found, golden['cases'][case]['results'], strict=True):
        assert result['scores'][:5].tolist() == pytest.approx(numbers['scores'], rel=5e-4)
        assert result['labels'][:5].tolist() == numbers['labels']
        torch.testing.assert_close(result['boxes'][:5], torch.tensor(numbers['boxes']), rtol=0, atol=0.3)


def test_losses_and_gradients(detector):
    golden, model = detector
    spec, numbers = golden['spec'], golden['targets']['full']
    targets = seeded_targets(numbers['counts'], spec['num_classes'], spec['token_label'] or spec['with_vector'])
    outputs = ours.forward(model, *seeded_batch('pair'))
    losses, weights = ours.losses(spec, model, outputs, targets), ours.weights(spec)
    assert losses.keys() == numbers['losses'].keys()
    for name, value in numbers['losses'].items():
        assert losses[name].item() == pytest.approx(value, rel=5e-4, abs=1e-3), name
    total = sum(weights[name] * value for name, value in losses.items() if name in weights)
    assert total.item() == pytest.approx(numbers['total'], rel=5e-4)

    model.zero_grad()
    total.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert sorted(name for name, _ in model.named_parameters() if name not in gradients) == numbers['idle']
    # what never gets a gradient asks for none: several processes would wait for it
    assert sorted(name for name, value in model.named_parameters() if not value.requires_grad) == numbers['idle']
    largest = max(numbers['grads'].values())
    for name, gradient in gradients.items():
        expected = numbers['grads'][name]
        assert gradient.double().norm().item() == pytest.approx(expected, rel=5e-3, abs=5e-8 * largest), name
