"""`compile: true` with ViDT, whose images have several sizes."""

import copy
import logging
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData

from mmyolo.registry import MODELS
from tests.ymir.vidt_models import small_config
from tmi.training.compile_hook import CompileHook, _shape

HAS_COMPILER = any(map(shutil.which, ('g++', 'clang++')))
PARTS = {'vidt_nano': 2, 'vidt_plus_nano': 3, 'vidt_wo_neck_nano': 1}
BACKENDS = [('vidt_nano', 'inductor'), ('vidt_plus_nano', 'eager'), ('vidt_wo_neck_nano', 'eager')]
SIZES = ((64, 96), (80, 64))


def make_batch():
    boxes = torch.tensor([[4.0, 4, 40, 30], [10, 3, 60, 50]])
    return {
        'inputs': [torch.randint(0, 255, (3, *size), dtype=torch.uint8) for size in SIZES],
        'data_samples': [
            DetDataSample(
                gt_instances=InstanceData(bboxes=boxes, labels=torch.tensor([1, 0])),
                metainfo={'img_shape': size, 'ori_shape': size},
            )
            for size in SIZES
        ],
    }


def test_a_batch_has_the_size_of_its_padding():
    assert _shape(make_batch()['inputs']) == (2, 3, 80, 96)


@pytest.mark.slow
@pytest.mark.timeout(3000)  # a compiler of C++ takes seconds for each kernel
@pytest.mark.parametrize('name, backend', BACKENDS)
def test_what_is_compiled_learns_the_same(name, backend, caplog):
    """Without dropout, whose numbers a compiler draws in another way."""
    torch._dynamo.reset()
    config = small_config(name)
    if name != 'vidt_wo_neck_nano':  # which has no decoder
        config.model.dropout = 0.0
    if name == 'vidt_nano':
        config.model.denoising_groups = 2
    torch.manual_seed(0)
    plain = MODELS.build(config.model).train()
    assert not any(isinstance(module, torch.nn.Dropout) and module.p for module in plain.modules())
    compiled = copy.deepcopy(plain)
    before = copy.deepcopy(plain.state_dict())
    batch = make_batch()
    for model in (plain, compiled):
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.001))
        runner = SimpleNamespace(
            model=model, cfg=config, optim_wrapper=wrapper, logger=logging.getLogger('compile-test')
        )
        hook = CompileHook(backend)
        for step in range(2):
            if model is compiled:
                with caplog.at_level('INFO'):
                    hook.before_train_iter(runner, step, batch)
            torch.manual_seed(step)  # noised boxes are drawn anew
            losses = model(**model.data_preprocessor(copy.deepcopy(batch), training=True), mode='loss')
            wrapper.update_params(model.parse_losses(losses)[0])
    is_compiled = HAS_COMPILER or backend != 'inductor'
    assert ('the network was compiled' in caplog.text) == is_compiled, caplog.text
    assert len(hook.calls) == (PARTS[name] if is_compiled else 0)
    assert not torch.equal(compiled.backbone.det_token, before['backbone.det_token'])
    for key, value in plain.state_dict().items():
        moved = (value - before[key]).abs().max()
        assert (compiled.state_dict()[key] - value).abs().max() <= 0.01 * moved + 1e-6, key
