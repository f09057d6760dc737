"""A command line that cannot be understood: one sentence, exit code 2, JSON with `--json`; and completion."""

import json
import subprocess

import pytest

from ymir_local.cli import main
from ymir_local.platform.parameters import read_template


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['infer', 'photos'], ["Missing option '--model'", 'Model package, folder of an earlier run or weight file']),
        (['train'], ["Missing argument 'DATA'", 'Folder of a COCO, VOC, YOLO, labelme or VIA data set']),
        (['train', 'coco', '--modle', 'yolov8_n'], ['No such option: --modle', 'Did you mean --model?']),
        (['train', 'coco', '--max_epochs=5'], ['No such option: --max_epochs', 'written without dashes, for example']),
        (['train', 'coco', '--model'], ["'--model' requires an argument"]),
        (
            ['train', 'coco', '--format', 'xml'],
            ["'xml' is not one of 'coco', 'voc', 'yolo', 'labelme', 'via', 'ymir', 'images'"],
        ),
        (['train', 'coco', '--val-share', '5'], ['--val-share', '0.01 to 0.9']),
        (['convert', 'a', 'b', '--to', 'cco'], ["'cco' is not one of 'coco', 'voc', 'yolo', 'ymir'"]),
        (['pack', 'a', 'b', 'c'], ['extra argument', 'c']),
        (['trian', 'coco'], ["No such command 'trian'", "Did you mean 'train'?"]),
        (['fly'], ["No such command 'fly'", 'Commands are: train, infer, mine, pack']),
        (['train', 'coco', '--model', ''], ['--model is empty']),
        (['mine', '', '--model', 'm'], ["Invalid value for 'DATA': it is empty."]),
        (['infer', 'coco', '--model', ' '], ['--model is empty']),
        *(
            (['train', 'coco', *option], [f'{option[0].rstrip("=")} is empty; give a value, or leave the option out'])
            for option in (
                ['--image', ''],
                ['--executor', ''],
                ['--img-man', ''],
                ['--val', ''],
                ['--out', ''],
                ['--classes', ''],
                ['--user', ''],
                ['--gpus', ' '],
                ['--image='],
                ['--out='],
                ['-m', ''],
            )
        ),
        (['train', 'coco', 'max_epochs=5', 'max_epochs=6'], ['max_epochs is given twice']),
        (['check', '--image', ''], ['--image is empty']),
        (['report', 'run', '--labels', ''], ['--labels is empty']),
        (['report', 'run', '--out='], ['--out is empty']),
        (['convert', 'a', 'b', '--to', 'coco', '--classes', ''], ['--classes is empty']),
        (['demo', '--out', ''], ['--out is empty']),
    ],
)
@pytest.mark.parametrize('as_json', [False, True])
def test_one_sentence_says_what_is_wrong_and_what_is_allowed(ymir, arguments, words, as_json):
    code, text, errors = ymir(arguments[0], *['--json'][:as_json], *arguments[1:])
    first = errors.splitlines()[0]
    assert code == 2 and first.startswith('error: ')
    assert all(word in first for word in words), errors
    if as_json:
        assert json.loads(text) == {'ok': False, 'error': first.removeprefix('error: '), 'exit_code': 2}
    else:
        assert text == ''


def test_usage_follows_the_sentence(ymir):
    lines = ymir('infer', 'photos')[2].splitlines()
    assert lines[1].startswith('Usage: ') and 'infer' in lines[1] and lines[2].endswith('infer --help` explains it.')


def test_as_a_process(command):
    done = subprocess.run([*command[0], 'infer', 'photos', '--json'], capture_output=True, text=True, env=command[1])
    assert done.returncode == 2 and json.loads(done.stdout)['ok'] is False
    assert '`ymir infer --help` explains it.' in done.stderr and 'Traceback' not in done.stderr


def test_nothing_gives_help_and_two(ymir):
    code, text, _ = ymir()
    assert code == 2 and 'First steps' in text and 'exit codes' in text


@pytest.mark.parametrize('command, task', [('train', 'training'), ('mine', 'mining'), ('infer', 'infer')])
def test_the_help_of_a_task_names_its_hyper_parameters(ymir, command, task):
    code, text, _ = ymir(command, '--help')
    shown = text.partition('KEY=VALUE, with the defaults')[2]
    assert code == 0 and shown
    for key, default in read_template(task).items():
        assert f'\n  {key}={"" if default is None else default}' in shown
    assert not any('\u4e00' <= letter <= '\u9fff' for letter in shown)
    assert 'KEY=VALUE, with' not in ymir('report', '--help')[1]


def test_the_help_of_mine_tells_the_algorithms_apart(ymir):
    from tmi.mining import ALGORITHMS

    words = ' '.join(ymir('mine', '--help')[1].partition('KEY=VALUE, with the defaults')[2].split())
    assert all(f' {name} {" ".join(algorithm.summary.split())}' in words for name, algorithm in ALGORITHMS.items())


def test_version(ymir):
    code, text, _ = ymir('--version')
    assert code == 0 and text.startswith('ymir-mmyolo ')


def completed(line, monkeypatch, capsys):
    """What bash offers after a line."""
    for name, value in {
        '_YMIR_COMPLETE': 'complete_bash',
        'COMP_WORDS': line,
        'COMP_CWORD': f'{line.count(" ")}',
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    'line, expected',
    [
        ('ymir tr', ['train']),
        ('ymir train coco --model yolov8_', [f'yolov8_{size}' for size in 'nsmlx']),
        ('ymir train coco --model run/mo', []),  # nothing: the shell offers files
        ('ymir train coco --form', ['--format']),
        ('ymir train coco --format y', ['yolo', 'ymir']),
        ('ymir train coco max_ep', ['max_epochs=100']),
        ('ymir mine photos mining_al', [f'mining_algorithm={read_template("mining")["mining_algorithm"]}']),
        ('ymir infer photos conf', ['conf_threshold=0.2']),
        ('ymir infer photos --mine conf', ['conf_threshold=0.1']),
        ('ymir infer photos --image name conf', []),  # to ask an image takes seconds
        ('ymir train co', []),
    ],
)
def test_completion_of_the_shell(monkeypatch, capsys, line, expected):
    assert completed(line, monkeypatch, capsys) == expected


def test_keys_are_those_of_the_templates_that_are_named(monkeypatch, capsys, fake):
    line = f'ymir train coco --img-man {fake[3]} m'
    assert sorted(completed(line, monkeypatch, capsys)) == ['max_epochs=2', 'metric=0.5', 'model_name=small']


def test_completion_as_a_process(command):
    env = dict(command[1], _YMIR_COMPLETE='complete_bash', COMP_WORDS='ymir tr', COMP_CWORD='1')
    done = subprocess.run([*command[0]], capture_output=True, text=True, env=env)
    assert done.stdout.split() == ['train'], done
