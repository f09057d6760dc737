"""What the platform does when an image is added (contract section b)."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
IMG_MAN = Path(__file__).resolve().parents[2] / 'ymir' / 'img-man'


TEMPLATES = ('training-template', 'mining-template', 'infer-template')


@pytest.mark.parametrize(
    'name', ['manifest', *(f'{kind}{name}' for kind in ('', 'det/', 'instance-seg/') for name in TEMPLATES)]
)
def test_cat_prints_only_yaml(image, name):
    done = subprocess.run(['docker', 'run', '--rm', image, 'cat', f'/img-man/{name}.yaml'], capture_output=True)
    assert done.returncode == 0
    assert done.stdout == (IMG_MAN / f'{name}.yaml').read_bytes()
    assert done.stderr == b''
    assert isinstance(yaml.safe_load(done.stdout), dict)


def test_command_and_entry_point(image):
    config = json.loads(subprocess.check_output(['docker', 'image', 'inspect', image]))[0]['Config']
    assert not config['Entrypoint']
    assert config['Cmd'] == ['/bin/sh', '-c', 'bash /usr/bin/start.sh']
    script = subprocess.check_output(['docker', 'run', '--rm', image, 'cat', '/usr/bin/start.sh'], text=True)
    assert 'ymir/start.py' in script


def test_models_are_listed_with_size_and_input(image):
    """By a user that the image does not know, from any folder."""
    command = ['docker', 'run', '--rm', '--network=none', '--user', '12345:23456', '--workdir', '/', image]
    listed = json.loads(subprocess.check_output([*command, 'python3', '-m', 'tmi.zoo.models'], text=True))
    assert len(listed) >= 60
    assert [model['name'] for model in listed if not (model['parameters'] and model['input'])] == []
    assert sum(model['ap'] is not None for model in listed) >= 40


def test_what_is_for_the_machine_around_the_image_is_not_in_it(image):
    script = 'ls /app; command -v ymir; python3 -c "import tmi, ymir, ymir_exc, mmyolo; import ymir_local"'
    done = subprocess.run(
        ['docker', 'run', '--rm', '--workdir', '/', image, 'bash', '-c', script], capture_output=True, text=True
    )
    names = set(done.stdout.split())
    assert names >= {'tmi', 'ymir', 'ymir_exc', 'mmyolo', 'vidt', 'configs', 'tools', 'model-index.yml'}
    assert not names & {'ymir_local', 'tests', 'docs', 'benchmarks', 'pyproject.toml'}
    assert not [name for name in names if name.endswith('/ymir')]
    assert "No module named 'ymir_local'" in done.stderr


def test_exactly_one_opencv(image):
    packages = subprocess.check_output(
        ['docker', 'run', '--rm', '--network=none', image, 'python3', '-m', 'pip', 'list'],
        text=True,
        stderr=subprocess.DEVNULL,
    )
    assert [line.split()[0] for line in packages.splitlines() if line.lower().startswith('opencv')] == [
        'opencv-python-headless'
    ]


def test_an_unknown_user_can_read_code_and_weights(image):
    """Nothing in /app, /weights and /img-man is closed to a user that the image does not know."""
    done = subprocess.run(
        [
            'docker',
            'run',
            '--rm',
            '--network=none',
            '--user',
            '12345:23456',
            image,
            'find',
            '/app',
            '/weights',
            '/img-man',
            '!',
            '-readable',
        ],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
