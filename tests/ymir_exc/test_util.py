"""The merged configuration, hyper-parameters as the web form sends them, and the files that go into a model."""

import copy
import os
import pickle
import socket
import subprocess
import sys

import pytest
import yaml

from tests.ymir_exc import platform_rules as rules
from ymir_exc import log, result_writer, sysinfo, util
from ymir_exc.attribute_dict import AttributeDict
from ymir_exc.errors import ConfigError, ModelFileError, NoGpuError
from ymir_exc.model_files import find_model_file


def test_attribute_dict():
    value = AttributeDict({'a': 1, 'b': {'c': [{'d': 2}, (3, {'e': 4})]}}, f={})
    assert value.a == value['a'] == 1 and value.b.c[0].d == 2 and value.b.c[1][1].e == 4
    value.b.g = {'h': 5}
    value.f.update(i={'j': 6})
    assert (value['b']['g'].h, value.f.i.j, value.setdefault('k', {'l': 7}).l, value.get('m', 8)) == (5, 6, 7, 8)
    assert copy.deepcopy(value) == value == pickle.loads(pickle.dumps(value))
    assert type(copy.deepcopy(value).b) is AttributeDict
    del value.a
    assert 'a' not in value and not hasattr(value, 'a')
    with pytest.raises(AttributeError, match="no key 'x'; there are: c, g"):
        value.b.x
    with pytest.raises(AttributeError, match="no key 'x'"):
        del value.x


def test_merged_config(task):
    task.write_config(max_epochs=100, nested={'deep': [1]})
    cfg = util.get_merged_config()
    assert cfg.param.max_epochs == cfg.param['max_epochs'] == cfg['param'].get('max_epochs', 1) == 100
    assert cfg.param.get('missing', 'default') == 'default' and cfg.param.nested.deep == [1]
    assert cfg.ymir.input.root_dir == str(task.root / 'in') and cfg.ymir.run_training is True


def test_live_code_parameters_lie_below_those_of_the_platform(task, tmp_path, monkeypatch):
    task.write_config(code_config='sub/code.yaml', max_epochs=5)
    (tmp_path / 'repo/sub').mkdir(parents=True)
    (tmp_path / 'repo/sub/code.yaml').write_text('max_epochs: 100\nlr: 0.1\n')
    monkeypatch.chdir(tmp_path / 'repo')
    assert (util.get_merged_config().param.max_epochs, util.get_merged_config().param.lr) == (5, 0.1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='code_config sub/code.yaml is neither in'):
        util.get_merged_config()


@pytest.mark.parametrize(
    'values, expected',
    [
        (['t', 'T', 'true', 'True', ' TRUE ', '1', 1, True], True),
        (['f', 'F', 'false', 'False', 'FALSE', '0', 0, False], False),
    ],
)
def test_get_bool(values, expected):
    assert [util.get_bool(AttributeDict(param={'key': value}), 'key') for value in values] == [expected] * len(values)


@pytest.mark.parametrize('value', ['yes', 1.0, None, 2, '', [True]])
def test_get_bool_rejects(value):
    with pytest.raises(ConfigError, match='key in config.yaml is .*; allowed: true, false'):
        util.get_bool(AttributeDict(param={'key': value}), 'key')


def test_get_bool_of_an_absent_key():
    cfg = AttributeDict(param={})
    assert (util.get_bool(cfg, 'key'), util.get_bool(cfg, 'key', False)) == (True, False)


@pytest.mark.parametrize(
    'run, key',
    [('training', 'pretrained_model_params'), ('mining', 'model_params_path'), ('infer', 'model_params_path')],
)
def test_weight_files(task, run, key):
    models = task.root / 'in/models'
    (models / 'best').mkdir()
    for name in ('best/b.pth', 'best/a.pt', 'best/config.py', 'old.pth'):
        (models / name).write_text('')
    given = [str(models / 'best/b.pth'), str(models / 'best/config.py'), 'best/a.pt', 'old.pth', 'gone.pth']
    task.write_env(run)
    task.write_config(**{key: given})
    cfg = util.get_merged_config()
    assert util.get_weight_files(cfg) == [str(models / name) for name in ('best/b.pth', 'best/a.pt', 'old.pth')]
    assert util.get_weight_files(cfg, suffix='.py') == [str(models / 'best/config.py')]
    for value in (None, '', []):
        task.write_config(**{key: value})
        assert util.get_weight_files(util.get_merged_config()) == []
    cfg.param[key] = 'old.pth'
    assert util.get_weight_files(cfg) == [str(models / 'old.pth')]


def test_a_free_port_can_be_bound():
    with socket.socket() as listener:
        port = util.find_free_port()
        listener.bind(('127.0.0.1', port))
        assert listener.getsockname()[1] == port


@pytest.mark.parametrize(
    'patterns, kept',
    [
        (None, ['a.pth', 'cfg.py', 'sub/b.pth', 'log.yaml']),
        ('', ['a.pth', 'cfg.py', 'sub/b.pth', 'log.yaml']),
        (r'\.pth$', ['a.pth', 'sub/b.pth']),
        (r'^a, cfg', ['a.pth', 'cfg.py']),
        ('*.yaml, *.py', ['cfg.py', 'log.yaml']),  # a glob, which is not a regular expression
        ('nothing', []),
    ],
)
def test_filter_saved_files(task, patterns, kept):
    task.write_config(ymir_saved_file_patterns=patterns)
    cfg = util.get_merged_config()
    given = ['a.pth', str(task.models / 'cfg.py'), 'sub/b.pth', 'log.yaml']
    before = list(given)
    assert util.filter_saved_files(cfg, given) == kept and given == before


def test_no_given_files_are_all_plain_ones(task):
    for name in ('b.pth', 'a.py', 'sub/c.pth', 'result.yaml', 'ymir-info.yaml', '.result.yaml.0123.tmp'):
        task.add_model(name)
    assert util.filter_saved_files(util.get_merged_config(), []) == ['a.py', 'b.pth']


def test_format_saved_files(task, tmp_path):
    (tmp_path / 'work dir').mkdir()
    elsewhere = tmp_path / 'work dir/$(x) a.pth'
    elsewhere.write_text('one')
    task.add_model('sub/b.pth', 'two')
    task.add_model('c.py', 'three')
    (task.models / 'link.pth').symlink_to(elsewhere)
    cfg = util.get_merged_config()
    names = util.format_saved_files(cfg, [str(elsewhere), 'sub/b.pth', 'c.py', 'link.pth', str(task.models / 'c.py')])
    assert names == ['$(x) a.pth', 'b.pth', 'c.py', 'link.pth']
    assert [(task.models / name).read_text() for name in names] == ['one', 'two', 'three', 'one']
    assert not any((task.models / name).is_symlink() for name in names)
    inodes = [(task.models / name).stat().st_ino for name in names]
    assert util.format_saved_files(cfg, [str(elsewhere), 'sub/b.pth']) == names[:2]
    assert [(task.models / name).stat().st_ino for name in names] == inodes  # equal copies stay
    elsewhere.write_text('changed')
    util.format_saved_files(cfg, [str(elsewhere)])
    assert (task.models / names[0]).read_text() == 'changed'


def test_format_saved_files_rejects(task):
    task.add_model('1/a.pth')
    task.add_model('2/a.pth')
    cfg = util.get_merged_config()
    with pytest.raises(ModelFileError, match='1/a.pth and .*2/a.pth .* same name'):
        util.format_saved_files(cfg, ['1/a.pth', '2/a.pth'])
    with pytest.raises(ModelFileError, match='gone.pth'):
        util.format_saved_files(cfg, ['1/a.pth', 'gone.pth'])
    assert not (task.models / 'a.pth').exists()


@pytest.mark.parametrize(
    'id, name',
    [
        (3, 'stage_3'),
        ('12', 'stage_12'),
        ('best-one', 'best_one'),
        ('epoch=3-step=20', 'epoch_3_step_20'),
        (3.5, 'stage_3_5'),
        ('best model@1', 'best_model_1'),
        (' 1st ', 'stage_1st'),
        ('最好', '最好'),
        ('²', '_'),
        ('x' * 200, 'x' * 94),
    ],
)
def test_write_ymir_training_result(task, id, name):
    task.write_config(ymir_saved_file_patterns='*.pth')
    task.add_model('work/a.pth')
    util.write_ymir_training_result(util.get_merged_config(), ['work/a.pth', 'work/a.py'], id, map50=0)
    assert rules.result_yaml_violations(task.result_file) == []
    result = yaml.safe_load(task.result_file.read_text())
    assert (result['best_stage_name'], result['mAP']) == (name, 0.0)
    assert result['model_stages'][name]['files'] == ['a.pth']


@pytest.mark.parametrize('id', ['', '  '])
def test_a_stage_without_a_name_is_a_mistake(task, id):
    with pytest.raises(ValueError, match='stage name'):
        util.write_ymir_training_result(util.get_merged_config(), [task.add_model('a.pth')], id, map50=0)


def test_a_filter_that_leaves_nothing_skips_the_stage(task, caplog):
    """As in the public package: the training goes on."""
    log._warned.clear()
    task.add_model('a.pth')
    task.add_model('b.onnx')
    task.write_config(ymir_saved_file_patterns='onnx')
    cfg = util.get_merged_config()
    for epoch in range(3):
        util.write_ymir_training_result(cfg, ['a.pth'], epoch, map50=0.5)
    assert not task.result_file.exists()
    assert caplog.text.count("matches ymir_saved_file_patterns 'onnx'") == 1
    util.write_ymir_training_result(cfg, ['a.pth', 'b.onnx'], 3, map50=0.5)
    util.write_ymir_training_result(cfg, ['a.pth'], 4, map50=0.9)
    stages = yaml.safe_load(task.result_file.read_text())['model_stages']
    assert {name: stage['files'] for name, stage in stages.items()} == {'stage_3': ['b.onnx']}


def test_links_of_a_training_stay_and_are_followed(task, tmp_path):
    best = tmp_path / 'best.pt'
    (task.models / 'best.pt').symlink_to(best)
    (task.models / 'last.pt').symlink_to(task.add_model('epoch_3.pt'))
    (tmp_path / 'outer.pt').symlink_to(best)
    cfg = util.get_merged_config()
    for epoch in range(2):
        best.write_text(f'weights of epoch {epoch}')
        util.write_ymir_training_result(cfg, ['best.pt', 'last.pt', str(tmp_path / 'outer.pt')], epoch, map50=0.5)
        assert rules.result_yaml_violations(task.result_file) == []
        files = yaml.safe_load(task.result_file.read_text())['model_stages'][f'stage_{epoch}']['files']
        assert sorted(files) == ['best.pt', 'epoch_3.pt', 'outer.pt']
        assert (task.models / f'stage_{epoch}/best.pt').read_text() == f'weights of epoch {epoch}'
        assert (task.models / 'best.pt').is_symlink() and (task.models / 'last.pt').is_symlink()


@pytest.mark.parametrize(
    'given',
    [
        {'map50': -1},
        {'map50': None},
        {'map50': float('nan')},
        {'evaluation_result': {}},
        {'map50': None, 'evaluation_result': {'mAP': None}, 'evaluate_config': {'iou': None}},
    ],
)
def test_a_report_without_a_metric_is_written(task, given):
    util.write_ymir_training_result(util.get_merged_config(), [task.add_model('a.pth')], 1, **given)
    assert rules.result_yaml_violations(task.result_file) == []
    assert yaml.safe_load(task.result_file.read_text())['mAP'] == 0.0


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A driver with three GPUs."""
    program = tmp_path / 'bin/nvidia-smi'
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1" in --id=0) echo "8192, 4096";; --id=2) echo "81920, 512";;'
        ' --id=GPU-ab) echo "1024, 1024";; *) echo "No devices were found"; exit 6;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(program.parent))


@pytest.mark.parametrize(
    'visible, device, memory',
    [
        (None, 'cuda:0', (8, 4)),
        (None, 'cuda', (8, 4)),
        (None, 2, (80, 0.5)),
        ('2,0', 'cuda:0', (80, 0.5)),
        ('2, 0', '1', (8, 4)),
        ('GPU-ab', 'cuda:0', (1, 1)),
    ],
)
def test_gpu_memory(nvidia_smi, monkeypatch, visible, device, memory):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    assert sysinfo.get_gpu_memory(device) == memory


@pytest.mark.parametrize(
    'visible, device, error, words',
    [
        (None, 'cuda:1', NoGpuError, 'cuda:1'),
        ('', 'cuda:0', NoGpuError, 'has 0 GPUs'),
        ('2', 1, NoGpuError, 'has 1'),
        (None, 'cpu', ValueError, "not 'cpu'"),
    ],
)
def test_no_such_gpu(nvidia_smi, monkeypatch, visible, device, error, words):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    with pytest.raises(error, match=words):
        sysinfo.get_gpu_memory(device)


def test_no_driver(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    with pytest.raises(NoGpuError, match='nvidia-smi'):
        sysinfo.get_gpu_memory()


MODULES = (
    'code',
    'dataset_convert',
    'dataset_reader',
    'env',
    'executor',
    'monitor',
    'result_writer',
    'settings',
    'sysinfo',
    'util',
)


def test_no_module_imports_anything_heavy():
    program = (
        f'import sys\nfrom ymir_exc import {", ".join(MODULES)}\n'
        'print(*sorted({name.split(".")[0] for name in sys.modules}))'
    )
    names = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout.split()
    assert 'ymir_exc' in names
    assert not {'torch', 'cv2', 'numpy', 'matplotlib', 'tensorboard', 'mmengine', 'mmcv', 'mmdet'} & set(names)


def test_codes_and_states_of_the_contract():
    from ymir_exc.code import ExecutorReturnCode, ExecutorState

    assert {member.name: int(member) for member in ExecutorState} == {'ES_RUNNING': 2, 'ES_ERROR': 4}
    assert {member.name: int(member) for member in ExecutorReturnCode} == {
        'RC_EXEC_NO_ERROR': 0,
        'RC_EXEC_CONFIG_ERROR': 300001,
        'RC_EXEC_DATASET_ERROR': 300002,
        'RC_EXEC_UNKNOWN_IMAGE_FORMAT': 300003,
        'RC_EXEC_MODEL_ERROR': 300004,
        'RC_EXEC_OBJECT_TYPE_ERROR': 300005,
        'RC_EXEC_CUDA_GPU_ERROR': 300101,
        'RC_EXEC_NO_GPU': 300102,
        'RC_EXEC_OOM': 300103,
        'RC_EXEC_NAN_ERROR': 300201,
        'RC_EXEC_NETWORK_ERROR': 300301,
        'RC_CMD_CONTAINER_ERROR': 160004,
    }


@pytest.mark.parametrize(
    'name, value', [('DEFAULT_ENV_FILE_PATH', '/x/env.yaml'), ('DEFAULT_CONFIG_FILE_PATH', '/x/config.yaml')]
)
def test_settings_come_from_the_environment(name, value):
    program = f'from ymir_exc import settings; print(settings.{name})'
    for given, expected in (({name: value}, value), ({}, value.replace('/x/', '/in/'))):
        environment = {key: item for key, item in os.environ.items() if key != name}
        done = subprocess.run(
            [sys.executable, '-c', program], env={**environment, **given}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_a_file_that_an_earlier_run_left_in_the_folder_of_a_stage_is_not_packed(task):
    """The platform takes `<stage>/<file>` before `<file>`."""
    for folder in ('best/', 'last/', ''):
        for name in ('a.pth', 'a.py'):
            task.add_model(f'{folder}{name}', f'old {name}' if folder else f'new {name}')
    cfg = util.get_merged_config()
    util.write_ymir_training_result(cfg, ['a.pth', str(task.models / 'a.py')], 'best', map50=0.5)
    assert [find_model_file(str(task.models), 'best', name).read_text() for name in ('a.pth', 'a.py')] == [
        'new a.pth',
        'new a.py',
    ]
    result_writer.write_model_stage('last', [str(task.models / 'a.pth'), 'a.py'], mAP=0.4)
    assert find_model_file(str(task.models), 'last', 'a.pth').read_text() == 'new a.pth'
    assert (
        find_model_file(str(task.models), 'last', 'a.py').read_text() == 'old a.py'
    )  # a relative path may mean this one
