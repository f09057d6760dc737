"""What a wheel holds, and that configs are found by the name of the package: in a checkout and once installed."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.utils import digit_version

from mmyolo.registry import MODELS
from mmyolo.testing import get_detector_cfg
from mmyolo.utils import register_all_modules
from ymir_local.datasets import write_dataset
from ymir_local.demo.sample_data import generate
from ymir_local.platform.labels import Dataset

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'


def test_configs_of_a_checkout_are_found_by_the_name_of_the_package(tmp_path):
    cfg = get_config(f'mmyolo::{CONFIG}')
    assert Path(cfg.filename).resolve() == ROOT / 'configs' / CONFIG
    derived = tmp_path / 'mine.py'
    derived.write_text(f"_base_ = 'mmyolo::{CONFIG}'\nmax_epochs = 7\n")
    assert Config.fromfile(derived).model.backbone == cfg.model.backbone


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    register_all_modules()
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    meta = {'dataset_meta': {'classes': [str(index) for index in range(80)]}}
    torch.save({'state_dict': MODELS.build(get_detector_cfg(CONFIG)).state_dict(), 'meta': meta}, path)
    return path


@pytest.mark.filterwarnings('ignore:Failed to add')  # a backend that keeps pictures, of which none are kept here
def test_a_checkout_finds_models_by_name(weights):
    with DefaultScope.overwrite_default_scope('mmyolo'):
        inferencer = DetInferencer(Path(CONFIG).stem, weights=str(weights), scope='mmyolo', device='cpu')
        found = inferencer(str(ROOT / 'demo/demo.jpg'), no_save_vis=True, out_dir='')['predictions'][0]
    assert len(found['bboxes']) == len(found['scores']) > 0


def test_the_image_holds_what_a_checkout_has():
    """Models are looked for beside `configs`, which the image has beside the package."""
    copied = [line.split() for line in (ROOT / 'ymir/Dockerfile').read_text().splitlines() if line.startswith('COPY')]
    into_app = {name for _, *names, target in copied if target.startswith('/app') for name in names}
    assert into_app >= {'mmyolo', 'vidt', 'tmi', 'ymir', 'ymir_exc', 'configs', 'tools', 'model-index.yml'}
    assert not into_app & {'ymir_local', 'pie_local', 'report_pages', 'process_guard', 'tests', 'docs'}
    assert {f'!{name}' for name in into_app} <= set((ROOT / '.dockerignore').read_text().splitlines())


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    if digit_version(version('setuptools')) < digit_version('77'):
        pytest.skip('needs setuptools 77')
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    packages = (
        'mmyolo',
        'vidt',
        'tmi',
        'ymir',
        'pie',
        'ymir_exc',
        'ymir_local',
        'pie_local',
        'report_pages',
        'process_guard',
    )
    for name in (*packages, 'configs', 'tools', 'demo'):
        # Another process may be compiling modules: what it writes has such a name until it is whole.
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns('*.pyc.*'))
    for name in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE', 'model-index.yml'):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '-q', '-w', str(out), '.']
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(out.glob('*.whl'))


def test_a_wheel_holds_configs_tools_and_demos(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools', 'demo'):
        files = [path for path in (ROOT / folder).rglob('*') if path.is_file() and '__pycache__' not in path.parts]
        assert files
        missing = {f'mmyolo/.mim/{path.relative_to(ROOT).as_posix()}' for path in files} - names
        assert not missing
    assert 'mmyolo/.mim/model-index.yml' in names
    assert not [name for name in names if '__pycache__' in name]
    assert {'mmyolo/models/dense_heads/yolov8_head.py', 'vidt/models/detector.py'} <= names


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """A folder in which the wheel is installed, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp('installed') / 'site'
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_an_installed_executor_finds_models_tools_and_templates(site, tmp_path):
    code = (
        'import tmi.paths; from pathlib import Path; import ymir; from tmi.zoo.models import main; main(); '
        'print(tmi.paths.TOOLS_ROOT, Path(ymir.__file__).parent)'
    )
    command = [sys.executable, '-c', code]
    environment = {'PYTHONPATH': str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    listed, places = done.stdout.splitlines()
    models = json.loads(listed)
    assert [model for model in models if not (model['parameters'] and model['input'])] == [] and len(models) >= 60
    assert all((site / 'mmyolo/.mim' / model['config']).is_file() for model in models)
    tools, executor = map(Path, places.split())
    assert (
        tools == site / 'mmyolo/.mim/tools' and (tools / 'dist_train.sh').is_file() and (tools / 'train.py').is_file()
    )
    assert executor == site / 'ymir' and (executor / 'img-man/training-template.yaml').is_file()


def test_an_installed_package_finds_its_configs_and_models(site, tmp_path):
    code = (
        'import mmyolo; from mmengine.hub import get_config; from mmyolo.testing import get_detector_cfg; '
        f'from mmengine.infer import BaseInferencer; models = BaseInferencer.list_models("mmyolo", ".*"); '
        f"print(mmyolo.__file__); print('{Path(CONFIG).stem}' in models); "
        f"print(get_config('mmyolo::{CONFIG}').model == get_detector_cfg('{CONFIG}'))"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={'PYTHONPATH': str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-3:] == [str(site / 'mmyolo/__init__.py'), 'True', 'True']


@pytest.mark.slow
@pytest.mark.integration
def test_an_installed_command_lists_and_trains_models(wheel, tmp_path):
    """In an environment that has the wheel and, from that of the tests, the packages that it needs."""
    venv.create(tmp_path / 'env', with_pip=False)
    packages = next((tmp_path / 'env').glob('lib/python*/site-packages'))
    (packages / 'needed.pth').write_text('\n'.join({sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}))
    python = str(tmp_path / 'env/bin/python')
    install = [
        sys.executable,
        '-m',
        'pip',
        '--python',
        python,
        'install',
        '--no-deps',
        '--no-compile',
        '-q',
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)

    def ymir(*words):
        command = [str(tmp_path / 'env/bin/ymir'), *words, '--json']
        done = subprocess.run(command, cwd=tmp_path, env={'PATH': os.environ['PATH']}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    models = ymir('models')['models']
    assert len(models) >= 60 and all((packages / 'mmyolo/.mim' / model['config']).is_file() for model in models)
    images = generate(tmp_path / 'images', num_images=6, num_classes=1, size_range=(64, 96))
    write_dataset(Dataset(('target',), {'all': tuple(images)}), tmp_path / 'data', 'coco')
    options = ('max_epochs=1', 'img_size=64', 'samples_per_gpu=2', 'workers_per_gpu=0', 'pretrained=none')
    trained = ymir('train', 'data', '--model', 'yolov5_n', '--gpus', '0', *options)
    assert trained['ok'] and Path(tmp_path, trained['package']).is_file()
    config = next((tmp_path / trained['out'] / 'models').rglob('*.py')).read_text()
    assert str(ROOT) not in config
    assert ymir('report', trained['folder'])['ok']


def test_published_weights_are_found():
    index = yaml.safe_load((ROOT / 'mmyolo/.mim/model-index.yml').read_text())['Import']
    assert [ROOT / path for path in index] == sorted((ROOT / 'configs').glob('*/metafile.yml'))
    models = [model for path in index for model in yaml.safe_load((ROOT / path).read_text())['Models']]
    names = [model['Config'] for model in models]
    assert len(set(names)) == len(names) >= 70
    assert [name for name in names if not (ROOT / name).is_file()] == []
    assert all(model['Weights'].startswith('https://') and model['Results'][0]['Metrics'] for model in models)
    cfg = get_config(f'mmyolo::{CONFIG}', pretrained=True)
    assert cfg.model_path.endswith('yolov8_n_syncbn_fast_8xb16-500e_coco_20230114_131804-88c11cdb.pth')
