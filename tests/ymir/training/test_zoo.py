"""Model names: every name means one file, on every file system."""

import re

import pytest

from tmi.errors import TaskError
from tmi.paths import PROJECT_ROOT
from tmi.zoo.models import CONFIG_ROOT, find_model, models
from ymir.errors import code_of


@pytest.mark.parametrize(
    'name, config',
    [
        ('yolov8_n', 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'),
        ('YOLOv8-X', 'yolov8/yolov8_x_syncbn_fast_8xb16-500e_coco.py'),
        ('yolov5_s', 'yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'),
        ('yolov5_x', 'yolov5/yolov5_x-v61_syncbn_fast_8xb16-300e_coco.py'),
        ('yolov5_s_p6', 'yolov5/yolov5_s-p6-v62_syncbn_fast_8xb16-300e_coco.py'),
        ('yolov5_s-v61_syncbn_8xb16-300e_coco', 'yolov5/yolov5_s-v61_syncbn_8xb16-300e_coco.py'),
        ('yolov5u_m', 'yolov5/yolov5u/yolov5u_m_syncbn_fast_8xb16-300e_coco.py'),
        ('configs/yolov5/yolov5_s-v61_fast_1xb12-40e_cat.py', 'yolov5/yolov5_s-v61_fast_1xb12-40e_cat.py'),
        ('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py', 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'),
    ],
)
def test_names(name, config):
    assert find_model(name).config == CONFIG_ROOT / config


def test_short_names_differ_and_find_their_model():
    listed = models()
    assert len({model.name for model in listed}) == len(listed) >= 20
    assert all(find_model(model.name) == model and find_model(model.stem) == model for model in listed)


@pytest.mark.parametrize('document, least', [('README.md', 25), ('README_zh-CN.md', 25), ('docs/training.md', 60)])
def test_names_in_documents_are_models(document, least):
    text = (PROJECT_ROOT / document).read_text(encoding='utf-8')
    names = set(re.findall(r'`((?:yolo|ppyoloe|rtmdet)[a-z0-9]*_\w+)`', text))
    assert len(names) >= least
    assert all(find_model(name) for name in names)


def test_models_that_need_polygons_are_not_offered():
    assert not [model for model in models() if 'mask' in model.stem]
    with pytest.raises(TaskError):
        find_model('yolov8_n_mask-refine_syncbn_fast_8xb16-500e_coco')


@pytest.mark.parametrize('name', ['yolov9_n', '../setup.py', '/etc/passwd.py', 'yolov8'])
def test_unknown_names_list_what_there_is(name):
    with pytest.raises(TaskError) as caught:
        find_model(name)
    assert code_of(caught.value) == 300001
    assert (
        name in caught.value.sentence and 'yolov8_n' in caught.value.sentence and 'yolov5_s_p6' in caught.value.sentence
    )
