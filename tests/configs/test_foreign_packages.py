"""Configs of RTMDet that wrap what other packages have: they parse, and name the package where it is missing."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmyolo.registry import MODELS

ROOT = Path(__file__).resolve().parents[2] / 'configs' / 'rtmdet'
WIDTHS = {'tiny': 96, 's': 128, 'm': 192, 'l': 256, 'x': 320}  # of the outputs of the neck


@pytest.mark.parametrize('student, teacher', [('tiny', 's'), ('s', 'm'), ('m', 'l'), ('l', 'x')])
def test_distillation(student, teacher):
    cfg = Config.fromfile(ROOT / 'distillation' / f'kd_{student}_rtmdet_{teacher}_neck_300e_coco.py')
    assert f'rtmdet_{student}_' in cfg.model.architecture.cfg_path
    assert f'rtmdet_{teacher}_' in cfg.model.teacher.cfg_path and f'rtmdet_{teacher}_' in cfg.model.teacher_ckpt
    for path in (cfg.model.architecture.cfg_path, cfg.model.teacher.cfg_path):
        assert (ROOT.parent / path[len('mmyolo::') :]).is_file()
    for level in range(3):
        connector = cfg.model.distiller.connectors[f'fpn{level}_s']
        assert (connector.in_channel, connector.out_channel) == (WIDTHS[student], WIDTHS[teacher])
        assert cfg.model.distiller.student_recorders[f'fpn{level}'].source == f'neck.out_layers.{level}.conv'
        forward = cfg.model.distiller.loss_forward_mappings[f'loss_fpn{level}']
        assert forward.preds_S.from_student and not forward.preds_T.from_student
    assert [hook.type for hook in cfg.custom_hooks][-1] == 'mmrazor.StopDistillHook'
    assert cfg.custom_hooks[-1].stop_epoch == 280


@pytest.mark.skipif(find_spec('mmrazor') is not None, reason='mmrazor is installed')
def test_distillation_names_mmrazor():
    cfg = Config.fromfile(ROOT / 'distillation' / 'kd_tiny_rtmdet_s_neck_300e_coco.py')
    with DefaultScope.overwrite_default_scope('mmyolo'), pytest.raises(ImportError, match='install mmrazor'):
        MODELS.build(cfg.model)


@pytest.mark.skipif(find_spec('mmcls') is not None, reason='mmcls is installed')
@pytest.mark.parametrize('size', ['s', 'tiny'])
def test_pretraining_names_mmcls(size):
    with pytest.raises(ImportError, match='mmcls'):
        Config.fromfile(ROOT / 'cspnext_imagenet_pretrain' / f'cspnext-{size}_8xb256-rsb-a1-600e_in1k.py')
