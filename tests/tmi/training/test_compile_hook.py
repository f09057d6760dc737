"""`compile: true`: the network compiled at the first batch, or one sentence and a training without."""

import copy
import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from tmi.families import family_of
from tmi.training.compile_hook import MAX_REASON, CompileHook
from tmi.zoo.models import find_model

SIDE = 64


def make_runner(name='yolov8_n'):
    """What the hook uses of a runner, with a model of two classes."""
    register_all_modules()
    torch.manual_seed(0)
    cfg = Config.fromfile(find_model(name).config)
    family = family_of(cfg.model)
    family.set_classes(cfg.model, 2)
    model = MODELS.build(cfg.model).train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    return SimpleNamespace(model=model, cfg=cfg, optim_wrapper=wrapper, logger=MMLogger.get_instance('compile'))


def make_batch(count=2):
    inputs = torch.randint(0, 255, (count, 3, SIDE, SIDE), dtype=torch.uint8)
    boxes = torch.tensor([[index, 0, 8, 8, 40, 48] for index in range(count)], dtype=torch.float)
    return {'inputs': inputs, 'data_samples': {'bboxes_labels': boxes}}


def losses(runner, batch):
    """The losses of a batch, without a trace in the statistics of norms."""
    before = copy.deepcopy(runner.model.state_dict())
    data = runner.model.data_preprocessor(copy.deepcopy(batch), training=True)
    values = {name: float(loss.detach()) for name, loss in runner.model(**data, mode='loss').items()}
    runner.model.load_state_dict(before)
    return values


class Backend:
    """Counts the graphs that it gets and the calls of what it makes of them."""

    def __init__(self):
        self.graphs = self.calls = 0

    def __call__(self, graph, inputs):
        self.graphs += 1

        def call(*arguments):
            self.calls += 1
            return graph(*arguments)

        return call


@pytest.fixture(autouse=True)
def dynamo():
    """Forget what other tests compiled, and the setting that the hook makes for the rest of a process."""
    before = torch._dynamo.config.suppress_errors
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch._dynamo.config.suppress_errors = before


@pytest.mark.slow  # it compiles
def test_batches_of_the_first_shape_are_computed_by_what_was_compiled_with_the_same_losses(monkeypatch):
    forked = []
    fork_rng = torch.random.fork_rng
    monkeypatch.setattr(torch.random, 'fork_rng', lambda devices: forked.append(devices) or fork_rng(devices))
    runner, batch, backend = make_runner(), make_batch(), Backend()
    expected = losses(runner, batch)
    before, random = copy.deepcopy(runner.model.state_dict()), torch.get_rng_state()
    hook = CompileHook(backend)
    hook.before_train_iter(runner, 0, batch)
    # Backbone, neck and two towers for each of three levels, each as a whole.
    assert backend.graphs == backend.calls == 8
    assert torch.equal(random, torch.get_rng_state())
    assert forked == [[]]  # of no GPU: each process would start a context on all of them
    after = runner.model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in runner.model.parameters())

    calls = backend.calls
    assert losses(runner, batch) == pytest.approx(expected, rel=1e-5)
    assert backend.calls > calls

    calls = backend.calls
    hook.before_train_iter(runner, 1, make_batch(1))  # the last batch of an epoch
    losses(runner, make_batch(1))
    hook.before_val(runner)
    losses(runner, batch)
    assert backend.calls == calls
    hook.before_train_iter(runner, 2, batch)
    losses(runner, batch)
    assert backend.calls > calls


def refuse(graph, inputs):
    raise RuntimeError('no compiler found\n' + 'x' * 1000)


def fail_in_the_gradient(graph, inputs):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError('no gradient')

    return lambda *arguments: [Broken.apply(value) for value in graph(*arguments)]


@pytest.mark.parametrize('backend, words', [(refuse, 'no compiler found'), (fail_in_the_gradient, 'no gradient')])
def test_a_backend_that_fails_is_one_sentence_and_the_training_goes_on(backend, words, caplog, monkeypatch):
    runner, batch = make_runner(), make_batch()
    family = type(family_of(runner.cfg.model))
    parts = [
        layer for layer in family.compilable_parts(family(), runner.model) if isinstance(layer, torch.nn.Sequential)
    ]
    monkeypatch.setattr(family, 'compilable_parts', lambda self, model: parts[:1])  # small, so soon traced
    runner.logger = logging.getLogger('compile-test')
    expected = losses(runner, batch)
    before = copy.deepcopy(runner.model.state_dict())
    hook = CompileHook(backend)
    with caplog.at_level('INFO'):
        hook.before_train_iter(runner, 0, batch)
        hook.before_train_iter(runner, 1, batch)
    (record,) = [record for record in caplog.records if record.name == 'compile-test']
    text = record.getMessage()
    assert text.startswith('compile: the network cannot be compiled, the training goes on without (') and words in text
    assert '\n' not in text and len(text) < MAX_REASON + 100
    assert losses(runner, batch) == expected
    after = runner.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize('name, count', [('yolov5_n', 2), ('yolov6_n', 8), ('yolov7_tiny', 2), ('rtmdet_tiny', 3)])
def test_network_of_every_family_is_called_part_by_part_in_training(name, count):
    runner = make_runner(name)
    called = []
    parts = family_of(runner.cfg.model).compilable_parts(runner.model)
    for part in parts:
        part.register_forward_hook(lambda module, *_: called.append(module))
    losses(runner, make_batch())
    assert runner.model.backbone in called and runner.model.neck in called and len(set(called)) >= count
