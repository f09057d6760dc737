"""What a wheel holds, and that configs are found by the name of the package: in a checkout and once installed."""
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.utils import digit_version

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'


def test_configs_of_a_checkout_are_found_by_the_name_of_the_package(tmp_path):
    cfg = get_config(f'mmyolo::{CONFIG}')
    assert Path(cfg.filename).resolve() == ROOT / 'configs' / CONFIG
    derived = tmp_path / 'mine.py'
    derived.write_text(f"_base_ = 'mmyolo::{CONFIG}'\nmax_epochs = 7\n")
    assert Config.fromfile(derived).model.backbone == cfg.model.backbone


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    if digit_version(version('setuptools')) < digit_version('77'):
        pytest.skip('needs setuptools 77')
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for name in ('mmyolo', 'ymir', 'ymir_exc', 'configs', 'tools', 'demo'):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'):
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
    assert 'mmyolo/models/dense_heads/yolov8_head.py' in names


def test_an_installed_package_finds_its_configs(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / 'site')
    code = ('import mmyolo; from mmengine.hub import get_config; from mmyolo.testing import get_detector_cfg; '
            f"print(mmyolo.__file__); print(get_config('mmyolo::{CONFIG}').model == get_detector_cfg('{CONFIG}'))")
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env={'PYTHONPATH': str(tmp_path / 'site')},
                          capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(tmp_path / 'site/mmyolo/__init__.py'), 'True']


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
