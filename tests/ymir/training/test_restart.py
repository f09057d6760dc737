"""A new training where an earlier one left its model: the old one is whole until the new one has a stage of its own."""

import shutil

import pytest
import torch
import yaml
from mmengine.config import Config

from tmi.checkpoint_io import load_checkpoint
from tmi.errors import NotFiniteError
from tmi.training.initial_weights import _initial_state
from ymir import ymir_training
from ymir.errors import as_task_error, code_of
from ymir.stage_files import unused_name
from ymir_exc.training_summary import TrainingSummary, read_training_summary, write_training_summary

from .hook_runs import CONFIG, Death, Killed, make_hook, make_runner, validate
from .platform import check_result, in_this_process, tiny_task

EARLIER = 'earlier = True\n'
NEW = 'new = True\n'


@pytest.fixture
def task(tmp_path, monkeypatch):
    task = tiny_task(tmp_path, 4, 2)
    in_this_process(task, monkeypatch)
    return task


def set_params(task, **edits):
    config = task.in_dir / 'config.yaml'
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **edits}))


def train(task, text, values, keep=2):
    """A whole new training with the hook alone; gives the name of its config."""
    models = task.out_dir / 'models'
    config = unused_name(models, CONFIG, text)
    (models / config).write_text(text)
    runner, hook = make_runner(task), make_hook(keep, config)
    hook.before_train(runner)
    for value in values:
        validate(hook, runner, value)
    return config


def packed(task):
    """Map each stage to (mAP, metric of its weights, text of its config), its folder first, as on the platform."""
    models = task.out_dir / 'models'
    content = {}
    for name, stage in check_result(task)['model_stages'].items():
        weights, config = (
            next(path for path in (models / name / file, models / file) if path.is_file()) for file in stage['files']
        )
        meta = load_checkpoint(weights)['meta']
        assert meta['cfg'] == config.read_text()
        content[name] = (stage['mAP'], meta['mAP'], config.read_text())
    return content


@pytest.mark.parametrize('same_config', [True, False])
def test_the_earlier_model_is_whole_until_the_new_one_is(task, monkeypatch, same_config):
    """Ends at every change on the disk; the names of both trainings are the same, what they hold is not."""
    models = task.out_dir / 'models'
    new_text = EARLIER if same_config else NEW
    train(task, EARLIER, [0.8, 0.1, 0.7])
    shutil.copytree(models, models.parent / 'earlier')
    listed = (models / 'result.yaml').read_bytes()
    earlier = packed(task)
    assert earlier['best'] == (0.8, 0.8, EARLIER)
    death = Death(monkeypatch)
    seen_earlier = seen_new = deaths = 0
    while True:
        death.changes_left = -1
        shutil.rmtree(models)
        shutil.copytree(models.parent / 'earlier', models)
        death.changes_left = deaths
        try:
            train(task, new_text, [0.2, 0.05])
        except Killed:
            deaths += 1
        else:
            break
        now = packed(task)
        if (models / 'result.yaml').read_bytes() == listed:
            assert now == earlier
            seen_earlier += 1
        else:
            assert all(
                metric in (0.2, 0.05) and own == metric and text == new_text for metric, own, text in now.values()
            )
            seen_new += 1
    assert seen_earlier >= 2 and seen_new >= 5
    assert packed(task) == {
        'best': (0.2, 0.2, new_text),
        'last': (0.05, 0.05, new_text),
        'epoch_2': (0.05, 0.05, new_text),
    }
    named = {file for stage in check_result(task)['model_stages'].values() for file in stage['files']}
    assert {path.name for path in models.iterdir()} == {*named, 'result.yaml', 'resume.pth', 'last_checkpoint'}
    assert load_checkpoint(models / 'resume.pth')['meta']['mAP'] == 0.05


def test_many_restarts_leave_the_files_of_the_last_one(task):
    for number in range(4):
        train(task, f'number = {number}\n', [0.5 - number / 10, 0.6 - number / 10])
    assert packed(task)['best'] == (pytest.approx(0.3), pytest.approx(0.3), 'number = 3\n')
    assert len(list((task.out_dir / 'models').glob('epoch_*.pth'))) == 2
    assert len(list((task.out_dir / 'models').glob('*.py'))) == 1


@pytest.mark.parametrize('stage', ['best', 'last', 'epoch_1'])
def test_old_files_in_the_folder_of_a_stage_are_neither_packed_nor_lost(task, stage):
    folder = task.out_dir / 'models' / stage
    folder.mkdir()
    for name in ('epoch_1.pth', 'epoch_2.pth', CONFIG):
        (folder / name).write_text('old')
    train(task, NEW, [0.4, 0.3])
    assert packed(task) == {'best': (0.4, 0.4, NEW), 'last': (0.3, 0.3, NEW), 'epoch_2_2': (0.3, 0.3, NEW)}
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        'epoch_1.pth': 'old',
        'epoch_2.pth': 'old',
        CONFIG: 'old',
    }


def write_foreign(task, protocol='1.1.0'):
    """A finished model of another executor."""
    models = task.out_dir / 'models'
    if protocol != '1.1.0':
        env = task.in_dir / 'env.yaml'
        env.write_text(env.read_text().replace('protocol_version: 1.1.0', f'protocol_version: {protocol}'))
        result = {'model': ['epoch_1.pth', CONFIG], 'map': 0.9}
        paths = [models / name for name in result['model']]
    else:
        stage = {'stage_name': 'best', 'files': ['epoch_1.pth', CONFIG], 'timestamp': 1700000000, 'mIoU': 0.9}
        result = {'best_stage_name': 'best', 'mIoU': 0.9, 'model_stages': {'best': stage}}
        paths = [models / 'best' / name for name in stage['files']]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text('foreign')
    (models / 'result.yaml').write_text(yaml.safe_dump(result))
    return paths


@pytest.mark.parametrize('protocol', ['1.1.0', '0.0.1'])
def test_the_model_of_another_executor_is_replaced_too(task, protocol, monkeypatch):
    paths = write_foreign(task, protocol)
    with monkeypatch.context() as patch:
        patch.setattr('ymir.checkpoint_hook.write_model_stage', lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(task, NEW, [0.3])
    assert all(path.read_text() == 'foreign' for path in paths)
    train(task, NEW, [0.3])
    assert not any(path.exists() for path in paths)
    if protocol == '1.1.0':
        assert packed(task)['best'] == (0.3, 0.3, NEW)
    else:
        result = yaml.safe_load((task.out_dir / 'models' / 'result.yaml').read_text())
        weights, config = (task.out_dir / 'models' / name for name in result['model'])
        assert result['map'] == 0.3 and load_checkpoint(weights)['meta']['cfg'] == config.read_text() == NEW


@pytest.mark.parametrize('text', ['{', '- a list', 'model_stages: [1]', 'model_stages: {best: 3}', '\x00', ''])
def test_a_result_that_cannot_be_read_is_replaced(task, text):
    (task.out_dir / 'models' / 'result.yaml').write_text(text)
    train(task, NEW, [0.3])
    assert packed(task)['best'] == (0.3, 0.3, NEW)


@pytest.mark.parametrize(
    'earlier, new, epoch',
    [
        ([0.8], 0.3, 'epoch_2'),
        (
            [0.2, 0.8],
            0.7,
            'epoch_2_2',
        ),  # trained again, as after a kill between result.yaml and resume.pth: nothing is overwritten
    ],
)
def test_a_resumed_training_goes_on_with_the_stages_that_are_there(task, earlier, new, epoch):
    config = train(task, EARLIER, earlier)
    runner, hook = make_runner(task), make_hook(2, config)
    runner.epoch = runner.iter = 1
    hook.before_train(runner)
    validate(hook, runner, new)
    assert packed(task) == {'best': (0.8, 0.8, EARLIER), 'last': (new, new, EARLIER), epoch: (new, new, EARLIER)}


def test_patterns_choose_no_file_of_the_earlier_training(task):
    config = task.in_dir / 'config.yaml'
    config.write_text(
        yaml.safe_dump({**yaml.safe_load(config.read_text()), 'ymir_saved_file_patterns': r'\.py$,\.txt$'})
    )
    models = task.out_dir / 'models'
    (models / 'run_config.py').write_text('of mmengine')
    (models / 'best').mkdir()
    for path in (models / 'best' / 'notes.txt', models / 'notes.txt', models / 'earlier.txt'):
        path.write_text('x')
    earlier = train(task, EARLIER, [0.8])
    assert check_result(task)['model_stages']['best']['files'] == ['epoch_1.pth', CONFIG, 'earlier.txt']
    (models / 'more.txt').write_text('x')
    new = train(task, NEW, [0.3])
    assert earlier != new
    assert check_result(task)['model_stages']['best']['files'] == ['epoch_1_2.pth', new, 'more.txt']


@pytest.mark.parametrize('obstacle', ['weights', 'data', 'crash', 'nothing validated'])
def test_a_new_training_that_fails_leaves_the_earlier_model(task, monkeypatch, obstacle):
    models = task.out_dir / 'models'
    train(task, EARLIER, [0.8, 0.6])
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    params = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    if obstacle == 'weights':
        bad = task.in_dir / 'models' / 'bad.pth'
        torch.save([1, 2], bad)
        params['pretrained_model_params'] = [str(bad)]
    if obstacle == 'data':
        (task.in_dir / 'train-index.tsv').write_text('')
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump(params))

    def end(*_):
        if obstacle == 'crash':
            raise NotFiniteError('the loss is not a number')

    monkeypatch.setattr(ymir_training, 'train', end)
    with pytest.raises(Exception) as caught:
        ymir_training.main()
    code = {'weights': 300004, 'data': 300002, 'crash': 300201}.get(obstacle, 300001)
    assert code_of(as_task_error(caught.value)) == code, caught.value
    assert {name: (models / name).read_bytes() for name in before} == before
    assert set(packed(task)) == {'best', 'last', 'epoch_2'}


@pytest.mark.parametrize('resume', [True, False])
def test_the_summary_of_a_training_that_is_resumed_goes_on(task, monkeypatch, resume):
    earlier = TrainingSummary(started=5.0, seconds=60.0, epoch=3, best_epoch=2, best_metrics={'mAP': 0.5}, epochs=9)
    write_training_summary(task.out_dir, earlier)
    (task.out_dir / 'models' / 'last_checkpoint').write_text('resume.pth')
    set_params(task, samples_per_gpu='auto', args_options='--resume' if resume else '')
    monkeypatch.setattr(ymir_training, 'train', lambda *_: train(task, NEW, [0.25]))
    ymir_training.main()
    summary = read_training_summary(task.out_dir)
    assert (summary.model, summary.epochs, summary.epoch) == ('yolov8_n', 2, 1)
    assert summary.samples_per_gpu == 4  # of a short run
    assert ['images used', 4, 2] in summary.data
    assert (summary.started == 5.0, summary.seconds >= 60) == (resume, resume)
    (task.out_dir / 'training-summary.json').write_text('broken')
    ymir_training.main()
    assert read_training_summary(task.out_dir).best_metrics == {'mAP': 0.25}


@pytest.mark.parametrize('setting, batch_size', [('auto', 8), (2, 2)])
def test_a_resumed_training_of_another_length_keeps_its_batch(task, monkeypatch, setting, batch_size):
    monkeypatch.setattr(ymir_training, 'train', lambda *_: None)
    train(task, NEW, [0.25])  # with 8 images a step
    set_params(task, samples_per_gpu=setting, args_options='--resume')
    ymir_training.main()
    run = Config.fromfile(task.out_dir / 'ymir_training' / 'run_config.py')
    assert run.train_dataloader.batch_size == batch_size  # 'auto' would choose 4
    assert read_training_summary(task.out_dir).samples_per_gpu == batch_size


def test_a_model_is_trained_further_from_the_folder_that_it_will_be_written_to(task, monkeypatch):
    """Its weights are read before anything of the earlier training may go."""
    models = task.out_dir / 'models'
    monkeypatch.setattr(ymir_training, 'train', lambda *_: train(task, NEW, [0.5]))
    ymir_training.main()
    weights = models / check_result(task)['model_stages']['best']['files'][0]
    state, _ = _initial_state(Config.fromfile(task.out_dir / 'ymir_training' / 'run_config.py'))
    torch.save(
        {'state_dict': {name: value * 0 + 2 for name, value in state.items()}, 'meta': {'mAP': 0.5, 'cfg': NEW}},
        weights,
    )
    set_params(task, pretrained_model_params=[str(weights)])
    ymir_training.main()
    initial = load_checkpoint(task.out_dir / 'ymir_training' / 'initial_weights.pth')['state_dict']
    assert len(initial) == len(state) and all(bool((value == 2).all()) for value in initial.values())
    assert packed(task)['best'] == (0.5, 0.5, NEW)


def test_names_at_which_something_else_stands_are_left_alone(task):
    models = task.out_dir / 'models'
    (models / 'epoch_1.pth' / 'inner').mkdir(parents=True)
    (models / CONFIG).symlink_to('/nowhere')
    for name in ('best', 'last'):
        (models / name).write_text('no folder')
    assert train(task, NEW, [0.4, 0.3]) == 'model_2.py'
    assert packed(task) == {'best': (0.4, 0.4, NEW), 'last': (0.3, 0.3, NEW), 'epoch_2': (0.3, 0.3, NEW)}
    assert check_result(task)['model_stages']['best']['files'] == ['epoch_1_2.pth', 'model_2.py']
    assert (models / 'epoch_1.pth' / 'inner').is_dir() and (models / 'best').read_text() == 'no folder'
