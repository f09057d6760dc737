"""Model names: every name means one file, on every file system."""

import json
import re

import pytest

from tmi import paths
from tmi.errors import TaskError
from tmi.paths import CONFIG_ROOT, PROJECT_ROOT, TOOLS_ROOT, project_folder
from tmi.zoo.models import find_model, main, models
from tmi.zoo.table import model_table
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
        ('vidt_nano', 'vidt/vidt_nano_8xb2-50e_coco.py'),
        ('ViDT-plus-base', 'vidt/vidt_plus_base_8xb2-50e_coco.py'),
        ('vidt_wo_neck_tiny', 'vidt/vidt_wo_neck_tiny_8xb2-50e_coco.py'),
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
    names = set(re.findall(r'`((?:yolo|ppyoloe|rtmdet|vidt)[a-z0-9]*_\w+)`', text))
    assert len(names) >= least
    with_masks = {model.name for model in models(masks=True)}
    assert all(find_model(name, masks=name in with_masks) for name in names)


def test_models_that_need_polygons_are_not_offered():
    assert not [model for model in models() if 'mask' in model.stem]
    with pytest.raises(TaskError):
        find_model('yolov8_n_mask-refine_syncbn_fast_8xb16-500e_coco')


@pytest.mark.parametrize(
    'name, hint',
    [
        ('yolov9_n', 'yolov8_n'),
        ('yolov8', 'yolov8_'),
        ('yolov5_s_p7', 'yolov5_s_p6'),
        ('rtmdet-tny', 'rtmdet_tiny'),
        ('../setup.py', 'a family with a size, e.g. yolov8_n'),
        ('/etc/passwd.py', 'a family with a size, e.g. yolov8_n'),
    ],
)
def test_unknown_names_give_the_nearest_and_where_all_are(name, hint):
    with pytest.raises(TaskError) as caught:
        find_model(name)
    sentence = caught.value.sentence
    assert code_of(caught.value) == 300001
    assert all(words in sentence for words in (repr(name), hint, 'docs/training.md', 'yolov7, yolov8, yolox'))
    assert len(sentence) < 400


def test_the_list_says_size_and_input_of_every_model(capsys):
    assert main() == 0
    rows = {row['name']: row for row in json.loads(capsys.readouterr().out)}
    assert {name for name, row in rows.items() if not row['masks']} == {model.name for model in models()}
    assert {name for name, row in rows.items() if row['masks']} == {model.name for model in models(masks=True)}
    assert [
        name for name, row in rows.items() if not (row['parameters'] and re.fullmatch(r'\d+x\d+', row['input']))
    ] == []
    assert rows['yolov8_n'] == {
        'name': 'yolov8_n',
        'config': 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py',
        'family': 'yolov8',
        'parameters': 3.16,
        'ap': 37.2,
        'input': '640x640',
        'masks': False,
    }
    assert rows['yolov5_x_p6']['input'] == '1280x1280' and rows['yolov5u_n']['ap'] is None
    assert sum(row['ap'] is not None for row in rows.values() if not row['masks']) == 49


def test_every_config_that_is_named_exists():
    assert all(entry.config.is_file() and entry.config.stem == stem for stem, entry in model_table().items())


@pytest.mark.parametrize('linked', [True, False], ids=['checkout', 'wheel'])
def test_configs_and_tools_are_found_in_the_package(linked, tmp_path, monkeypatch):
    assert (CONFIG_ROOT, TOOLS_ROOT) == (PROJECT_ROOT / 'configs', PROJECT_ROOT / 'tools')
    mim = tmp_path / 'mmyolo/.mim'
    mim.mkdir(parents=True)
    place = tmp_path / 'configs' if linked else mim / 'configs'
    place.mkdir()
    if linked:
        (mim / 'configs').symlink_to('../../configs')
    monkeypatch.setattr(paths, 'PROJECT_ROOT', tmp_path)
    assert project_folder('configs') == place
    with pytest.raises(FileNotFoundError, match='tools is missing: install the package again'):
        project_folder('tools')
