"""An image that has nothing to do with ours passes; violations planted into it are named. Docker is a stand-in here."""
import contextlib
import io
import json
import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tests.local.check.planted_images import DAMAGED_RUNS, PLANTED

from ymir.local.check import all_rules, check_image, check_img_man, image, image_run, render
from ymir.local.check.image import Answer, docker
from ymir.local.prepare import ModelStage

HERE = Path(__file__).parent
NAME = 'foreign/image:1'


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """Puts the stand-in on the PATH with one good image; gives the folder of that image."""
    tool = tmp_path / 'bin/docker'
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/bash\nexec {sys.executable} -I -S {HERE / "fake_docker.py"} "$@"\n')
    tool.chmod(0o755)
    folder = tmp_path / 'images/foreign_image_1'
    (folder / 'files/usr/bin').mkdir(parents=True)
    shutil.copytree(HERE / 'foreign/img-man', folder / 'files/img-man')
    shutil.copy(HERE / 'foreign/start.sh', folder / 'files/usr/bin/start.sh')
    config = dict(Cmd=['/bin/sh', '-c', 'bash /usr/bin/start.sh'], Entrypoint=None)
    (folder / 'config.json').write_text(json.dumps(config))
    monkeypatch.setenv('PATH', f'{tool.parent}:/usr/bin:/bin')
    monkeypatch.setenv('FAKE_IMAGES', str(tmp_path / 'images'))
    monkeypatch.setenv('FAKE_LOG', str(tmp_path / 'log'))
    return folder


@pytest.fixture
def in_process(foreign, monkeypatch):
    """Lets the stand-in answer without a process of its own, which is faster; containers are processes still."""

    def answer(*arguments, timeout=None):
        stdout, stderr = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        monkeypatch.setattr(sys, 'argv', ['docker', *arguments])
        code = None
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                runpy.run_path(str(HERE / 'fake_docker.py'))
            except SystemExit as end:
                code = end.code
        stdout.flush()
        code = code if isinstance(code, int) else int(code is not None)
        return Answer(code, stdout.buffer.getvalue(), stderr.getvalue())

    monkeypatch.setattr(image, 'docker', answer)
    monkeypatch.setattr(image_run, 'docker', answer)
    return foreign


def failed(findings):
    return {finding.rule for finding in findings if finding.ok is False}


def commands(foreign):
    return [' '.join(json.loads(line)) for line in (foreign.parents[1] / 'log').read_text().splitlines()]


def test_a_good_image_and_the_commands_of_the_platform(foreign):
    findings = check_image(NAME)
    assert failed(findings) == set(), findings
    run = f'run --rm {NAME} cat'
    assert commands(foreign) == [
        f'image inspect {NAME}', f'images {NAME} --format {{{{.ID}}}}', f'{run} /img-man/manifest.yaml',
        f'{run} /usr/bin/start.sh', f'{run} /img-man/training-template.yaml', f'{run} /img-man/mining-template.yaml',
        f'{run} /img-man/infer-template.yaml'
    ]


@pytest.mark.parametrize('rule, damage', PLANTED, ids=[f'{row[0]}-{number}' for number, row in enumerate(PLANTED)])
def test_planted(rule, damage, in_process):
    damage(in_process)
    findings = check_image(NAME)
    assert failed(findings) == {rule}
    finding = next(finding for finding in findings if finding.rule == rule)
    assert finding.place and finding.mend and finding.text('zh') != finding.text('en')


def test_every_rule_for_images_is_planted():
    names = {rule.name for rule in all_rules() if rule.name.split('/')[0] in ('image', 'template')}
    assert names == {rule for rule, _ in PLANTED} | {'image/engine', 'image/present'}


def test_without_an_engine_one_clear_finding(foreign, monkeypatch):
    monkeypatch.setenv('FAKE_IMAGES', '/nowhere')
    finding, = [finding for finding in check_image(NAME, run=True) if finding.ok is False]
    assert finding.rule == 'image/engine' and 'Is the docker daemon running?' in finding.message
    monkeypatch.setenv('PATH', '/nowhere')
    finding, = [finding for finding in check_image(NAME) if finding.ok is False]
    assert finding.rule == 'image/engine' and 'docker cannot be started' in finding.message


def test_an_image_that_is_nowhere(foreign):
    finding, = [finding for finding in check_image('no/such:image') if finding.ok is False]
    assert finding.rule == 'image/present' and 'pull access denied' in finding.message
    assert commands(foreign)[:2] == ['image inspect no/such:image', 'pull no/such:image']


def test_a_command_that_does_not_end(foreign):
    (foreign.parents[1] / 'bin/docker').write_text('#!/bin/bash\nexec sleep 9\n')
    assert docker('info', timeout=0.2).exit_code is None


def test_templates_of_several_object_types(foreign):
    img_man = foreign / 'files/img-man'
    (img_man / 'manifest.yaml').write_text('object_type: [2, 4]\n')
    for folder in ('det', 'instance-seg'):
        (img_man / folder).mkdir()
        (img_man / folder / 'infer-template.yaml').write_text('rate: 1e-3\n')
    places = [finding.place for finding in check_image(NAME) if finding.ok is False]
    assert places == ['/img-man/det/infer-template.yaml:1 rate', '/img-man/instance-seg/infer-template.yaml:1 rate']


def test_run_of_a_good_image(foreign, tmp_path):
    findings = check_image(NAME, run=True, work_dir=tmp_path / 'work')
    assert failed(findings) == set(), [finding for finding in findings if finding.ok is False]
    passed = {finding.rule for finding in findings if finding.ok}
    assert passed >= {'container/exit-code', 'container/in-unchanged', 'container/ends', 'training/file-exists',
                      'mining/order', 'infer/known-images'}
    runs = [command for command in commands(foreign) if '--user' in command]
    assert len(runs) == 3
    for words in ('--network=none', f'-v{tmp_path}/work', ':/in:ro'):
        assert all(words in command for command in runs)
    assert '--shm-size=1G' in runs[0] and '--shm-size=16G' in runs[1]


@pytest.mark.parametrize('expected, damage', DAMAGED_RUNS, ids=[str(sorted(row[0])) for row in DAMAGED_RUNS])
def test_run_of_a_bad_image(expected, damage, in_process):
    script = in_process / 'files/usr/bin/start.sh'
    script.write_text(damage(script.read_text()))
    findings = [finding for finding in check_image(NAME, run=True) if finding.ok is False]
    assert {finding.rule for finding in findings} == expected
    assert all(finding.place.split(':')[0] in ('training', 'mining', 'infer', 'mining+infer') for finding in findings)


def test_an_image_without_training_needs_a_model_from_elsewhere(foreign, tmp_path):
    (foreign / 'files/img-man/training-template.yaml').unlink()
    findings = check_image(NAME, run=True)
    assert failed(findings) == set()
    skipped = [finding for finding in findings if finding.rule == 'container/runs']
    assert [(finding.ok, finding.place) for finding in skipped] == [(None, 'mining'), (None, 'infer')]
    console = Console(width=120, record=True, file=open(os.devnull, 'w'))
    render(findings, console, 'zh')
    assert 'mining: 未运行：没有模型' in console.export_text()

    weights = tmp_path / 'final.pth'
    weights.write_bytes(b'weights')
    findings = check_image(NAME, run=True, model=ModelStage('final', (weights, ), {'class_names': ['cat']}))
    assert failed(findings) == set() and not [finding for finding in findings if finding.rule == 'container/runs']
    assert len([command for command in commands(foreign) if '--user' in command]) == 2


def test_a_task_that_does_not_end(foreign, monkeypatch):
    monkeypatch.setattr(image_run, 'MAX_SECONDS', 0.5)
    script = foreign / 'files/usr/bin/start.sh'
    script.write_text(script.read_text().replace('progress 1.00', 'exec sleep 3'))
    findings = check_image(NAME, run=True)
    assert 'container/ends' in failed(findings)
    assert any(command.startswith('rm -f t') for command in commands(foreign))


def test_a_folder_of_templates_needs_no_docker(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', '/nowhere')
    assert failed(check_img_man(HERE / 'foreign/img-man')) == set()
    (tmp_path / 'manifest.yaml').write_text('object_type: 2')
    (tmp_path / 'mining-template.yaml').write_text('gpu_id: 1')
    assert failed(check_img_man(tmp_path)) == {'template/reserved'}
    assert failed(check_img_man(tmp_path / 'nothing')) == {'image/manifest', 'image/templates'}
