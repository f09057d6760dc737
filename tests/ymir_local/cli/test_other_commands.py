"""Packages, checks, reports, conversions and information; and the walk from a folder to a second inference."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMANDS = (
    'train',
    'infer',
    'mine',
    'pack',
    'unpack',
    'models',
    'check',
    'report',
    'labels',
    'convert',
    'explain',
    'demo',
)


def test_pack_and_unpack(ymir, trained):
    code, text, errors = ymir('pack', trained, 'again.tar', '--json')
    packed = json.loads(text)
    assert code == 0, errors
    assert Path('again.tar').stat().st_size == packed['bytes']
    code, text, _ = ymir('unpack', 'again.tar', 'folder')
    assert code == 0 and 'best stage epoch_2, classes target, crate, star' in text
    assert Path('folder/epoch_2/epoch_2.pth').read_bytes() == b'weights 2'
    assert Path('folder/ymir-info.yaml').is_file()


def test_packing_prints_the_name_in_the_platforms_store(ymir, trained):
    done = subprocess.run(['sha1sum', trained / 'model.tar'], capture_output=True, text=True, check=True)
    code, text, _ = ymir('pack', trained / 'out', 'b.tar')
    assert code == 0 and 'sha1 ' in text
    assert len(done.stdout.split()[0]) == len(text.split('sha1 ')[1].strip()) == 40


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['pack', 'nowhere'], 'nowhere is not a folder'),
        (['pack', 'trained', 'trained/model.tar'], '--force'),
        (['pack', 'coco', 'x.tar'], 'class_names'),
        (['unpack', 'coco/annotations.json', 'x'], 'model package'),
        (['unpack', 'trained/model.tar', 'coco'], 'exists already'),
    ],
)
def test_mistakes_with_packages(ymir, trained, arguments, words):
    code, text, errors = ymir(*arguments, '--json')
    assert code == 2 and words in ' '.join(errors.split()) and json.loads(text)['ok'] is False


def test_packages_as_a_process(command, trained):
    done = subprocess.run(
        [*command[0], 'unpack', str(trained / 'model.tar'), 'folder', '--json'],
        capture_output=True,
        text=True,
        env=command[1],
    )
    assert done.returncode == 0 and json.loads(done.stdout)['files'] == [
        'epoch_1/epoch_1.pth',
        'epoch_2/epoch_2.pth',
        'ymir-info.yaml',
    ]


def test_check_finds_what_is_wrong_and_nothing_else(ymir, trained):
    code, text, errors = ymir('check', trained, '--json')
    result = json.loads(text)
    failed = [
        finding['rule'] for finding in result['findings'] if finding['ok'] is False and finding['severity'] == 'error'
    ]
    assert (code, failed) == (0, []), errors
    (trained / 'out/models/epoch_1.pth').unlink()
    code, text, _ = ymir('check', trained / 'out')
    assert code == 1 and 'epoch_1' in text


@pytest.mark.parametrize('arguments', [[], ['trained', '--image', 'x'], ['nowhere']])
def test_check_needs_one_thing(ymir, trained, arguments):
    assert ymir('check', *arguments)[0] == 2


def test_check_of_templates(ymir):
    folder = Path(__file__).resolve().parents[3] / 'ymir/img-man'
    assert ymir('check', '--img-man', folder)[0] == 0
    Path('empty').mkdir()
    assert ymir('check', '--img-man', 'empty')[0] == 1
    assert ymir('check', '--img-man', 'nowhere')[0] == 2


def test_check_as_a_process(command, trained):
    done = subprocess.run(
        [*command[0], 'check', str(trained), '--lang', 'zh'], capture_output=True, text=True, env=command[1]
    )
    assert done.returncode == 0, done.stdout
    assert '通过' in done.stdout


def test_report(ymir, command, trained):
    code, text, errors = ymir('report', trained, '--json')
    assert code == 0, errors
    assert Path(json.loads(text)['file']).read_text(encoding='utf-8').lstrip().lower().startswith('<!doctype html>')
    assert ymir('report', 'nowhere')[0] == 2
    done = subprocess.run(
        [*command[0], 'report', str(trained), '--out', 'page.html', '--lang', 'zh'],
        capture_output=True,
        text=True,
        env=command[1],
    )
    assert done.returncode == 0 and Path('page.html').stat().st_size > 1000, done.stderr


def test_convert(ymir, coco_folder):
    code, text, errors = ymir('convert', coco_folder, 'yolo', '--to', 'yolo', '--json')
    assert code == 0, errors
    assert json.loads(text)['class_names'] == ['target', 'crate', 'star']
    assert len(list(Path('yolo').rglob('*.txt'))) >= 6


def test_models(ymir):
    code, text, errors = ymir('models', '--json')
    models = {model['name']: model for model in json.loads(text)['models']}
    assert code == 0, errors
    assert models['yolov8_n']['parameters'] == pytest.approx(3.16, abs=0.02) and models['yolov8_n']['ap'] == 37.2
    assert {'yolov5_s', 'yolov7_tiny', 'rtmdet_s', 'yolox_s'} <= set(models)
    code, text, _ = ymir('models', 'V8', '_n')
    assert code == 0 and 'yolov8_n' in text and 'yolov8_s' not in text
    code, _, errors = ymir('models', 'nosuch')
    assert code == 2 and 'nosuch' in errors


def test_models_are_listed_without_torch(command):
    code = (
        'import runpy, sys; sys.argv = ["zoo"]\ntry: runpy.run_module("tmi.zoo.models", run_name="__main__")\n'
        'except SystemExit: pass\nassert not {"torch", "mmengine", "mmdet"} & set(sys.modules)'
    )
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, env=command[1])
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) > 40


def test_explain(ymir, command):
    code, text, _ = ymir('explain', '300103')
    assert code == 0 and text.startswith('300103 RC_EXEC_OOM\nmeaning: Out of memory.')
    assert '显存' in ymir('explain', 'rc_exec_oom', '--lang', 'zh')[1]
    assert '180103 is the older number of 300103' in ymir('explain', '180103')[1]
    code, _, errors = ymir('explain', '160012')
    assert code == 2 and 'nearest: 160011' in errors
    assert 'nearest: 300103' in ymir('explain', 'rc_oom')[2]
    code, text, _ = ymir('explain', '--json')
    assert code == 0 and len(json.loads(text)['codes']) >= 20
    assert '169999' in ymir('explain')[1]
    done = subprocess.run([*command[0], 'explain', '160011', '--json'], capture_output=True, text=True, env=command[1])
    assert done.returncode == 0 and json.loads(done.stdout)['code'] == 160011


def test_demo_is_there(ymir, monkeypatch):
    from ymir_local.demo import demo

    seen = []
    monkeypatch.setattr(demo, 'demo', lambda *arguments: seen.append(arguments[:2]))
    assert ymir('demo', '--out', 'shown', '--gpus', '2')[0] == 0
    assert seen == [(Path('shown'), 2)]


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_has_help(ymir, name):
    code, text, _ = ymir(name, '--help')
    assert code == 0 and f'Usage: ymir {name}' in text.replace('root', 'ymir') and f'Example: ymir {name}' in text


def test_no_command_shows_help_and_an_unknown_one_is_an_error(ymir):
    assert 'train' in ymir('--help')[1]
    assert ymir('fly')[0] == 2


def test_help_is_fast(command):
    """It imports nothing heavy and takes little longer than typer alone; the better of two, as others work beside."""
    begin, env = command

    def seconds(*arguments):
        began = time.perf_counter()
        subprocess.run(arguments, check=True, env=env, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    rounds = [(seconds(*begin, '--help'), seconds(sys.executable, '-c', 'import typer.rich_utils')) for _ in range(3)]
    ours, typer = (min(column[1:]) for column in zip(*rounds))  # the first one compiles
    assert ours < 2 * typer
    code = (
        'import sys\nfrom ymir_local.cli import main\ntry: main(["--help"])\n'
        'except SystemExit: print(*sys.modules, file=sys.stderr)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    assert not {'yaml', 'numpy', 'PIL', 'torch', 'matplotlib', 'pydantic'} & set(done.stderr.split())
