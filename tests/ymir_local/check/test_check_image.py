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
from typer.testing import CliRunner

from tests.ymir_local.check import runs
from tests.ymir_local.check.planted import result, stage
from tests.ymir_local.check.planted_images import DAMAGED_RUNS, PLANTED
from ymir_local.check import (
    all_rules,
    check_image,
    check_img_man,
    check_out,
    has_errors,
    image,
    image_run,
    render,
    run_rules,
)
from ymir_local.check.image import Answer, docker
from ymir_local.check.run_rules import Moments
from ymir_local.cli import app
from ymir_local.platform.prepare import ModelStage

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
    config = {'Cmd': ['/bin/sh', '-c', 'bash /usr/bin/start.sh'], 'Entrypoint': None}
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
        f'image inspect {NAME}',
        f'images {NAME} --format {{{{.ID}}}}',
        f'{run} /img-man/manifest.yaml',
        f'{run} /usr/bin/start.sh',
        f'{run} /img-man/training-template.yaml',
        f'{run} /img-man/mining-template.yaml',
        f'{run} /img-man/infer-template.yaml',
    ]


@pytest.mark.parametrize('rule, damage', PLANTED, ids=[f'{row[0]}-{number}' for number, row in enumerate(PLANTED)])
def test_planted(rule, damage, in_process):
    damage(in_process)
    findings = check_image(NAME)
    assert failed(findings) == {rule}
    finding = next(finding for finding in findings if finding.rule == rule)
    assert finding.place and finding.fix and finding.text('zh') != finding.text('en')


def test_every_rule_for_images_is_planted():
    names = {rule.name for rule in all_rules() if rule.name.split('/')[0] in ('image', 'template')}
    assert names == {rule for rule, _ in PLANTED} | {'image/engine', 'image/present'}


def test_without_an_engine_one_clear_finding(foreign, monkeypatch):
    monkeypatch.setenv('FAKE_IMAGES', '/nowhere')
    (finding,) = [finding for finding in check_image(NAME, run=True) if finding.ok is False]
    assert finding.rule == 'image/engine' and 'Is the docker daemon running?' in finding.message
    monkeypatch.setenv('PATH', '/nowhere')
    (finding,) = [finding for finding in check_image(NAME) if finding.ok is False]
    assert finding.rule == 'image/engine' and 'docker cannot be started' in finding.message


def test_an_image_that_is_nowhere(foreign):
    (finding,) = [finding for finding in check_image('no/such:image') if finding.ok is False]
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
    assert passed >= {
        'container/exit-code',
        'container/in-unchanged',
        'container/ends',
        'training/file-exists',
        'mining/order',
        'infer/known-images',
    }
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


def places(findings, rule):
    return [finding.place for finding in findings if finding.rule == rule and finding.ok is False]


def test_an_image_without_training_needs_a_model_from_elsewhere(foreign, tmp_path):
    (foreign / 'files/img-man/training-template.yaml').unlink()
    findings = check_image(NAME, run=True)
    assert failed(findings) == {'container/tried'} and not has_errors(findings)
    assert places(findings, 'container/tried') == ['mining', 'infer']
    assert '--model' in next(finding.fix for finding in findings if finding.rule == 'container/tried')
    console = Console(width=160, record=True, file=open(os.devnull, 'w'))
    render(findings, console, 'zh')
    assert '没有给出模型' in console.export_text()

    weights = tmp_path / 'final.pth'
    weights.write_bytes(b'weights')
    tasks = []
    model = ModelStage('final', (weights,), {'class_names': ['cat']})
    findings = check_image(NAME, run=True, model=model, on_task=tasks.append)
    assert failed(findings) == set() and tasks == ['mining+infer', 'infer']
    assert len([command for command in commands(foreign) if '--user' in command]) == 2


def test_a_training_that_gives_no_model(in_process):
    script = in_process / 'files/usr/bin/start.sh'
    fail = '[ $(value run_training env) = false ] || exec sh -c "echo why; exit 5"'
    script.write_text(script.read_text().replace('progress 0.00', fail, 1))
    findings = check_image(NAME, run=True)
    assert failed(findings) == {'container/exit-code', 'monitor/code-on-failure', 'container/tried'}
    assert places(findings, 'container/tried') == ['mining', 'infer']


def test_a_model_whose_result_has_the_old_form_or_no_metric(in_process):
    script = in_process / 'files/usr/bin/start.sh'
    old = script.read_text()
    begin, end = old.index('best_stage_name: final'), old.index('END\nfi')
    script.write_text(old[:begin] + 'model: [final.pth]\nmap: 0.5\n' + old[end:])
    assert failed(check_image(NAME, run=True)) == set()
    script.write_text(old.replace(', mAP: 0.5', ''))
    assert failed(check_image(NAME, run=True)) == {'verifier/stage-metric'}


def test_a_template_that_the_platform_rejects_is_no_reason_to_stop(in_process):
    template = in_process / 'files/img-man/training-template.yaml'
    template.write_text(template.read_text().replace('ark:raw', 'ark'))
    findings = check_image(NAME, run=True)
    assert failed(findings) == {'template/export-format', 'container/tried'}
    assert places(findings, 'container/tried') == ['training', 'mining', 'infer']
    assert 'export_format' in next(finding.message for finding in findings if finding.rule == 'container/tried')


def test_templates_that_are_not_for_detection_are_named(in_process):
    img_man = in_process / 'files/img-man'
    (img_man / 'manifest.yaml').write_text('object_type: [2, 3]\n')
    for folder in ('det', 'semantic-seg'):
        (img_man / folder).mkdir()
        shutil.copy(img_man / 'training-template.yaml', img_man / folder)
    findings = check_image(NAME, run=True)
    assert failed(findings) == {'container/tried'}
    assert places(findings, 'container/tried') == ['/img-man/semantic-seg/training-template.yaml']
    assert any(finding.rule == 'training/file-exists' and finding.ok for finding in findings)


def test_instance_segmentation_is_tried_too(in_process, tmp_path):
    img_man = in_process / 'files/img-man'
    (img_man / 'manifest.yaml').write_text('object_type: [2, 4]\n')
    for folder, export_format in (('det', 'ark:raw'), ('instance-seg', 'seg-coco:raw')):
        (img_man / folder).mkdir()
        text = (img_man / 'training-template.yaml').read_text()
        (img_man / folder / 'training-template.yaml').write_text(text.replace('ark:raw', export_format))
    tasks = []
    findings = check_image(NAME, run=True, on_task=tasks.append, work_dir=tmp_path / 'work')
    assert tasks == ['training', 'instance-seg training']
    assert failed(findings) == {'verifier/stage-metric'}  # it writes mAP whatever the type
    assert all(place.startswith('instance-seg training: ') for place in places(findings, 'verifier/stage-metric'))
    config = (tmp_path / 'work/instance-seg/training/in/config.yaml').read_text()
    assert 'object_type: 4' in config and 'export_format: seg-coco:raw' in config
    (coco,) = (tmp_path / 'work/instance-seg/training/in').rglob('coco-annotations.json')
    assert '"segmentation": [[' in coco.read_text()


def test_on_the_command_line(in_process, tmp_path):
    def ymir(*arguments):
        words = ['check', '--image', NAME, *map(str, arguments)]
        done = CliRunner().invoke(app, words, env={'LANG': 'C', 'COLUMNS': '200'})
        return done.exit_code, done.stdout, done.stderr

    code, text, _ = ymir()
    assert code == 0 and 'No task was tried' in text
    (in_process / 'files/img-man/training-template.yaml').unlink()
    code, text, _ = ymir('--run')
    assert code == 0 and 'container/tried' in text and '2 warning(s)' in text
    weights = tmp_path / 'final.pth'
    weights.write_bytes(b'weights')
    options = ('--run', '--model', weights, '--out', tmp_path / 'kept')
    code, text, errors = ymir(*options, '--json')
    assert code == 2 and '--classes' in errors
    code, text, errors = ymir(*options, '--classes', 'cat', '--json')
    assert code == 0 and 'trying: mining and inference' in errors, errors
    assert json.loads(text)['errors'] == json.loads(text)['warnings'] == 0
    assert (tmp_path / 'kept/mining/out/result.tsv').is_file()
    assert ymir(*options, '--classes', 'cat')[0] == 2  # kept/ is there
    for wrong in (('--model', weights), ('--gpus', '1'), ('--in', tmp_path), ('--run', '--model', 'nowhere.tar')):
        assert ymir(*wrong)[0] == 2, wrong


def test_gpus(in_process):
    check_image(NAME, run=True, gpu_ids=(1, 3))
    tried = [command for command in commands(in_process) if '--user' in command]
    assert len(tried) == 3 and all('--gpus "device=1,3"' in command for command in tried)


def test_what_the_unknown_user_wrote_can_be_removed(in_process, monkeypatch, tmp_path):
    monkeypatch.setattr(os, 'getuid', lambda: 1000)
    check_image(NAME, run=True, work_dir=tmp_path / 'work')
    assert f'--user 0:0 -v{tmp_path}/work:/work --entrypoint chmod {NAME} -R a+rwX /work' in commands(in_process)[-1]


def test_training_data_is_as_awkward_as_real_data(in_process, tmp_path):
    check_image(NAME, run=True, work_dir=tmp_path / 'work')
    texts = [path.read_text() for path in (tmp_path / 'work/training/in/annotations').rglob('*.txt')]
    assert '' in texts and any(line.startswith('0, -4, -3, ') for text in texts for line in text.split('\n'))


@pytest.mark.parametrize(
    'change, rule',
    [
        (lambda out: (out / 'models/final.pth').unlink(), 'training/file-exists'),
        (lambda out: (out / 'models/result.yaml').write_text(''), 'training/readable'),
        (lambda out: (out / 'monitor.txt').write_text('t1\t17'), 'monitor/columns'),
        (lambda out: (out / 'monitor.txt').unlink(), 'monitor/exists'),
    ],
)
def test_what_is_wrong_for_a_moment(change, rule, tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    (task.out_dir / 'models/epoch_2/epoch_2.pth').rename(task.out_dir / 'models/final.pth')
    stage(files=['final.pth'])(task)
    moments = Moments(task.out_dir, 'training')
    moments.look()
    assert list(moments.hits([])) == []
    change(task.out_dir)
    moments.look()
    moments.look()
    (hit,) = moments.hits([])
    assert hit.place.startswith('training: ') and hit.found[0].startswith(f'{rule}: ')
    at_the_end = check_out(task.out_dir, task.in_dir)
    assert list(moments.hits(at_the_end)) == []  # told by its own rule


def test_an_empty_monitor_txt_is_harmless_for_a_moment(tmp_path, images):
    task = runs.make('mining', tmp_path / 'work', images)
    task.monitor_file.write_text('')
    moments = Moments(task.out_dir, 'mining')
    moments.look()
    assert list(moments.hits([])) == []


def test_what_changes_while_one_looks_is_not_judged(tmp_path, images, monkeypatch):
    """A stage leaves result.yaml and then its files go: the old text does not match the new folder."""
    task = runs.make('training', tmp_path / 'work', images)
    moments = Moments(task.out_dir, 'training')
    real = run_rules.findings_of

    def remove_a_stage(*arguments):
        result(lambda value: value['model_stages'].pop('epoch_1') and None)(task)
        monkeypatch.setattr(run_rules, 'findings_of', real)
        return real(*arguments)

    broken = task.out_dir / 'models/epoch_1.pth'
    broken.unlink()
    monkeypatch.setattr(run_rules, 'findings_of', lambda *arguments: [*real(*arguments), *remove_a_stage(*arguments)])
    moments.look()
    assert list(moments.hits([])) == []
    moments.look()
    assert list(moments.hits([])) == []


def test_a_task_is_looked_at_while_it_runs(foreign, monkeypatch):
    """The task waits until it has been seen in the wrong moment."""
    script = foreign / 'files/usr/bin/start.sh'
    wait = (
        'mv "$out/models/final.pth" "$out/kept"; until [ -e "$out/seen" ]; do sleep 0.05; done; '
        'mv "$out/kept" "$out/models/final.pth"'
    )
    script.write_text(script.read_text().replace('END\nfi', f'END\n{wait}\nfi', 1))
    look = Moments.look

    def look_and_tell(self):
        look(self)
        if self.seen:
            (self.out_dir / 'seen').touch()

    monkeypatch.setattr(Moments, 'look', look_and_tell)
    findings = check_image(NAME, run=True)
    assert failed(findings) == {'container/always-valid'}
    assert places(findings, 'container/always-valid')[0].startswith('training: models/result.yaml:')


def test_a_task_that_does_not_end(foreign, monkeypatch):
    monkeypatch.setattr(image_run, 'MAX_SECONDS', 0.5)
    script = foreign / 'files/usr/bin/start.sh'
    script.write_text(script.read_text().replace('progress 1.00', 'exec sleep 3'))
    findings = check_image(NAME, run=True)
    assert 'container/ends' in failed(findings)
    assert any(command.startswith('rm -f t') for command in commands(foreign))


def test_a_folder_of_templates_needs_no_docker(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', '/nowhere')
    findings = check_img_man(HERE / 'foreign/img-man')
    assert failed(findings) == set()
    assert {finding.rule for finding in findings if finding.rule.startswith('image/') and finding.ok is not None} == {
        'image/manifest',
        'image/object-type',
        'image/object-type-known',
        'image/flags',
        'image/templates',
    }
    (tmp_path / 'manifest.yaml').write_text('object_type: 2')
    (tmp_path / 'mining-template.yaml').write_text('gpu_id: 1')
    assert failed(check_img_man(tmp_path)) == {'template/reserved'}
    assert failed(check_img_man(tmp_path / 'nothing')) == {'image/manifest', 'image/templates'}
