"""`pie report`: one page with what a run left, whatever of it is missing or wrong."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pie_local.cli import main
from pie_local.report import write_report

HERE = Path(__file__).parent


@pytest.fixture
def run(tmp_path: Path, weights: Path) -> Path:
    folder = tmp_path / 'run'
    output = folder / 'network/output'
    for name in ('files', 'picture'):
        (output / name).mkdir(parents=True)
    shutil.copyfile(weights, output / 'files/net.th')
    shutil.copyfile(HERE / 'document_trainlog.json', output / 'trainlog.json')
    for name in ('image', 'label', 'pred'):
        Image.new('RGB', (8, 8)).save(output / f'picture/{name}.png')
    for epoch in range(1, 13):
        pushed = folder / f'pushed/epoch_{epoch}/picture'
        pushed.mkdir(parents=True)
        shutil.copyfile(output / 'picture/pred.png', pushed / 'pred.png')
    (folder / 'parameters.json').write_text(json.dumps({'model_name': 'net', 'load_size': '<64>,64', 'label': '['}))
    (folder / 'run.json').write_text(json.dumps({'task': 'segmentation', 'findings': [['seen before', '之前']]}))
    (folder / 'log.txt').write_text('\n'.join(f'line {k}' for k in range(100)))
    return folder


def test_what_a_page_holds(run, tmp_path, monkeypatch):
    monkeypatch.setenv('PIE_LANG', 'zh')
    assert write_report(run, tmp_path / 'new/page.html') == []
    page = (tmp_path / 'new/page.html').read_text(encoding='utf-8')
    assert '<html lang="zh" data-open="zh">' in page and '损失率' in page
    assert page.count('<svg class="chart line-chart') == 5  # a chart for each metric
    assert re.findall(r'<tr><td>(\w+)</td><td class="n">([\d.]+)</td>', page) == [
        ('all', '0.501'),
        ('backgroud', '0.105'),
        ('bulding', '0.897'),
    ]
    assert re.findall(r' alt="([^"]+)"', page) == [
        *('image.png', 'label.png', 'pred.png'),
        *(f'pred.png of epoch {epoch}' for epoch in (1, 3, 5, 7, 9, 11)),
    ]
    assert 'seen before' in page and '之前' in page and '&lt;64&gt;,64' in page
    assert 'line 99' in page and 'line 59' not in page
    assert 'http' not in page.replace('http-equiv', '').replace('http://www.w3.org/2000/svg', '')


def test_what_is_missing_or_wrong_is_named(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PIE_LANG', 'en')
    (run / 'network/output/trainlog.json').write_text('{"epochs": [3, {"valid": 4}], "best": 7, "description": []}')
    (run / 'run.json').write_text('[]')
    with pytest.raises(SystemExit) as end:
        main(['report', str(run)])
    page = (run / 'report.html').read_text(encoding='utf-8')
    assert end.value.code == 0 and 'trainlog.json best: is 7; allowed' in page and 'No epoch was finished.' in page
    with pytest.raises(SystemExit) as end:
        main(['report', str(tmp_path)])
    assert end.value.code == 1 and 'is no output folder' in capsys.readouterr().err
