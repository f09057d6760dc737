"""env.yaml and config.yaml: the platform's own, older ones and broken ones."""

import os

import pytest
import yaml

from ymir_exc import env, settings
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.errors import ConfigError

CONTRACT = """\
input:
  annotations_dir: /in/annotations
  assets_dir: /in/assets
  candidate_index_file: ''
  config_file: /in/config.yaml
  models_dir: /in/models
  root_dir: /in
  training_index_file: /in/train-index.tsv
  val_index_file: /in/val-index.tsv
manifest_file: /img-man/manifest.yaml
output:
  executor_log_file: /out/ymir-executor-out.log
  infer_result_file: /out/infer-result.json
  mining_result_file: /out/result.tsv
  models_dir: /out/models
  monitor_file: /out/monitor.txt
  root_dir: /out
  tensorboard_dir: /out/tensorboard
  training_result_file: /out/models/result.yaml
protocol_version: 1.1.0
run_infer: false
run_mining: false
run_training: true
task_id: t00000420000071f3a9b1700000123
"""


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    path = tmp_path / 'env.yaml'
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(path))
    return path


def test_the_platforms_env_yaml_comes_back_key_by_key(env_file):
    env_file.write_text(CONTRACT)
    assert env.get_current_env().model_dump() == yaml.safe_load(CONTRACT)


@pytest.mark.parametrize('text', ['', '{}', 'input:\noutput: {}\ntask_id:\nprotocol_version: ""\n'])
def test_absent_and_empty_keys_take_their_defaults(env_file, text):
    env_file.write_text(text)
    current = env.get_current_env()
    expected = yaml.safe_load(CONTRACT)
    expected['input'].update(training_index_file='', val_index_file='')
    expected.update(run_training=False, task_id='default-task', protocol_version='0.0.1')
    assert current.model_dump() == expected


@pytest.mark.parametrize('text, version', [('1.0', '1.0'), ('1.1.0', '1.1.0'), ('2', '2'), ('"1.1.0"', '1.1.0')])
def test_a_protocol_version_that_yaml_reads_as_a_number_is_text(env_file, text, version):
    env_file.write_text(f'protocol_version: {text}\ntask_id: 12\n')
    assert (env.get_current_env().protocol_version, env.get_current_env().task_id) == (version, '12')


@pytest.mark.parametrize(
    'text, words',
    [
        ('a: [', ['cannot be read']),
        ('- a', ['mapping', 'list']),
        ('run_training: perhaps', ['run_training', "'perhaps'"]),
        ('input: 3', ['input', '3']),
    ],
)
def test_a_broken_file_is_named_with_the_key(env_file, text, words):
    env_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        env.get_current_env()
    assert caught.value.code == ExecutorReturnCode.RC_EXEC_CONFIG_ERROR
    message = str(caught.value)
    assert str(env_file) in message and any(word in message for word in words)


def test_a_missing_file_is_a_file_not_found_error_with_a_code(env_file):
    with pytest.raises(FileNotFoundError, match='env.yaml') as caught:
        env.get_current_env()
    assert caught.value.code == ExecutorReturnCode.RC_EXEC_CONFIG_ERROR


def test_a_file_is_parsed_once_until_it_changes(env_file, monkeypatch):
    reads = []
    real = env.read_mapping
    monkeypatch.setattr(env, 'read_mapping', lambda path: reads.append(1) or real(path))
    env_file.write_text('task_id: one')
    assert [env.get_current_env().task_id for _ in range(3)] == ['one'] * 3
    assert len(reads) == 1
    env_file.write_text('task_id: two')
    os.utime(env_file, ns=(1, 1))
    assert env.get_current_env().task_id == 'two'
    assert len(reads) == 2


def test_what_a_caller_changes_stays_with_the_caller(task):
    env.get_current_env().output.root_dir = '/elsewhere'
    assert env.get_current_env().output.root_dir == str(task.root / 'out')
    env.get_executor_config()['class_names'].append('x')
    assert env.get_executor_config()['class_names'] == ['cat', 'dog', 'bird']


def test_config_yaml(task):
    assert env.get_executor_config() == task.config
    (task.root / 'in/config.yaml').write_text('')
    assert env.get_executor_config() == {}
    (task.root / 'in/config.yaml').unlink()
    with pytest.raises(FileNotFoundError, match='config.yaml'):
        env.get_executor_config()


def test_the_default_config_path_is_that_of_the_settings(env_file, tmp_path, monkeypatch):
    env_file.write_text('task_id: a')
    (tmp_path / 'other.yaml').write_text('a: 1')
    monkeypatch.setattr(settings, 'DEFAULT_CONFIG_FILE_PATH', str(tmp_path / 'other.yaml'))
    assert env.get_executor_config() == {'a': 1}
