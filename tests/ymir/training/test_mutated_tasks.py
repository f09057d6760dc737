"""Any change of env.yaml, config.yaml and the index files: the task begins, or ends with a code for user faults."""

import os
import random
import shutil
from pathlib import Path

import pytest
import yaml

from tests.ymir_local.datasets.test_mutations import mutated
from tmi.processes import ERROR_FILE_VARIABLE
from ymir import start, ymir_infer, ymir_mining, ymir_training
from ymir.errors import as_task_error, code_of
from ymir_exc import settings
from ymir_local.platform.prepare import hyper_parameters, prepare_training

from .platform import tiny_data

VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1,
    10**30,
    0.5,
    float('nan'),
    float('inf'),
    '',
    ' ',
    'x',
    '0',
    '1e-3',
    'nan',
    '²',
    '\0',
    '\ud800',
    'ü' * 2000,
    '../../x',
    '/',
    '/dev/null',
    '/etc/passwd',
    'a,b',
    '[1',
    "'",
    '--x',
    'a=b',
    '{{ x }}',
    [],
    {},
    [[]],
    [None],
    ['a'],
    {'a': 1},
    [1, 2],
    {1: 2},
    [{'a': []}],
)


def changed(document, generator):
    """Replace, drop or add a value of a mapping, its keys among them."""
    document = dict(document)
    inner = [key for key, value in document.items() if isinstance(value, dict)]
    if inner and generator.random() < 0.7:
        key = generator.choice(inner)
        return {**document, key: changed(document[key], generator)}
    key = generator.choice([*document, *VALUES[1:9], 'unknown'])
    action = generator.random()
    if action < 0.1:
        document.pop(key, None)
    else:
        document[key] = generator.choice(VALUES)
    return document


@pytest.fixture(scope='module')
def tasks(tmp_path_factory):
    """Folders of a training and of mining with inference."""
    root = tmp_path_factory.mktemp('tasks')
    images = tiny_data(root / 'data', 3)
    training = prepare_training(
        root / 'training', ['one', 'two'], images[:2], images[2:], hyper_parameters('training', {})
    )
    files = [root / 'w.pth', root / 'c.py']
    for file in files:
        file.write_text('x = 1')
    raw = {
        'class_names': ['one', 'two'],
        'model_params_path': [str(file) for file in files],
        'gpu_id': '',
        'gpu_count': 0,
        'task_id': 't',
    }
    mining = root / 'mining'
    shutil.copytree(training.in_dir, mining / 'in')
    (mining / 'out').mkdir()
    (mining / 'in/candidate-index.tsv').write_text(''.join(f'{image.path}\n' for image in images))
    (mining / 'in/config.yaml').write_text(yaml.safe_dump(raw))
    env = yaml.safe_load(
        (training.in_dir / 'env.yaml')
        .read_text()
        .replace(str(training.in_dir), str(mining / 'in'))
        .replace(str(training.out_dir), str(mining / 'out'))
    )
    env.update(run_training=False, run_mining=True, run_infer=True)
    env['input'].update(
        training_index_file='', val_index_file='', candidate_index_file=str(mining / 'in/candidate-index.tsv')
    )
    (mining / 'in/env.yaml').write_text(yaml.safe_dump(env))
    return {'training': training.in_dir, 'mining': mining / 'in'}


class Begun(Exception):
    """The work proper would begin now."""


@pytest.fixture
def dispatch(monkeypatch, tmp_path):
    """start.py's way through a task up to the work proper, in this process; gives the error."""

    def stop(*_, **__):
        raise Begun

    def run_script(command):
        name = Path(command[-1]).stem
        {'ymir_training': ymir_training, 'ymir_mining': ymir_mining, 'ymir_infer': ymir_infer}[name].main()

    monkeypatch.delenv(ERROR_FILE_VARIABLE, raising=False)
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    monkeypatch.setattr('ymir_exc.executor.run_and_forward_signals', run_script)
    monkeypatch.setattr(ymir_training, 'modify_mmengine_config', stop)
    monkeypatch.setattr(ymir_mining, 'predict', stop)
    monkeypatch.setattr(ymir_infer, 'predict', stop)
    monkeypatch.chdir(tmp_path)

    def run(in_dir):
        monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(in_dir / 'env.yaml'))
        try:
            start.begin()
            start.Executor(apps=start.task_commands()).start()
        except BaseException as error:  # SystemExit too
            return error
        return None

    return run


@pytest.mark.parametrize('kind', ['training', 'mining'])
@pytest.mark.parametrize('file', ['env.yaml', 'config.yaml', 'index'])
def test_mutated_tasks(kind, file, tasks, dispatch, capsys):
    in_dir = tasks[kind]
    path = in_dir / (
        {'training': 'train-index.tsv', 'mining': 'candidate-index.tsv'}[kind] if file == 'index' else file
    )
    good = path.read_bytes()
    generator = random.Random(f'{kind} {file}')
    begun = 0
    try:
        for _ in range(12 if (kind, file) == ('training', 'index') else 40):  # each of those reads images
            if file == 'index' or generator.random() < 0.3:
                content = mutated(good.decode(), generator)
            else:
                document = yaml.safe_load(good)
                for _ in range(generator.randint(1, 2)):
                    document = changed(document, generator)
                content = yaml.dump(document, allow_unicode=generator.random() < 0.5).encode('utf-8', 'surrogatepass')
            path.write_bytes(content)
            error = dispatch(in_dir)
            begun += isinstance(error, Begun)
            if not isinstance(error, Begun):
                assert isinstance(error, Exception), content
                mapped = as_task_error(error)
                assert code_of(mapped) in (300001, 300002, 300003, 300004, 300005, 300102), (
                    content,
                    code_of(mapped),
                    mapped.sentence,
                )
                assert len(mapped.sentence) > 10
    finally:
        path.write_bytes(good)
    assert begun
    assert isinstance(dispatch(in_dir), Begun)
