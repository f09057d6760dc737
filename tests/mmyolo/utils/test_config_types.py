"""What a config from elsewhere may build: every class that is registered is looked at here.

A class that is new among them, and takes a path or reads a file, fails a test until somebody has looked at it.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

from mmyolo.utils.config_types import (
    DETECTOR,
    INITIAL,
    OUTSIDE,
    PART,
    TRANSFORM,
    all_registered,
    classes_named,
    model_from_elsewhere,
    parameters,
    pipeline_from_elsewhere,
    registered_only,
)
from mmyolo.utils.literal_config import ConfigContentError

ALLOWED = {name: cls for kind in (DETECTOR, PART, TRANSFORM) for name, cls in all_registered(kind).items()}
# Arguments whose names look as if they reached out, and do not: those of numbers, and names of methods.
LOOKS = re.compile(
    r'path|file|ckpt|checkpoint|url|dir|pretrain|teacher|config|backend|root|prefix|import|func|callable|module|'
    'script|exec|command|lang|token|source|address|download|cache|save|load|name|student|hub'
)
REVIEWED = frozenset(
    {
        'backend',
        'direction',
        'drop_path_rate',
        'flip_direction',
        'head_module',
        'imdecode_backend',
        'language_model',
        'max_cached_images',
        'num_distort_func',
        'paths',
        'pretrain_img_size',
        'use_cached',
    }
)
# What reads, runs or writes, and the classes whose source holds it for a reason that was looked at.
REACHES = re.compile(
    r'(?<![\w.])(?:open|eval|exec|compile|__import__)\(|load_checkpoint|torch\.load|\.fromfile|import_module|'
    r'get_object_from_string|subprocess|\bos\.(?!path)|shutil|from_pretrained|init_detector|urlopen|requests|'
    r'pickle|fileio|np\.load|list_from_file|imread|imwrite|getattr\((?:albumentations|torch|cv2)'
)
IN_INIT_WEIGHTS = {'VGG', 'DetectoRS_ResNet', 'PyramidVisionTransformer', 'SwinTransformer'}  # which is never called
OF_THE_IMAGE = {'LoadImageFromFile', 'LoadAnnotations'}  # read what a sample names, not the config


def test_there_are_classes():
    assert {
        'mmyolo.YOLODetector',
        'mmdet.RTMDet',
        'mmyolo.YOLOv8Head',
        'mmdet.L1Loss',
        'mmengine.SiLU',
        'mmyolo.LetterResize',
        'mmdet.MlvlPointGenerator',
        'mmengine.Resize',
    } <= set(ALLOWED)
    assert len(ALLOWED) > 400


@pytest.mark.parametrize(
    'name',
    [
        'mmdet.KnowledgeDistillationSingleStageDetector',
        'mmdet.LAD',
        'mmdet.BertModel',
        'mmdet.GLIPHead',
        'mmdet.AppearanceFreeLink',
        'mmdet.CameraMotionCompensation',
        'mmdet.RandomSamplingNegPos',
        'mmdet.InstaBoost',
        'mmdet.LoadTextAnnotations',
        'mmyolo.LoadCachedImage',
        'mmengine.BaseTTAModel',
        'mmdet.ATSSVLFusionHead',
        'mmdet.Detectron2Wrapper',
    ],
)
def test_classes_that_reach_out_are_not_among_them(name):
    kinds = [kind for kind in (DETECTOR, PART, TRANSFORM) if classes_named(name, kind)]
    assert not kinds or kinds == [DETECTOR] and name == 'mmdet.Detectron2Wrapper'


def test_no_argument_reaches_out():
    found = {
        (argument, name) for name, cls in ALLOWED.items() for argument in parameters(cls) if LOOKS.search(argument)
    }
    unknown = {one for one in found if one[0] not in OUTSIDE | INITIAL | REVIEWED}
    assert not unknown
    assert {argument for argument, _ in found} >= {'backend_args', 'pretrained'}  # the pattern sees something


def test_no_source_reaches_out():
    bases = {base for cls in ALLOWED.values() for base in cls.__mro__}
    found = set()
    for module in {
        base.__module__ for base in bases if base.__module__.startswith(('mmyolo', 'mmdet', 'mmcv', 'mmengine'))
    }:
        text = Path(sys.modules[module].__file__).read_text(encoding='utf-8')
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and REACHES.search('\n'.join(lines[node.lineno - 1 : node.end_lineno])):
                found.add(node.name)
    found &= {base.__name__ for base in bases}
    assert found - {'Detectron2Wrapper'} <= IN_INIT_WEIGHTS | OF_THE_IMAGE | {'BaseModule', 'LoadCachedImage'}
    assert found >= IN_INIT_WEIGHTS


DETECTOR_CONFIG = {
    'type': 'YOLODetector',
    'backbone': {
        'type': 'YOLOv8CSPDarknet',
        'act_cfg': {'type': 'SiLU'},
        'init_cfg': {'type': 'Pretrained', 'checkpoint': '/x.pth'},
    },
    'neck': {'type': 'YOLOv8PAFPN', 'pretrained': 'http://x'},
    'bbox_head': {'type': 'YOLOv8Head', 'prior_generator': {'type': 'mmdet.MlvlPointGenerator'}},
    'test_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}},
}


def test_initial_weights_are_left_out():
    checked = model_from_elsewhere(DETECTOR_CONFIG, 'x.py')
    assert 'init_cfg' not in checked['backbone'] and 'pretrained' not in checked['neck']
    assert checked['bbox_head'] == DETECTOR_CONFIG['bbox_head']


def test_names_of_mmcv_are_those_of_mmengine():
    """Mmcv's classes stand in mmengine's registry; under mmcv's name they would be imported."""
    steps = [{'type': 'mmcv.Resize', 'scale': (9, 9)}, {'type': 'LetterResize', 'scale': (9, 9)}]
    assert [step['type'] for step in pipeline_from_elsewhere(steps, 'x.py')] == ['mmengine.Resize', 'LetterResize']


HOSTILE_PARTS = [
    {'type': 'mmengine.load', 'file': 'x.pkl'},
    {'type': 'mmengine.rmtree', 'path': '/x'},
    {'type': 'mmengine.put_text', 'text': 'x'},
    {'type': 'os.system', 'command': 'x'},
    {'type': 'subprocess.Popen', 'args': ['x']},
    {'type': 'builtins.eval'},
    {'type': 'eval'},
    {'type': 'mmengine.fileio.load'},
    {'type': 'mmengine.Config.fromfile', 'filename': 'x.py'},
    {'type': 'mmcv.imwrite'},
    {'type': 'mmyolo.utils.misc'},
    {'type': 'mmdet.apis.init_detector'},
    {'type': 'torch.load'},
    {'type': 'torch.hub.load'},
    {'type': 'nowhere.Name'},
    {'type': 'mmcls.ResNet'},
    {'type': 'mmyolo.'},
    {'type': '.x'},
    {'type': ''},
    {'type': ' SiLU'},
    {'type': 3},
    {'type': None},
    {'type': ['SiLU']},
    {'type': {'type': 'SiLU'}},
    {'type': b'SiLU'},
    {'type': True},
    {'type': 'SiLU', '_scope_': 'os'},
    {'type': 'mmdet.KnowledgeDistillationSingleStageDetector', 'teacher_config': 'x.py'},
    {'type': 'mmdet.LAD', 'teacher_ckpt': 'x'},
    {'type': 'YOLODetector'},
    {'type': 'mmdet.BertModel', 'name': 'x'},
    {'type': 'mmdet.CameraMotionCompensation', 'warp_mode': 'x'},
    {'type': 'mmdet.AppearanceFreeLink', 'checkpoint': 'x'},
    {'type': 'LetterResize'},
    {'type': 'mmengine.LocalVisBackend', 'save_dir': 'x'},
    {'type': 'CheckpointHook'},
    {'type': 'mmrazor.FpnTeacherDistill', 'teacher': {'cfg_path': 'x'}},
    {'teacher_config': 'x.py'},
    {'config': 'x.py'},
    {'ann_file': 'x.pkl'},
    {'custom_imports': {'imports': ['x']}},
    {'a': [({'type': 'os.system'},)]},
    {1: 2, 'type': 'SiLU'},
    {'type': 'mmengine.Pretrained', 'checkpoint': 'x'},
    {'_base_': 'x.py'},
    {'backend_args': {'x': 1}},
    {'nms': {'type': '__import__("os").system("x")'}},
    {'nms': {'type': 3}},
    {'type': 'mmengine.TestTimeAug'},
]


@pytest.mark.parametrize('part', HOSTILE_PARTS, ids=str)
def test_hostile_parts_of_a_model(part, monkeypatch):
    monkeypatch.setattr('mmengine.registry.registry.get_object_from_string', None)  # would be called to import
    for place in ('backbone', 'neck', 'bbox_head', 'data_preprocessor', 'anything'):
        with pytest.raises(ConfigContentError, match='The config of x.py'):
            model_from_elsewhere(dict(DETECTOR_CONFIG, **{place: part}), 'x.py')


@pytest.mark.parametrize(
    'part',
    [part for part in HOSTILE_PARTS if part.get('type') not in ('LetterResize', 'mmengine.TestTimeAug')],
    ids=str,
)
def test_hostile_parts_of_a_pipeline(part):
    with pytest.raises(ConfigContentError, match='The config of x.py'):
        pipeline_from_elsewhere(
            [{'type': 'LetterResize', 'scale': (9, 9)}, {'type': 'Resize', 'inner': [part]}], 'x.py'
        )


@pytest.mark.parametrize(
    'model',
    [
        None,
        3,
        'YOLODetector',
        [],
        {},
        {'backbone': 1},
        {'type': 'YOLOv8Head'},
        {'type': 'SiLU'},
        {'type': 'mmdet.FasterRCNN'},
        {'type': 'mmdet.Detectron2Wrapper', 'config': 'x.yaml'},
    ],
    ids=str,
)
def test_what_is_no_detector(model):
    with pytest.raises(ConfigContentError, match='The config of x.py'):
        model_from_elsewhere(model, 'x.py')


@pytest.mark.parametrize(
    'pipeline',
    [
        3,
        'x',
        ['os.system'],
        [3],
        [[]],
        [{'scale': 1}],
        {},
        [{'type': 'Albu', 'transforms': [{'type': 'Lambda'}]}],
        [{'type': 'SiLU'}],
        [{'type': 'mmdet.LoadImageFromNDArray', 'backend_args': {'backend': 'http'}}],
    ],
    ids=str,
)
def test_what_is_no_pipeline(pipeline):
    with pytest.raises(ConfigContentError, match='The config of x.py'):
        pipeline_from_elsewhere(pipeline, 'x.py')


def test_nothing_is_imported_while_a_package_is_built():
    from mmyolo.registry import MODELS

    with registered_only(), pytest.raises(RuntimeError, match='Failed to get mmengine.load'):
        MODELS.build({'type': 'mmengine.load', 'file': 'x.pkl'})
    assert MODELS.get('mmengine.load').__name__ == 'load'  # elsewhere it is as mmengine has it
