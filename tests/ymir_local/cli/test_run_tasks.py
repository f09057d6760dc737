"""`ymir train`, `infer` and `mine` with an executor that only pretends: what is prepared, shown, kept and returned."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import termios
import time
from pathlib import Path

import pytest
import yaml


def test_training(ymir, coco_folder, fake, tmp_path):
    code, text, errors = ymir('train', coco_folder, 'max_epochs=3', *fake, '--out', 'run')
    assert code == 0, errors
    assert '5 training and 1 validation images, 3 classes: target, crate, star' in text
    assert 'training: 100%' in text
    best = next(line for line in text.splitlines() if 'epoch_3' in line)
    assert '*' in best and '0.5' in best and 'epoch_3.pth' in best
    following = [line.strip() for line in text.split('Next:')[1].strip().splitlines()]
    assert following[0].startswith('ymir infer IMAGES --model run/model.tar --executor ')
    assert following[1].startswith('ymir mine IMAGES --model run/model.tar --executor ')
    assert following[2:] == ['ymir report run --evaluate', 'ymir check run']
    with tarfile.open('run/model.tar') as archive:
        assert 'epoch_3/epoch_3.pth' in archive.getnames()
    config = yaml.safe_load(Path('run/in/config.yaml').read_text())
    assert (config['max_epochs'], config['model_name'], config['gpu_id']) == (3, 'small', '')
    assert 'child_file' not in config and config['crash_code'] == 0  # the form of a training drops empty texts only


def test_what_to_type_next_when_ymir_is_not_on_the_path(ymir, coco_folder, fake, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [str(Path('.venv/bin/ymir').resolve())])
    monkeypatch.setenv('PATH', '/usr/bin:/bin')
    assert '\n  .venv/bin/ymir report run --evaluate\n' in ymir('train', coco_folder, *fake, '--out', 'run')[1]


def test_default_folder_is_never_the_same(ymir, coco_folder, fake):
    for _ in range(2):
        assert ymir('train', coco_folder, '--model', 'huge', *fake, '-q')[0] == 0
    names = sorted(path.name for path in Path('ymir_runs').iterdir())
    assert len(names) == 2
    assert all(re.fullmatch(r'\d{8}-\d{6}-train-huge(-2)?', name) for name in names), names


def test_a_folder_in_use_is_rejected(ymir, coco_folder, fake, trained):
    before = sorted(path for path in trained.rglob('*'))
    code, _, errors = ymir('train', coco_folder, *fake, '--out', trained)
    assert code == 2 and 'never overwritten' in errors
    assert sorted(path for path in trained.rglob('*')) == before


def test_json_is_one_object_and_all_of_standard_output(ymir, coco_folder, fake):
    code, text, errors = ymir('train', coco_folder, *fake, '--out', 'run', '--json')
    result = json.loads(text)
    assert code == 0 and 'training: 100%' in errors
    assert (result['ok'], result['code'], result['best_stage'], result['package']) == (
        True,
        0,
        'epoch_2',
        'run/model.tar',
    )
    assert [stage['mAP'] for stage in result['stages']] == [0.25, 0.5]
    assert 'out/models/epoch_2.pth' in result['files']
    assert yaml.safe_load(Path('run/run.yaml').read_text())['ok'] is True


def test_inference_with_every_kind_of_model(ymir, coco_folder, fake, trained, images):
    for number, model in enumerate(
        (trained / 'model.tar', trained, f'{trained}@epoch_1', trained / 'out/models/epoch_2.pth')
    ):
        code, text, errors = ymir(
            'infer', coco_folder / 'images', '--model', model, *fake, '--out', f'run{number}', '--json'
        )
        result = json.loads(text)
        assert code == 0, errors
        assert (result['images'], result['boxes'], result['boxes_per_class']) == (6, 6, {'target': 6})
        config = yaml.safe_load(Path(f'run{number}/in/config.yaml').read_text())
        assert config['class_names'] == ['target', 'crate', 'star'] and config['run_infer'] is True
        assert all(Path(path).is_file() for path in config['model_params_path'])
        assert 'crash_code' not in config  # the form drops what is zero


def test_true_labels_are_offered_to_the_report(ymir, coco_folder, fake, trained):
    for data, ending in ((coco_folder, ' --labels coco'), (coco_folder / 'images', '')):
        code, text, errors = ymir(
            'infer', data, '--model', trained, '--classes', 'a', *fake, '--out', data.name + '.run'
        )
        assert code == 0 and f'ymir report {data.name}.run{ending}\n' in text
        assert 'the model decides the classes' in errors


@pytest.mark.parametrize(
    'number, sentence',
    [(0, ''), (1, '1 image that is nearly the same'), (3, '3 images that are nearly the same as one ranked before')],
)
def test_mining_says_that_near_duplicates_stand_further_back(ymir, coco_folder, fake, trained, number, sentence):
    code, text, _ = ymir('mine', coco_folder, '--model', trained, *fake, f'near_duplicates={number}', '--out', 'mined')
    assert code == 0 and sentence in text and ('nearly the same' in text) == bool(number)
    assert ('uncertainty' in text) == bool(number)  # of the summary


def test_mining_and_both_in_one_run(ymir, coco_folder, fake, trained):
    code, text, _ = ymir('mine', coco_folder, '--model', trained, *fake, '--out', 'mined')
    assert code == 0 and 'Most worth labelling' in text and ' coco/images/000000.jpg ' in text
    options = ['--model', trained, *fake, '--ray', '10.0.0.5:6379', '--out', 'both', '--json']
    code, text, _ = ymir('infer', coco_folder, '--mine', *options)
    result = json.loads(text)
    assert (code, result['task'], result['ranked'], result['images']) == (0, 'mining+infer', 6, 6)
    assert result['top'][0]['image'].startswith(str(coco_folder))
    config = yaml.safe_load(Path('both/in/config.yaml').read_text())
    assert 'mining_algorithm' in config and 'conf_threshold' not in config
    assert config['ray_address'] == '10.0.0.5:6379'


def test_the_same_image_twice_is_used_once(ymir, coco_folder, fake, trained):
    first = next((coco_folder / 'images').iterdir())
    shutil.copy(first, coco_folder / 'images/zzz.jpg')
    code, text, errors = ymir('infer', coco_folder / 'images', '--model', trained, *fake, '--out', 'run', '--json')
    assert code == 0 and json.loads(text)['images'] == 6
    assert 'zzz.jpg' in errors.split('warning:')[1]


def test_failure_in_the_platforms_words(ymir, coco_folder, fake):
    code, text, _ = ymir('train', coco_folder, 'crash_code=300103', *fake, '--out', 'run')
    assert code == 1
    assert 'training failed: 300103 RC_EXEC_OOM\nmade to crash\n' in text
    assert ''.join(f'  line {number}\n' for number in range(4, 9)) in text and 'line 3' not in text
    assert 'what to do: Lower samples_per_gpu' in text
    assert 'package: run/model.tar' in text  # what was saved before is stored all the same


def test_the_log_cannot_change_the_terminal(ymir, coco_folder, fake):
    script = Path('loud.py')
    script.write_text(
        "import sys\nprint('\\x1b[31m1%\\r50%\\r100%\\x1b[0m\\x1b]0;title\\x07')\nprint('end')\nsys.exit(1)\n"
    )
    options = ['--executor', f'{sys.executable} {script}', *fake[2:]]
    code, text, _ = ymir('train', coco_folder, *options, '--out', 'run')
    assert code == 1 and '160004' in text and '  100%0;title\n  end\n' in text
    assert not {'\x1b', '\r', '\x07'} & set(text)


def test_failure_in_chinese(ymir, coco_folder, fake):
    code, text, _ = ymir('train', coco_folder, 'crash_code=300103', *fake, '--out', 'run', '--lang', 'zh')
    assert code == 1 and '训练失败：300103' in text and '处理办法: 减小 samples_per_gpu' in text


@pytest.mark.parametrize(
    'override, expected', [('exit_status=3', 160004), ('metric=2.5', 160011), ('broken_monitor=1', 150404)]
)
def test_codes_that_the_platform_gives(ymir, coco_folder, fake, override, expected):
    code, text, _ = ymir('train', coco_folder, override, *fake, '--out', 'run', '--json')
    result = json.loads(text)
    assert (code, result['ok'], result['code']) == (1, False, expected)
    assert result['explanation']['remedy'] and len(result['log_tail']) == 5


def test_a_second_training_starts_from_the_first(ymir, coco_folder, fake, trained):
    code, _, errors = ymir('train', coco_folder, '--model', trained / 'model.tar', *fake, '--out', 'again')
    assert code == 0, errors
    config = yaml.safe_load(Path('again/in/config.yaml').read_text())
    assert config['model_name'] == 'small'
    assert [Path(path).read_bytes() for path in config['pretrained_model_params']] == [b'weights 2']


def test_classes_and_validation_of_their_own(ymir, coco_folder, fake):
    code, text, errors = ymir(
        'train', coco_folder, '--val', coco_folder, '--classes', 'star,target', *fake, '--out', 'run'
    )
    assert code == 0, errors
    assert yaml.safe_load(Path('run/in/config.yaml').read_text())['class_names'] == ['star', 'target']
    assert '6 training and 6 validation images' in text
    assert '6 validation images are training images too' in errors


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['train', 'nowhere'], 'nowhere does not exist'),
        (['train', 'coco', 'epochs'], 'write key=value'),
        (['train', 'coco', 'gpu_id=1'], 'use --gpus'),
        (['train', 'coco', 'max_epochs=many'], 'a number is needed'),
        (['train', 'coco', '--gpus', 'x'], "--gpus is 'x'"),
        (['train', 'coco', '--classes', 'a,a'], 'named once'),
        (['train', 'coco', '--model', 'nowhere/model.tar'], 'does not exist'),
        (['train', 'coco', '--user', '1:1'], 'give --image as well'),
        (['train', 'coco', '--model', 'a', 'model_name=b'], 'say the same thing'),
        (['infer', 'coco', '--model', 'nowhere.tar'], 'does not exist'),
        (['infer', 'coco', '--model', 'coco'], 'not a folder of a run'),
        (['train', 'coco', '--executor', 'no-such-command'], 'there is no command no-such-command'),
    ],
)
def test_wrong_usage(ymir, coco_folder, fake, arguments, words):
    options = {name: value for name, value in zip(fake[::2], fake[1::2]) if name not in arguments}
    options = [word for pair in options.items() for word in pair]
    code, text, errors = ymir(*arguments, *options, '--json')
    assert code == 2
    assert words in ' '.join(errors.split())
    assert json.loads(text)['ok'] is False
    assert not Path('ymir_runs').exists()


def test_an_unknown_key_is_a_warning_with_the_nearest(ymir, coco_folder, fake):
    code, _, errors = ymir('train', coco_folder, 'max_epoch=1', *fake, '--out', 'run')
    assert code == 0 and 'did you mean max_epochs?' in errors


SECONDS = 120  # so long may a slow machine take


def wait_for(condition, process):
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid):
    try:
        return (Path('/proc') / str(pid) / 'stat').read_text().split()[2] != 'Z'
    except OSError:
        return False


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_training_keeps_what_is_valid(ymir, start, coco_folder, fake, how):
    arguments = ['max_epochs=1000', 'seconds=0.2', f'child_file={Path("child").resolve()}']
    process = start('train', coco_folder, *arguments, *fake, '--out', 'run', '--json', text=True)
    wait_for(lambda: Path('run/out/models/epoch_2.pth').is_file(), process)
    process.send_signal(how)
    text, errors = process.communicate(timeout=SECONDS)
    result = json.loads(text)
    assert process.returncode == 130 and result['stopped'] and not result['ok']
    assert 'training stopped after' in errors and 'what was saved before is kept: stage epoch_' in errors
    assert not is_alive(Path('child').read_text())  # also what had left the process group
    assert yaml.safe_load(Path('run/run.yaml').read_text())['stopped'] is True
    assert result['next'][0] == 'ymir train --resume run'
    assert result['next'][1].startswith('ymir infer IMAGES --model run/model.tar --executor ')
    assert ymir('check', 'run')[0] == 0  # to be stopped is not a fault of the executor
    best = result['best_stage']
    code, text, errors = ymir('infer', coco_folder, '--model', 'run/model.tar', *fake, '--out', 'after', '--json')
    assert code == 0, errors
    assert Path(f'after/in/models/{best}/{best}.pth').is_file()


def read_terminal(master, wanted, process):
    """Reads what a process shows on its terminal until it has shown all that is wanted, or has closed it."""
    seen, end = b'', time.monotonic() + SECONDS
    while not all(re.search(pattern, seen) for pattern in wanted):
        assert time.monotonic() < end and process.poll() is None, seen
        if select.select([master], [], [], 1)[0]:
            seen += os.read(master, 65536)
    return seen


def train_on_terminal(start, command, *arguments):
    """Starts a long training on a terminal of its own; gives the terminal and the process."""
    master, slave = pty.openpty()
    process = start(
        *('train', *arguments, 'max_epochs=2000', 'seconds=0.1', '--out', 'run'),
        **dict.fromkeys(('stdin', 'stdout', 'stderr'), slave),
        env=dict(command[1], TERM='xterm'),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    return master, process


def test_ctrl_c_leaves_the_terminal_clean(start, command, coco_folder, fake):
    """On a terminal of its own, Ctrl-C typed: one picture, no trace, the cursor visible again."""
    master, process = train_on_terminal(start, command, coco_folder, *fake, 'curves=1', 'max_minutes=0.0')
    seen = read_terminal(master, (rb'mAP', rb'ETA \d', rb'epoch \d+/2000'), process)
    os.write(master, b'\x03')
    try:
        while select.select([master], [], [], SECONDS)[0] and (chunk := os.read(master, 65536)):
            seen += chunk
    except OSError:
        pass  # closed by the other side
    os.close(master)
    assert process.wait(SECONDS) == 130
    text = seen.decode()
    assert text.rindex('\x1b[?25h') > text.rindex('\x1b[?25l')
    assert 'Traceback' not in text and 'training stopped after' in text.split('\x1b[?25h')[-1]


def test_a_terminal_that_is_closed_stops_the_run_in_order(start, command, coco_folder, fake):
    """A closed window or a lost connection: the signal comes, and nothing can be written any more."""
    master, process = train_on_terminal(start, command, coco_folder, *fake)
    read_terminal(master, (rb'ETA \d',), process)
    os.close(master)
    assert process.wait(SECONDS) == 130
    assert yaml.safe_load(Path('run/run.yaml').read_text())['stopped'] is True
    assert Path('run/model.tar').is_file()


def test_a_command_line_of_its_own(command, coco_folder, fake, trained):
    """As a true process, from data to ranking."""
    done = subprocess.run(
        [*command[0], 'mine', str(coco_folder), '-m', str(trained), *fake, '--json'],
        capture_output=True,
        text=True,
        env=command[1],
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['ranked'] == 6
    missing = subprocess.run([*command[0], 'infer', str(coco_folder)], capture_output=True, text=True, env=command[1])
    assert missing.returncode == 2 and '--model' in missing.stderr


def test_a_weight_file_alone(ymir, coco_folder, fake):
    """What it knows decides; a training needs no names, and other tasks ask for them."""
    import torch

    torch.save({'meta': {'dataset_meta': {'classes': ('cat', 'dog')}}, 'state_dict': {'a': torch.ones(1)}}, 'named.pth')
    torch.save({'a': torch.ones(1)}, 'bare.pth')
    tasks = [
        (0, 'train', 'named.pth', ['target', 'crate', 'star'], ()),
        (0, 'train', 'bare.pth', ['target', 'crate', 'star'], ()),
        (0, 'train', 'bare.pth', ['star', 'crate', 'target'], ('--classes', 'star,crate,target')),
        (0, 'infer', 'named.pth', ['cat', 'dog'], ()),
        (0, 'mine', 'bare.pth', ['a', 'b'], ('--classes', 'a,b')),
        (0, 'infer', 'named.pth', ['cat', 'dog'], ('--classes', 'dog,cat')),
        (2, 'infer', 'bare.pth', None, ()),
    ]
    for number, (expected, task, model, names, options) in enumerate(tasks):
        code, _, errors = ymir(task, coco_folder, '--model', model, *options, *fake, '--out', f'run{number}')
        assert code == expected, errors
        if names:
            assert yaml.safe_load(Path(f'run{number}/in/config.yaml').read_text())['class_names'] == names
            contradicted = 'the model decides the classes' in errors
            assert contradicted == (options == ('--classes', 'dog,cat'))
    assert 'bare.pth does not say which classes it knows' in errors and '--classes' in errors
