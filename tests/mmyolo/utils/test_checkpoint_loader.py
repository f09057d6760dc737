"""Every way by which mmengine and mmdet load weights reads data only, and a config within a checkpoint is data too."""

import functools
import http.server
import json
import threading

import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmyolo.tools.demo import boxam_utils
from mmyolo.tools.demo.inference import load_detector
from mmyolo.utils.checkpoint import CheckpointError
from mmyolo.utils.checkpoint_content import clean_checkpoint
from mmyolo.utils.checkpoint_loader import check_embedded_config
from mmyolo.utils.literal_config import ConfigContentError

from .files_of_all_kinds import Call, no_weights

CONFIG = 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'


@pytest.fixture
def canary(tmp_path):
    return tmp_path / 'canary'


@pytest.fixture
def hostile(tmp_path, canary):
    """A checkpoint that would make the file `canary`."""
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': {'w': torch.ones(1)}, 'meta': {'when': Call(open, str(canary), 'w')}}, path)
    return path


@pytest.fixture
def address(tmp_path):
    """Address of a server of the files in the folder."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.mark.parametrize('scheme', ['', 'http', 'openmmlab', 'open-mmlab', 'openmmlab of a file', 'mmcls'])
def test_each_kind_of_address(tmp_path, canary, hostile, address, scheme, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    torch.save({'state_dict': {'backbone.w': torch.ones(1)}}, tmp_path / 'good.pth')
    (tmp_path / 'open_mmlab.json').write_text(
        json.dumps(
            {
                'hostile': f'{address}/hostile.pth',
                'good': f'{address}/good.pth',
                'hostile_file': 'hostile.pth',
                'good_file': 'good.pth',
            }
        )
    )
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.get_mmcls_models',
        lambda: {'hostile': f'{address}/hostile.pth', 'good': f'{address}/good.pth'},
    )
    form = {'': str(tmp_path) + '/{}.pth', 'http': address + '/{}.pth', 'openmmlab of a file': 'openmmlab://{}_file'}
    name = form.get(scheme, scheme + '://{}')
    assert CheckpointLoader.load_checkpoint(name.format('good'))['state_dict']
    with pytest.raises(CheckpointError, match=r'hostile.pth holds io.open'):
        CheckpointLoader.load_checkpoint(name.format('hostile'))
    assert not canary.exists()


def test_initial_weights_of_a_module(hostile, canary):
    module = BaseModule(init_cfg={'type': 'Pretrained', 'checkpoint': str(hostile)})
    with pytest.raises(CheckpointError, match='hostile.pth'):
        module.init_weights()
    assert not canary.exists()


@pytest.mark.parametrize(
    'load',
    [
        lambda path: load_checkpoint(torch.nn.Linear(1, 1), path),
        lambda path: init_detector(CONFIG, path, device='cpu'),
        lambda path: load_detector(CONFIG, path, 'cpu'),
        lambda path: boxam_utils.init_detector(CONFIG, path, device='cpu'),
        lambda path: DetInferencer(CONFIG, path, device='cpu', scope='mmyolo'),
        lambda path: DetInferencer(weights=path, device='cpu', scope='mmyolo'),
    ],
    ids=['load_checkpoint', 'init_detector', 'demos', 'attention', 'inferencer', 'inferencer of weights'],
)
def test_what_makes_detectors(load, hostile, canary):
    with pytest.raises(CheckpointError, match='hostile.pth holds io.open'):
        load(str(hostile))
    assert not canary.exists()


@pytest.mark.parametrize('name', no_weights())
def test_what_holds_no_weights(tmp_path, name):
    content, message = no_weights()[name]
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'x.pth'))


NONSENSE = [
    3,
    'x',
    [],
    [1],
    {},
    {1: 2},
    {'a': 'x'},
    (None,),
    [['a']],
    [None],
    {0: 'a', 5: 'b'},
    {'x': [1, {2: 3}]},
    {'a', 'b'},
]


@pytest.mark.parametrize('value', NONSENSE, ids=lambda value: 'a set' if isinstance(value, set) else str(value))
def test_odd_metas_are_left_out(tmp_path, value):
    metas = [
        value,
        {'classes': value},
        {'CLASSES': value},
        {'dataset_meta': value},
        {'dataset_meta': {'classes': value}},
        {'dataset_meta': {'CLASSES': value}},
        {'class_names': value},
        {'cfg': value},
        {'config': value},
    ]
    for meta in metas:
        clean = clean_checkpoint({'state_dict': {'w': torch.ones(1)}, 'meta': meta}, 'x.pth')['meta']
        names = [
            one.get(key)
            for one in (clean, clean.get('dataset_meta', {}))
            for key in ('classes', 'CLASSES', 'class_names')
        ]
        assert all(one is None or all(isinstance(name, str) for name in one) for one in names)
        torch.save({'state_dict': {'weight': torch.ones(1, 1)}, 'meta': meta, 'message_hub': value}, tmp_path / 'x.pth')
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'x.pth'))


@pytest.mark.parametrize(
    'value, names',
    [
        (['a', 'b'], ['a', 'b']),
        (('a', 'b'), ('a', 'b')),
        ('a', ['a']),
        ({1: 'b', 0: 'a'}, ['a', 'b']),
        ([0, 1], ['0', '1']),
    ],
)
def test_names_of_classes_in_many_forms(value, names):
    content = {'state_dict': {'w': torch.ones(1)}, 'meta': {'dataset_meta': {'classes': value}}}
    assert clean_checkpoint(content, 'x.pth')['meta']['dataset_meta']['classes'] == names


def text_of(config):
    """What a training keeps of its config, but for the line breaks, which take a second."""
    return ''.join(f'{key} = {value!r}\n' for key, value in Config.fromfile(config).to_dict().items())


@pytest.fixture(scope='module')
def good_text():
    return text_of(CONFIG)


@pytest.mark.parametrize(
    'config',
    [
        'yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco',
        'yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance',
        'yolov6/yolov6_v3_s_syncbn_fast_8xb32-300e_coco',
        'yolov7/yolov7_w-p6_syncbn_fast_8x16b-300e_coco',
        'yolox/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco',
        'yolox/pose/yolox-pose_s_8xb32-300e-rtmdet-hyp_coco',
        'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco',
        'rtmdet/rtmdet_s_syncbn_fast_8xb32-300e_coco',
        'rtmdet/rotated/rtmdet-r_s_fast_1xb8-36e_dota',
        'rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco',
    ],
)
def test_the_configs_of_every_family_are_data(config):
    check_embedded_config(text_of(f'configs/{config}.py'), 'x.pth')


def test_the_config_of_a_training_is_used(good_text, tmp_path):
    check_embedded_config(good_text, 'x.pth')
    detector = init_detector(CONFIG, None, device='cpu')
    torch.save(
        {'state_dict': detector.state_dict(), 'meta': {'cfg': good_text, 'dataset_meta': {'classes': ['a'] * 80}}},
        tmp_path / 'x.pth',
    )
    inferencer = DetInferencer(weights=str(tmp_path / 'x.pth'), device='cpu', scope='mmyolo')
    assert type(inferencer.model).__name__ == 'YOLODetector' and inferencer.model.dataset_meta['classes'] == ['a'] * 80


def hostile_texts(canary):
    """Texts of configs that would make the file `canary`: name to what is added to a good one."""
    text = str(canary)
    opens = f'dict(type="builtins.open", file={text!r}, mode="w")'
    return {
        'code': f'open({text!r}, "w")',
        'import': 'import antigravity',
        'base': f'_base_ = {str(canary.parent / "base.py")!r}',
        'custom_imports': 'custom_imports = dict(imports=["antigravity"])',
        'scope': 'default_scope = "antigravity"',
        'place': f'a = "{{{{$NOTHING:1;open({text!r},chr(119))}}}}"',
        'place of a file': 'a = "{{ fileDirname }}"',
        'type': f'model = {opens}',
        'type below': f'model = dict(type="YOLODetector", backbone={opens})',
        'pipeline': f'test_dataloader = dict(dataset=dict(pipeline=[{opens}]))',
        'data set': f'test_dataloader = dict(dataset={opens})',
        'data sets': 'test_dataloader = dict(dataset=dict(type="RepeatDataset", dataset=dict(type="os.x"), times=1))',
        'collate': 'test_dataloader = dict(collate_fn=dict(type="os.system"))',
        'visualizer': f'visualizer = {opens}',
        'folder': f'visualizer = dict(type="Visualizer", save_dir={text!r})',
        'backend': 'visualizer = dict(type="Visualizer", '
        f'vis_backends=[dict(type="LocalVisBackend", save_dir={text!r})])',
        'other backend': 'visualizer = dict(type="Visualizer", vis_backends=[dict(type="WandbVisBackend")])',
        'names from a file': 'test_dataloader = dict(dataset=dict(metainfo=dict(classes="http://127.0.0.1:9/x")))',
        'loader': 'test_dataloader = 3',
        'visualizer of text': 'visualizer = "x"',
        'no model': 'model = None',
    }


@pytest.mark.parametrize('name', hostile_texts(__import__('pathlib').Path('/x')))
def test_a_hostile_config_is_not_used(good_text, tmp_path, canary, name):
    (tmp_path / 'base.py').write_text(f'open({str(canary)!r}, "w")')
    text = f'{good_text}\n{hostile_texts(canary)[name]}\n'
    with pytest.raises(ConfigContentError, match='x.pth'):
        check_embedded_config(text, 'x.pth')
    path = tmp_path / 'x.pth'
    for content in ({'meta': {'cfg': text}}, {'message_hub': {'runtime_info': {'cfg': text}}, 'meta': {}}):
        torch.save(dict(state_dict={'w': torch.ones(1)}, **content), path)
        with pytest.raises(ValueError, match='Cannot find the config'):
            DetInferencer(weights=str(path), device='cpu', scope='mmyolo')
    torch.save({'state_dict': {'w': torch.ones(1)}, 'meta': {'config': text}}, path)
    assert 'config' not in CheckpointLoader.load_checkpoint(str(path))['meta']  # executed where a training is resumed
    assert not canary.exists()
