"""`ymir train --resume RUN` with an executor that only pretends: what changes in the task of the run, and what not."""

import json
import shutil
from pathlib import Path

import yaml

from ymir_local.cli.resume_training import _of_a_finished_one


def read(name):
    return yaml.safe_load(Path(name).read_text())


def test_a_training_that_failed_goes_on_in_its_folder(ymir, coco_folder, fake):
    code, _, _ = ymir('train', coco_folder, 'crash_code=300103', 'max_epochs=3', *fake, '--out', 'run', '-q')
    assert code == 1
    before = read('run/in/config.yaml')
    files = {path: path.read_bytes() for path in Path('run/in').rglob('*') if path.is_file()}
    code, text, errors = ymir('train', '--resume', 'run', 'crash_code=0', 'max_epochs=4', '--json')
    assert code == 0, errors
    result = json.loads(text)
    assert result['best_stage'] == 'epoch_4' and result['package'] == 'run/model.tar'
    assert read('run/in/config.yaml') == {**before, 'crash_code': 0, 'max_epochs': 4}
    record = read('run/run.yaml')
    assert record['ok'] and record['parameters'] == {'crash_code': 0, 'max_epochs': 4}
    assert record['executor'] in fake[1] and record['in_changes'] == {}
    changed = [str(path) for path, content in files.items() if path.read_bytes() != content]
    assert changed == ['run/in/config.yaml']


def test_a_finished_training_goes_on_for_more_epochs(ymir, coco_folder, fake, tmp_path):
    template = tmp_path / 'img-man' / 'training-template.yaml'
    template.write_text(yaml.safe_dump({**yaml.safe_load(template.read_text()), 'args_options': '--amp'}))
    assert ymir('train', coco_folder, *fake, '--out', 'run', '-q')[0] == 0
    code, _, errors = ymir('train', '--resume', 'run')
    assert code == 2 and 'run is finished; to train more epochs' in errors and 'max_epochs=4' in errors
    code, _, errors = ymir('train', '--resume', 'run', 'max_epochs=5', '-q')
    assert code == 0, errors
    assert read('run/in/config.yaml')['args_options'] == '--amp --resume'
    assert read('run/out/models/result.yaml')['best_stage_name'] == 'epoch_5'
    again = _of_a_finished_one(Path('run'), read('run/in/config.yaml'), {'max_epochs': 6}, True)
    assert again == {'max_epochs': 6}  # which asks for it already


CASES = (
    (['--resume', 'nowhere'], 'is not the folder of a run of `ymir train`'),
    (['--resume', 'moved'], 'was moved from'),
    (['--resume', 'mined'], 'holds no training'),
    (['--resume', 'trained', '--model', 'small', '--val-share', '0.2'], 'leave --model, --val-share out'),
    (['coco', '--resume', 'trained', 'max_epochs=3'], 'leave coco out'),
    (['--resume', 'trained', '--image', 'some'], 'was prepared for a process; leave --image out'),
    ([], 'or --resume with the folder of an earlier training'),
)


def test_what_cannot_go_on_or_cannot_change(ymir, coco_folder, fake, trained):
    shutil.copytree(trained, 'moved', symlinks=True)
    shutil.copytree(trained, 'mined', symlinks=True)
    env = Path('mined/in/env.yaml')
    env.write_text(env.read_text().replace('run_training: true', 'run_training: false'))
    before = Path('trained/in/config.yaml').read_bytes()
    for arguments, words in CASES:
        code, _, errors = ymir('train', *arguments)
        assert code == 2 and words in ' '.join(errors.split()), errors
    assert Path('trained/in/config.yaml').read_bytes() == before
