"""mmcv and mmdet run without compiled operators."""

import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
import torch

import mmyolo.standins.mmcv.nms as ops
from mmyolo.standins.mmcv import install_mmcv_ext
from mmyolo.standins.mmcv.torchvision_nms import torchvision_nms
from vidt.operators import NoOperators

import mmcv.ops  # isort: skip  after the stand-in is in place

# the example of mmcv.ops.nms's documentation
BOXES = torch.tensor(
    [
        [49.1, 32.4, 51.0, 35.9],
        [49.3, 32.9, 51.0, 35.3],
        [49.2, 31.8, 51.0, 35.4],
        [35.1, 11.5, 39.1, 15.7],
        [35.6, 11.8, 39.3, 14.2],
        [35.3, 11.5, 39.9, 14.5],
        [35.2, 11.7, 39.7, 15.7],
    ]
)
SCORES = torch.tensor([0.9, 0.9, 0.5, 0.5, 0.5, 0.4, 0.3])


def run(code: str) -> str:
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_all_of_mmdet_imports_in_a_fresh_process():
    assert (
        run("""
        import mmyolo
        import mmdet.apis, mmdet.datasets, mmdet.engine, mmdet.evaluation, mmdet.models, mmdet.visualization
        from mmdet.registry import MODELS
        print('MaskRCNN' in MODELS)
        """)
        == 'True'
    )


def test_a_compiled_extension_is_left_alone(monkeypatch):
    compiled = types.ModuleType('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    assert install_mmcv_ext() is False
    assert sys.modules['mmcv._ext'] is compiled


def test_a_stand_in_that_lacks_operators_gets_them(monkeypatch):
    """A package that needs none may be imported first; then mmcv has taken its stand-in."""
    module = NoOperators('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', module)
    with pytest.raises(NotImplementedError, match="'nms' of mmcv is not compiled"):
        module.nms(BOXES, SCORES, 0.6, 0)
    assert install_mmcv_ext() is True
    assert module.nms(BOXES, SCORES, 0.6, 0).tolist() == [0, 3, 4]


@pytest.mark.skipif(not install_mmcv_ext(), reason='mmcv is compiled here')
def test_a_missing_operator_says_how_to_get_it():
    with pytest.raises(NotImplementedError, match=r"'roi_align_forward' of mmcv is not compiled.*MMCV_WITH_OPS=1"):
        mmcv._ext.roi_align_forward(1, 2, aligned=True)


def test_nms_of_mmcv():
    dets, kept = mmcv.ops.nms(BOXES, SCORES, 0.6)
    assert kept.tolist() == [0, 3, 4]
    assert torch.equal(dets, torch.cat([BOXES, SCORES[:, None]], dim=1)[kept])
    dets, kept = mmcv.ops.nms(BOXES.numpy(), SCORES.numpy(), 0.6, score_threshold=0.45, max_num=2)
    assert isinstance(dets, np.ndarray) and kept.tolist() == [0, 3]


def test_batched_nms_of_mmcv():
    labels = torch.tensor([0, 1, 0, 0, 0, 1, 0])
    dets, kept = mmcv.ops.batched_nms(BOXES, SCORES, labels, {'type': 'nms', 'iou_threshold': 0.6})
    assert kept.tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize('compiled', [True, False], ids=['torchvision if it works', 'PyTorch alone'])
@pytest.mark.parametrize('offset, kept', [(0, [0, 1]), (1, [0])])
def test_offset(offset, kept, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(ops, 'torchvision_nms', lambda: None)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.5]])  # IoU 0.5, with offset 0.75
    assert ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.6, offset).tolist() == kept


def test_nms_without_boxes():
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


@pytest.mark.parametrize(
    'fault',
    [
        "raise RuntimeError('operator torchvision::nms does not exist')",
        "raise ImportError('libtorch.so: undefined symbol')",
        '',
    ],
)
def test_a_broken_torchvision_is_as_good_as_none(fault, tmp_path, monkeypatch):
    package = tmp_path / 'torchvision'
    package.mkdir()
    package.joinpath('__init__.py').write_text(fault)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split('.')[0] == 'torchvision']:
        monkeypatch.delitem(sys.modules, name)
    torchvision_nms.cache_clear()
    assert torchvision_nms() is None
    assert ops.nms(BOXES, SCORES, 0.6).tolist() == [0, 3, 4]
    torchvision_nms.cache_clear()
    sys.modules.pop('torchvision', None)


def test_a_torchvision_that_works_is_used(tmp_path, monkeypatch):
    package = tmp_path / 'torchvision'
    package.mkdir()
    package.joinpath('__init__.py').touch()
    package.joinpath('ops.py').write_text(
        'import torch\ndef nms(boxes, scores, iou_threshold):\n'
        '    return torch.tensor([len(boxes), int(100 * iou_threshold)])\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ('torchvision', 'torchvision.ops'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    torchvision_nms.cache_clear()
    assert ops.nms(BOXES, SCORES, 0.5).tolist() == [7, 50]
    torchvision_nms.cache_clear()
    for name in ('torchvision', 'torchvision.ops'):
        sys.modules.pop(name, None)


def soft(method: str, **kwargs):
    boxes = torch.tensor(
        [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 2.0], [20.0, 20.0, 30.0, 30.0]]
    )
    dets, kept = mmcv.ops.soft_nms(boxes, torch.tensor([0.9, 0.8, 0.7, 0.6]), 0.5, method=method, **kwargs)
    assert torch.equal(dets[:, :4], boxes[kept])
    return kept.tolist(), dets[:, 4].tolist()


def test_soft_nms_linear():
    kept, scores = soft('linear')  # IoU with the first: 0.8, 0.2, 0; of the second with the third 0.25
    assert kept == [0, 2, 3, 1]
    assert scores == pytest.approx([0.9, 0.7, 0.6, 0.8 * 0.2])


def test_soft_nms_naive():
    kept, scores = soft('naive')
    assert kept == [0, 2, 3]
    assert scores == pytest.approx([0.9, 0.7, 0.6])


def test_soft_nms_gaussian():
    kept, scores = soft('gaussian', sigma=0.5)
    third = 0.7 * np.exp(-(0.2**2) / 0.5)
    assert kept == [0, 2, 3, 1]
    assert scores == pytest.approx([0.9, third, 0.6, 0.8 * np.exp(-(0.8**2) / 0.5) * np.exp(-(0.25**2) / 0.5)])


def test_soft_nms_drops_below_min_score():
    assert soft('linear', min_score=0.3)[0] == [0, 2, 3]


def test_soft_nms_without_boxes():
    dets, kept = mmcv.ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and kept.tolist() == []
