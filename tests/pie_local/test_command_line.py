"""The command `pie`: exit codes, languages, and the server that a shell can use."""

import json
import os
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from pie_local.cli import main

HERE = Path(__file__).parent


def pie(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def test_run_and_check(ships, weights, tmp_path, capsys, monkeypatch):
    package = tmp_path / 'package/network'
    package.mkdir(parents=True)
    shutil.copyfile(HERE / 'minimal_train.py', package / 'train.py')
    shutil.copyfile(weights, package / 'untrained.th')
    Image.new('RGB', (8, 8)).save(package / 'pred.png')
    monkeypatch.setenv('PIE_LANG', 'en')
    monkeypatch.chdir(tmp_path)
    words = ['run', 'package', 'epochs=2', 'model_name=net', '--python', os.path.relpath(sys.executable)]
    words += ['--data', os.path.relpath(ships), '--out', 'one']
    assert pie(*words) == 0
    shown = capsys.readouterr().out
    assert 'epoch 2/2: the platform would push it' in shown and 'passed: 2 epochs in ' in shown
    assert pie('check', tmp_path / 'one') == 0 == pie('check', tmp_path / 'one/network/output')
    picture = tmp_path / 'one/network/output/picture/pred.png'
    picture.write_bytes(picture.read_bytes()[:-20])
    capsys.readouterr()
    assert pie('check', tmp_path / 'one') == 1
    assert capsys.readouterr().out.startswith('picture/pred.png: not a readable PNG')
    monkeypatch.setenv('PIE_LANG', 'zh_CN.UTF-8')
    assert pie('check', tmp_path / 'one') == 1
    assert capsys.readouterr().out.startswith('picture/pred.png: 不是可读的 PNG 图片')
    assert pie(*words[:-2], '--resume', tmp_path / 'one', '--out', tmp_path / 'two', 'dataset_id=') == 0
    assert 'resumed True' in capsys.readouterr().out
    assert pie(*words) == 1
    assert 'one 已存在' in capsys.readouterr().err


def test_wrong_usage(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('PIE_LANG', 'en')
    assert pie('check', tmp_path) == 1
    assert capsys.readouterr().err.startswith(f'{tmp_path} is no output folder')
    assert pie('run', tmp_path) == 2 and pie('draw', 'boxes', tmp_path / 'x') == 2
    assert pie('draw', 'change', tmp_path / 'x', '--images', 4, '--size', 64) == 0
    assert (tmp_path / 'x/valid/A/0000.png').is_file()
    assert pie('run', tmp_path, '--data', tmp_path / 'x') == 1
    assert capsys.readouterr().err.strip().endswith('has no train.py; name the folder of a network package')
    (tmp_path / 'a.json').write_text('[1]')
    assert pie('run', tmp_path, '--data', tmp_path / 'x', '--params', tmp_path / 'a.json') == 1
    assert 'a.json is no JSON object of parameters: it is no object' in capsys.readouterr().err
    assert pie('run', tmp_path, 'epochs=1', '--data', tmp_path / 'x', '--params', tmp_path / 'a.json', '--as-file') == 2


def test_serve(ships, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('PIE_LANG', 'en')
    shown = []

    def use(stop: threading.Event) -> None:
        shown.extend(capsys.readouterr().out.splitlines())
        variables = dict(line.removeprefix('export ').split('=') for line in shown[1:4])
        assert shown[4].split() == [variables['AI_DATASET_ID'], 'detection', '12', str(ships)]
        asked = f'{variables["AI_DATASET"]}uploadS3/getS3Params?datasetId={variables["AI_DATASET_ID"]}'
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)['data']['keyPrefix'].endswith(f'/{variables["AI_DATASET_ID"]}/')
        with pytest.raises(urllib.error.HTTPError, match='403'):  # without a signature
            urllib.request.urlopen(variables['AWS_ENDPOINT_URL_S3'])
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)

    monkeypatch.setattr('pie_local.cli.wait_until_stopped', use)
    assert pie('serve', ships, '--keep', tmp_path) == 130
    endpoint = next(line for line in shown if 'AWS_ENDPOINT' in line).split('=')[1]
    with pytest.raises(urllib.error.URLError, match='refused'):
        urllib.request.urlopen(endpoint)
