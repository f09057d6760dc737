"""`pie run`: a script written from the document alone, right and with faults, started as the platform does."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from pie_local.data_set import read_data_set
from pie_local.parameters import make_parameters, parse_changes
from pie_local.platform import Platform
from pie_local.run import RunResult, copy_package, run_training
from pie_local.texts import PieError
from process_guard.guard import processes_with
from tests.processes import is_alive, wait_until

HERE = Path(__file__).parent


@pytest.fixture(scope='module')
def package(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    folder = tmp_path_factory.mktemp('package')
    shutil.copyfile(HERE / 'minimal_train.py', folder / 'train.py')
    shutil.copyfile(weights, folder / 'untrained.th')
    Image.new('RGB', (8, 8)).save(folder / 'pred.png')
    return folder


@pytest.fixture
def start(package: Path, platform: Platform, ships: Path, served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the script with a fault; gives the result, what it printed and (epoch, violations) of each push."""

    def run(fault: str = '', file: bytes | None = None, stop: threading.Event | None = None, **changes):
        monkeypatch.setenv('FAULT', fault)
        changes = {'epochs': 3, 'dataset_id': served.dataset_id, 'model_name': 'net', **changes}
        parameters = make_parameters(read_data_set(ships), changes) if file is None else json.loads(file)
        lines, pushes = [], []

        def show(push, findings):
            pushes.append((push.epoch, [finding.sentence().en for finding in findings]))
            if stop is not None:
                stop.set()

        script = copy_package(package, tmp_path / 'out')
        result: RunResult = run_training(
            script, parameters, platform, 'detection', file, on_line=lines.append, on_push=show, stop=stop
        )
        return result, lines, pushes, [finding.sentence().en for finding in result.findings]

    return run


def test_a_right_script_passes(start, tmp_path, package):
    result, lines, pushes, findings = start()
    assert findings == [] and pushes == [(1, []), (2, []), (3, [])] and result.code == 0
    assert lines[0].startswith('images 5 ') and lines[1:] == [f'[Process: {k}/3]' for k in (1, 2, 3)]
    assert result.epochs == 3 and result.log['best']['mAP'] == 1
    out = tmp_path / 'out'
    assert [path.parent.parent.name for path in sorted(out.glob('pushed/*/files/net.th'))] == ['epoch_3']
    logs = [json.loads((out / f'pushed/epoch_{k}/trainlog.json').read_text()) for k in (1, 2, 3)]
    assert [len(log['epochs']) for log in logs] == [1, 2, 3]
    assert json.loads((out / 'run.json').read_text())['findings'] == []
    assert sorted(path.name for path in package.iterdir()) == ['pred.png', 'train.py', 'untrained.th']  # not written to


def test_the_file_of_the_document_is_handed_over_byte_for_byte(start, tmp_path):
    file = (HERE / 'document_traincfg.json').read_bytes()
    result, _, pushes, findings = start('stop', file=file)
    assert (tmp_path / 'out/network/traincfg.json').read_bytes() == file
    assert result.log['training_id'] == '57fc8152-c4f5-44b5-a25d-bc043a624d4b'
    assert [row['class'] for row in result.log['epochs'][0]['valid']] == ['all', 'airplane']
    assert pushes == [(1, []), (2, [])]
    assert findings == [
        'the script ended with code 0 after 2 of 80 epochs, and auto_termination is 0',
        'trainlog.json end_time: is "" although the training has ended',
    ]


@pytest.mark.parametrize(
    'fault, epochs, sentences',
    [
        (
            'files',
            4,
            [
                'files/net.th: cannot be loaded: it is cut off',
                'picture/pred.png: was not written again since epoch 1',
                'trainlog.json: not JSON',
                'picture/pred.png: was not written again since epoch 2',
                '[Process: 4/5]: came after [Process: 3/4]',
                '[Process: 4/5]: y is 5; the parameter epochs is 4',
                'picture/pred.png: was not written again since epoch 3',
                'the script ended with code 0 after 4 of 5 epochs',
                'trainlog.json end_time: is "" although the training has ended',
            ],
        ),
        (
            'crash',
            3,
            [
                'the script ended with code 1; what it said last: [Process: 1/3] | out of memory',
                'trainlog.json end_time: is "" although the training has ended',
            ],
        ),
        ('unflushed', 5, ['trainlog.json epochs: already holds 5 epochs at the line [Process: 1/5]']),
        ('none', 0, ['the script printed no line [Process: x/y], so that nothing would be pushed']),
    ],
)
def test_faults_of_a_script(start, fault, epochs, sentences):
    _, _, _, findings = start(fault, epochs=epochs)
    assert len(findings) == len(sentences) and all(map(str.startswith, findings, sentences)), findings


def test_stopping_ends_the_script(start):
    result, _, pushes, findings = start('wait', stop=threading.Event())
    assert result.code == -15 and [epoch for epoch, _ in pushes] == [1] and result.seconds < 30
    assert findings == ['trainlog.json end_time: is "" although the training has ended']


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux shows the environment of a process')
def test_nothing_is_left_when_the_platform_is_killed(package, ships, tmp_path):
    """The S3 server, the script, and what the script started in a session of its own."""
    command = [sys.executable, '-m', 'pie_local', 'run', package, '--data', ships, '--out', tmp_path / 'out']
    variables = {**os.environ, 'FAULT': 'child', 'PYTHONPATH': str(HERE.parents[1]), 'PYTHONUNBUFFERED': '1'}
    killed = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    child = next(line.split()[1] for line in killed.stdout if line.startswith('child '))
    wait_until((environ := Path('/proc') / child / 'environ').read_text)  # empty until its program is loaded
    mark = next(setting for setting in environ.read_text().split('\0') if setting.startswith('PIE_LOCAL_PLATFORM='))
    wait_until(lambda: len(processes_with(mark)) == 3)
    killed.kill()
    killed.wait()
    wait_until(lambda: not processes_with(mark) and not is_alive(child))


def test_parameters_have_the_types_of_the_document(ships):
    document = json.loads((HERE / 'document_traincfg.json').read_text(encoding='utf-8'))
    ours = make_parameters(read_data_set(ships), parse_changes(['epochs=3', 'learning_rate=0.01', 'load_size=64,64']))
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in document.items()}
    assert ours['class_name'] == 'building,tank' and ours['n_class'] == '2' and ours['epochs'] == 3
    assert [set(entry) for entry in json.loads(ours['label'])] == [
        {'class_name', 'class_value', 'class_title', 'class_color'}
    ] * 2
    with pytest.raises(PieError, match='epoch=3 is no parameter: write KEY=VALUE; keys: auto_termination, '):
        parse_changes(['epoch=3'])


def test_packages_without_a_script_and_used_folders_are_refused(package, tmp_path):
    with pytest.raises(PieError, match='has no train.py'):
        copy_package(tmp_path, tmp_path / 'out')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/x').touch()
    with pytest.raises(PieError, match='exists; name another folder with --out'):
        copy_package(package, tmp_path / 'out')
