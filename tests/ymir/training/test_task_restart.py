"""What a task does that is started again in the same output folder, up to the start of its training processes."""

import json
from types import SimpleNamespace

import pytest
import torch
import yaml

from tmi.errors import DiskFullError, SettingError, StandstillError
from tmi.training.training_state import SECONDS_USED, Position
from ymir import restart as restart_module
from ymir import ymir_training
from ymir.checkpoint_hook import YmirCheckpointHook
from ymir.restart import find_restart, task_of

from .hook_runs import CONFIG, make_hook, make_runner, validate
from .platform import check_result, in_this_process, tiny_task


@pytest.fixture
def task(tmp_path, monkeypatch):
    task = tiny_task(tmp_path, 4, 2)
    in_this_process(task, monkeypatch)
    return task


class Trainings:
    """Stands in for the training processes: notes how each was started, saves states, and fails or ends well.

    Args:
        task: the task.
        monkeypatch: of pytest.
    """

    def __init__(self, task, monkeypatch):
        self.task, self.starts, self.examined = task, [], []
        monkeypatch.setattr(ymir_training, 'train', self.train)
        monkeypatch.setattr(ymir_training, 'examine_labelled_images', self.examine)
        self.fails = self.fails_later = False
        self.meta = {}

    def train(self, run, run_config, task, arguments, link=None):
        self.starts.append((run, task, list(arguments)))
        hook = YmirCheckpointHook(
            **{key: value for key, value in run.default_hooks.checkpoint.items() if key != 'type'}
        )
        runner = make_runner(self.task)
        runner.train_loop.micro_batches = 4
        runner.call_hook = lambda name, checkpoint: checkpoint['meta'].update(self.meta)
        runner.epoch = runner.iter = 3 if run.resume else 0
        hook.before_train(runner)
        validate(hook, runner, 0.5)
        if self.fails:
            raise StandstillError('lost')

    def examine(self, task):
        self.examined.append(task)
        if self.fails_later:
            raise StandstillError('lost')

    def run(self, fails=False, fails_later=False, **edits):
        config = self.task.in_dir / 'config.yaml'
        config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **edits}))
        self.fails, self.fails_later = fails, fails_later
        if fails or fails_later:
            with pytest.raises(StandstillError):
                ymir_training.main()
        else:
            ymir_training.main()
        return self.starts[-1]


@pytest.fixture
def trainings(task, monkeypatch):
    return Trainings(task, monkeypatch)


def state_of(task):
    return task.out_dir / 'models' / 'resume.pth'


@pytest.mark.parametrize('edits', [{}, {'max_epochs': 9, 'workers_per_gpu': 1, 'patience': 3}])
def test_a_training_that_was_lost_goes_on(task, trainings, edits, caplog):
    first, _, _ = trainings.run(fails=True)
    assert not first.resume and first.load_from is None
    again, kept, _ = trainings.run(**edits)
    assert again.resume and again.load_from == str(state_of(task))
    meta = [run.default_hooks.checkpoint.meta for run in (first, again)]
    assert meta[0].training == meta[1].training and meta[0].task == meta[1].task
    assert again.train_cfg.micro_batches == 4  # which it found to be needed
    assert kept.samples_per_gpu == 8 and kept.optimizer == 'SGD'


def test_one_that_came_to_its_end_is_not_gone_on_with(task, trainings):
    trainings.run()
    again, _, _ = trainings.run(max_epochs=9)
    assert not again.resume and state_of(task).is_file()


@pytest.mark.parametrize('pretrained', [True, False])
def test_resume_keeps_whether_the_training_began_with_a_trained_detector(task, trainings, pretrained):
    """Groups of parameters follow from it, and an optimizer takes over no state of others."""
    trainings.run()
    content = torch.load(state_of(task), weights_only=False)
    content['meta']['pretrained'] = pretrained
    torch.save(content, state_of(task))
    again, resumed, arguments = trainings.run(args_options='--resume', max_epochs=9)
    assert arguments == ['--resume'] and resumed.pretrained is pretrained
    assert again.default_hooks.checkpoint.meta.pretrained is pretrained


def test_an_image_that_moves_from_one_set_to_the_other_makes_another_task(tmp_path):
    train, val = tmp_path / 'train.tsv', tmp_path / 'val.tsv'
    found = set()
    for lines in (('a\nb\n', 'c\n'), ('a\n', 'b\nc\n')):
        train.write_text(lines[0])
        val.write_text(lines[1])
        found.add(restart_module._fingerprint(str(train), str(val)))
    assert len(found) == 2


def test_one_that_is_trained_does_what_follows(task, trainings, caplog):
    caplog.set_level('INFO', 'ymir')
    trainings.run(fails_later=True)
    assert len(trainings.starts) == len(trainings.examined) == 1
    trainings.fails_later = False
    ymir_training.main()
    assert len(trainings.starts) == 1 and len(trainings.examined) == 2
    assert f'is complete in {state_of(task)}; the task goes on with what follows it.' in caplog.text
    assert 'goes on in epoch' not in caplog.text
    ymir_training.main()  # a new one
    assert len(trainings.starts) == 2


@pytest.mark.parametrize(
    'edits, words',
    [
        ({'learning_rate': 0.001}, 'learning_rate'),
        ({'class_names': ['two', 'one']}, 'class_names, the labels'),
        ({'model_name': 'yolov5_n', 'seed': 4}, 'model_name, seed'),
    ],
)
def test_another_task_starts_anew_and_keeps_the_state(task, trainings, edits, words, caplog):
    trainings.run(fails=True)
    state = state_of(task).read_bytes()
    again, _, _ = trainings.run(fails=True, **edits)
    assert not again.resume
    assert f'does not go on, because of other values of {words}: a new one starts.' in caplog.text
    kept = task.out_dir / 'models' / restart_module.EARLIER_FILE
    assert kept.read_bytes() == state
    third, _, _ = trainings.run()  # goes on with the new one
    assert third.resume and third.load_from == str(state_of(task))
    assert third.default_hooks.checkpoint.meta.training == again.default_hooks.checkpoint.meta.training


def test_no_state_is_lost_to_a_change_and_back(task, trainings, caplog):
    trainings.run(fails=True)
    first = state_of(task).read_bytes()
    trainings.run(fails=True, class_names=['two', 'one'])
    second = state_of(task).read_bytes()
    trainings.run(fails=True, class_names=['one', 'two'])
    models = task.out_dir / 'models'
    assert (models / 'resume_earlier.pth').read_bytes() == first != second
    assert (models / 'resume_earlier_2.pth').read_bytes() == second
    assert f'Its state is kept as {models / "resume_earlier_2.pth"}.' in caplog.text


def test_other_images_start_anew(task, trainings, caplog):
    trainings.run(fails=True)
    index = task.in_dir / 'train-index.tsv'
    index.write_text(''.join(index.read_text().splitlines(True)[1:]))
    assert not trainings.run()[0].resume
    assert 'other values of the images' in caplog.text


@pytest.fixture
def files(tmp_path):
    """Files that a state belongs to, and whether its training goes on with them as they are."""

    def find(start=False):
        env = SimpleNamespace(
            input=SimpleNamespace(training_index_file=str(tmp_path / 'index'), val_index_file=''),
            output=SimpleNamespace(models_dir=str(tmp_path)),
        )
        params = SimpleNamespace(**dict.fromkeys(restart_module.SETTINGS))
        data = SimpleNamespace(train_file=tmp_path / 'train.json', val_file=tmp_path / 'val.json')
        found = find_restart(env, task_of(params, env, data, [tmp_path / 'weights']), tmp_path)
        if start:
            meta = {'epoch': 1, 'iter': 1, **found.meta()}
            torch.save({'meta': meta, 'state_dict': {}}, tmp_path / 'resume.pth')
        return found.changed

    for name in ('index', 'train.json', 'val.json', 'weights'):
        (tmp_path / name).write_text(name)
    find(start=True)
    assert not find()
    return find


@pytest.mark.parametrize(
    'file, words', [('val.json', 'the labels'), ('weights', 'the weights to begin with'), ('index', 'the images')]
)
def test_files_that_were_edited_in_place_start_anew(files, tmp_path, file, words):
    (tmp_path / file).write_text('other')
    assert files() == (words,)
    (tmp_path / file).write_text(file)
    assert not files()


def test_weights_that_are_gone_matter_no_more(files, tmp_path):
    """A model of the output folder goes when the training writes its own."""
    (tmp_path / 'weights').unlink()
    files(start=True)
    (tmp_path / 'weights').write_text('weights')
    assert not files()


def test_fewer_epochs_than_are_done_train_nothing_and_say_so(task, trainings, caplog):
    trainings.run(fails=True, max_epochs=9)
    config = task.in_dir / 'config.yaml'
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), 'max_epochs': 1}))
    ymir_training.main()
    assert len(trainings.starts) == 1 and trainings.examined
    words = (
        f'max_epochs is 1, and the training in {task.out_dir / "models"} has done 1 epochs already: no epoch is left'
    )
    assert words in caplog.text and 'set max_epochs to 2 or more' in caplog.text
    (task.out_dir / 'models' / 'result.yaml').unlink()
    (task.out_dir / 'ymir_training' / restart_module.DONE_FILE).unlink()
    with pytest.raises(SettingError, match='none of which was validated: set max_epochs to 2 or more'):
        ymir_training.main()


def test_the_user_may_ask_for_a_new_one(task, trainings):
    trainings.run(fails=True, cfg_options=f'{trainings_options(task)} resume=False')
    assert not trainings.run()[0].resume


def trainings_options(task):
    return yaml.safe_load((task.in_dir / 'config.yaml').read_text())['cfg_options']


def test_a_state_without_its_task_is_left_alone(task, trainings):
    """Of an earlier version of this image, or of tools/train.py."""
    trainings.run(fails=True)
    content = torch.load(state_of(task), weights_only=False)
    for path in (task.out_dir / 'models').glob('*.pth'):
        content['meta'].pop('training', None)
        torch.save(content, path)
    assert not trainings.run()[0].resume


def test_a_damaged_state_is_replaced_by_the_weights_of_a_stage(task, trainings, caplog):
    trainings.run(fails=True)
    state_of(task).write_bytes(state_of(task).read_bytes()[:100])
    again, kept, _ = trainings.run()
    path = task.out_dir / 'ymir_training' / restart_module.WEIGHTS_STATE_FILE
    assert again.resume and again.load_from == str(path)
    content = torch.load(path, weights_only=False)
    assert content['meta']['epoch'] == 1 and 'optimizer' not in content and kept.optimizer is None
    assert 'goes on in epoch 2, step 1, from the weights' in caplog.text


def test_a_time_budget_counts_what_was_used_before(task, trainings):
    trainings.meta = {SECONDS_USED: 50.0}
    _, first, _ = trainings.run(fails=True, max_minutes=2.0)
    _, again, _ = trainings.run()
    assert again.started == pytest.approx(first.started - 50, abs=60)
    assert again.started < first.started - 10


def test_what_must_be_the_same_survives_json(task, trainings):
    run, _, _ = trainings.run(fails=True)
    meta = run.default_hooks.checkpoint.meta.to_dict()
    assert json.loads(json.dumps(meta)) == meta and meta['task']['class_names'] == ['one', 'two']


def saved_position(task):
    return torch.load(state_of(task), weights_only=False)['message_hub']['runtime_info']['position']


def test_a_stop_within_an_epoch_is_saved_with_its_place_or_not_at_all(task, monkeypatch):
    (task.out_dir / 'models' / CONFIG).write_text('model = dict()\n')
    hook, runner = make_hook(), make_runner(task)
    hook.before_train(runner)
    validate(hook, runner, 0.5)
    assert saved_position(task) == [0, 0, False]
    hook.save_state(runner, Position(2, 4))
    assert saved_position(task) == [2, 4, False]
    before = state_of(task).read_bytes()
    monkeypatch.setattr('ymir.checkpoint_hook.shutil.disk_usage', lambda path: SimpleNamespace(free=0))
    with pytest.raises(DiskFullError):
        hook.save_state(runner, Position(3, 4))
    assert state_of(task).read_bytes() == before


def test_a_training_that_stops_before_its_first_stage_replaces_the_earlier_model_later(task):
    """Resumed, it is past its first step and still has no stage of its own."""
    (task.out_dir / 'models' / CONFIG).write_text('model = dict()\n')
    first = make_runner(task)
    hook = make_hook()
    hook.before_train(first)
    validate(hook, first, 0.9)
    new, runner = make_hook(), make_runner(task)
    new.before_train(runner)
    runner.iter = 1
    new.save_state(runner, Position(1, 4))
    again, resumed = make_hook(), make_runner(task)
    resumed.message_hub.load_state_dict(torch.load(state_of(task), weights_only=False)['message_hub'])
    resumed.iter = 1
    again.before_train(resumed)
    assert again.replace_all
    validate(again, resumed, 0.1)
    assert not again.replace_all and check_result(task)['model_stages']['best']['mAP'] == 0.1


@pytest.mark.parametrize('text', ['', '5', 'null', '[1]', '{}'])
def test_a_damaged_record_of_what_is_done_is_none(tmp_path, text):
    (tmp_path / restart_module.DONE_FILE).write_text(text)
    assert restart_module._read_done(tmp_path) == ('', '')
