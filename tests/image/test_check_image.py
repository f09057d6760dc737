"""`check_image` with a real engine: on an image that has nothing to do with ours, on damaged ones, and on ours."""

import re
import subprocess
from pathlib import Path

import pytest

from ymir_local.check import check_image, image_run
from ymir_local.platform.prepare import ModelStage

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
FOLDER = Path(__file__).resolve().parents[1] / 'ymir_local/check/foreign'
FOREIGN = 'check/foreign:test'


def build(tag, dockerfile=None, *options):
    command = ['docker', 'build', '--quiet', '--network=none', '-t', tag, *options]
    done = subprocess.run(
        [*command, '-'] if dockerfile else [*command, str(FOLDER)], input=dockerfile, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return tag


@pytest.fixture(scope='module')
def foreign(base_image):
    """A plain shell executor, built on the base image."""
    yield build(FOREIGN, None, '--build-arg', f'BASE_IMAGE={base_image}')
    subprocess.run(['docker', 'rmi', '-f', FOREIGN], capture_output=True)


@pytest.fixture
def variant(foreign):
    """Builds the foreign image with further lines of a Dockerfile."""
    tag = 'check/variant:test'
    yield lambda lines: build(tag, f'FROM {foreign}\n{lines}\n')
    subprocess.run(['docker', 'rmi', '-f', tag], capture_output=True)


def failed(findings):
    return {finding.rule for finding in findings if finding.ok is False}


def test_foreign_image(foreign):
    findings = check_image(foreign, run=True)
    assert failed(findings) == set(), [finding for finding in findings if finding.ok is False]
    assert {finding.rule for finding in findings if finding.ok} >= {
        'image/cat',
        'image/command',
        'template/mapping',
        'container/ends',
        'container/exit-code',
        'container/in-unchanged',
        'container/always-valid',
        'container/tried',
        'training/file-exists',
        'mining/order',
        'infer/box-integers',
    }


def test_an_image_without_training_is_tried_with_a_given_model(variant, tmp_path):
    name = variant('RUN rm /img-man/training-template.yaml')
    assert failed(check_image(name, run=True)) == {'container/tried'}
    weights = tmp_path / 'final.pth'
    weights.write_bytes(b'weights')
    tasks = []
    model = ModelStage('final', (weights,), {'class_names': ['cat']})
    assert failed(check_image(name, run=True, model=model, on_task=tasks.append)) == set()
    assert tasks == ['mining+infer', 'infer']


@pytest.mark.parametrize(
    'lines, expected',
    [
        ('RUN rm -r /img-man/*-template.yaml', {'image/templates'}),
        ('RUN rm /bin/cat', {'image/cat'}),
        ('ENTRYPOINT ["/bin/bash"]', {'image/entry-point'}),
        (
            'RUN printf \'#!/bin/bash\\necho banner\\nexec "$@"\\n\' > /banner.sh && chmod 755 /banner.sh\nENTRYPOINT '
            '["/banner.sh"]',
            {'image/entry-point'},
        ),
        ('CMD ["bash"]', {'image/command'}),
        ('RUN rm /usr/bin/start.sh', {'image/start-script'}),
        ('RUN echo "since: 2023-01-31" >> /img-man/infer-template.yaml', {'template/json'}),
        ('RUN echo "rate: 1e-3" >> /img-man/infer-template.yaml', {'template/scientific'}),
    ],
    ids=['no templates', 'no cat', 'entry point', 'banner', 'no command', 'no script', 'date', 'exponent'],
)
def test_inspection_of_damaged_images(variant, lines, expected):
    assert failed(check_image(variant(lines))) == expected


@pytest.mark.parametrize(
    'line',
    [
        'touch "$HOME/.cache"',
        'touch "$in/cache"',
        'ls /sys/class/net | grep -v lo || exec sh -c "echo no network; false"',
        'getent passwd "$(id -u)" || exec sh -c "echo no such user; false"',
    ],
    ids=['writes to HOME', 'writes to /in', 'needs a network', 'needs a named user'],
)
def test_runs_of_damaged_images(variant, line):
    findings = check_image(variant(f"RUN sed -i '/^progress 0.00/i {line}' /usr/bin/start.sh"), run=True)
    assert failed(findings) == {'container/exit-code', 'monitor/code-on-failure', 'container/tried'}
    assert {finding.place for finding in findings if finding.rule == 'container/tried' and not finding.ok} == {
        'mining',
        'infer',
    }


def test_writing_through_the_shared_cache_is_found(variant, monkeypatch):
    """Root, as whom the platform starts containers by default, cannot write to /in but to what it links to."""
    monkeypatch.setattr(image_run, 'USER', '0:0')
    name = variant(
        'RUN sed -i \'/^progress 0.00/i for f in "$in"/assets/*/*; do echo >> "$f"; done\' /usr/bin/start.sh'
    )
    assert failed(check_image(name, run=True)) == {'container/in-unchanged'}


def test_the_example_of_the_document(base_image, tmp_path):
    """docs/contract.md as it stands, but for the base image: it builds, and nothing is wrong with it."""
    text = (FOLDER.parents[3] / 'docs/contract.md').read_text(encoding='utf-8')
    text = text[text.index('<!-- example -->') :]
    executor, settings, dockerfile = (
        re.search(rf'```{language}\n(.*?)```', text, re.DOTALL)[1] for language in ('python', 'bash', 'dockerfile')
    )
    (tmp_path / 'executor.py').write_text(executor)
    (tmp_path / 'Dockerfile').write_text(re.sub('^FROM .*', f'FROM {base_image}', dockerfile))
    subprocess.run(['bash', '-ec', settings], cwd=tmp_path, check=True)
    tag = 'check/example:test'
    done = subprocess.run(
        ['docker', 'build', '--network=host', '-t', tag, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    try:
        tasks = []
        findings = check_image(tag, run=True, on_task=tasks.append)
        assert [finding for finding in findings if finding.ok is False] == []
        assert tasks == ['training', 'mining+infer', 'infer']
    finally:
        subprocess.run(['docker', 'rmi', '-f', tag], capture_output=True)


def test_our_image(image):
    assert failed(check_image(image)) == set()
