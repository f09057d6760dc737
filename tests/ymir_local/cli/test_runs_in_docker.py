"""`ymir train --image` with a stand-in for Docker: the commands it runs, and what one reads when Docker fails."""

import json
import os
import shlex
from pathlib import Path

import pytest

from ymir_local.cli import tasks

DOCKER = """#!/bin/bash
cd "${0%/*}"; printf '%q ' "$@" >> calls; echo >> calls
case "$*" in
*training-template.yaml) echo 'max_epochs: 2';;
*manifest.yaml) echo 'object_type: 2';;
image*) ;;
run*) cat rejection; exit 125;;
rm*) echo "Error: No such container: $3" >&2; exit 1;;
esac
"""

OPTIONS = ('--image', 'a:b', '--gpus', '1,3', '--user', '7:8', '--out', 'run', '--json')


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Folder of a Docker that has every image and prints `rejection` instead of starting a container."""
    folder = tmp_path / 'docker'
    folder.mkdir()
    (folder / 'docker').write_text(DOCKER)
    (folder / 'docker').chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    return folder


@pytest.mark.parametrize(
    'said, reason',
    [
        (
            'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n\n'
            "Run 'docker run --help' for more information",
            'use --gpus 0',
        ),
        (
            'docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. '
            'Is the docker daemon running?.\n'
            "See 'docker run --help'.",
            'Is the docker daemon running?',
        ),
        ('time="2024-01-01" level=error msg="error waiting for container: unexpected EOF"', 'unexpected EOF'),
        ('', 'exit code 125: Docker started no container or lost it'),
    ],
)
def test_docker_rejects(ymir, docker, coco_folder, said, reason):
    (docker / 'rejection').write_text(said)
    code, text, _ = ymir('train', coco_folder, *OPTIONS)
    result = json.loads(text)
    assert (code, result['code'], result['exit_code']) == (1, 160004, 125)
    assert reason in result['reason'] and '\n' not in result['reason']


def test_the_commands_of_the_platform(ymir, docker, coco_folder, tmp_path):
    """Section b to inspect, section a.3 to run; nothing else but looking for what may be left."""
    (docker / 'rejection').touch()
    code, text, _ = ymir('train', coco_folder, *OPTIONS)
    result = json.loads(text)
    name, run = result['task_id'], tmp_path.resolve() / 'run'
    calls = [shlex.split(line) for line in (docker / 'calls').read_text().splitlines()]
    assert calls[:4] == [
        ['image', 'inspect', 'a:b'],
        ['run', '--rm', 'a:b', 'cat', '/img-man/manifest.yaml'],
        ['run', '--rm', 'a:b', 'cat', '/img-man/training-template.yaml'],
        [
            'run',
            '--rm',
            f'-v{run}/in:/in:ro',
            f'-v{run}/out:/out',
            f'-v{run}/asset_cache:{run}/asset_cache',
            f'-v{run}/tensorboard/{name}:{run}/tensorboard/{name}',
            '--user',
            '7:8',
            '--gpus',
            '"device=1,3"',
            '--shm-size=32G',
            '--name',
            name,
            'a:b',
        ],
    ]
    assert all(call == ['rm', '-f', name] for call in calls[4:])


def test_a_folder_that_docker_cannot_mount(ymir, docker, coco_folder):
    code, _, errors = ymir('train', coco_folder, '--image', 'a:b', '--gpus', '0', '--out', 'x:b:y')
    assert code == 2 and 'x:b:y: Docker cannot mount a folder with a colon' in errors
    assert not Path('x:b:y').exists()


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own():
    folders = [tasks.new_folder(None, 'train', 'yolov8_n') for _ in range(3)]
    assert len(set(folders)) == 3 and all(folder.is_dir() for folder in folders)


def test_a_folder_that_another_run_has_taken_is_left_to_it(tmp_path):
    folder = tasks.new_folder(tmp_path / 'run', 'train', 'yolov8_n')
    (folder / 'in').mkdir()  # the other run
    with pytest.raises(FileExistsError), tasks.removed_on_error(folder):
        (folder / 'in').mkdir()
    assert (folder / 'in').is_dir()
