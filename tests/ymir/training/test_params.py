"""Typed parameters: what the web form and YAML 1.1 make of a value, and what the user reads about a bad one."""

from pathlib import Path

import pytest
import yaml

import ymir
from tmi.errors import TaskError
from ymir.errors import code_of
from ymir.params import PLATFORM_KEYS, InferParams, MiningParams, TrainingParams, load_params
from ymir_exc.code import ExecutorReturnCode

IMG_MAN = Path(ymir.__file__).parent / 'img-man'
NAMES = {'class_names': ['cat', 'dog']}


@pytest.mark.parametrize('cls, task', [(TrainingParams, 'training'), (MiningParams, 'mining'), (InferParams, 'infer')])
def test_templates_are_the_defaults(cls, task):
    template = yaml.safe_load((IMG_MAN / f'{task}-template.yaml').read_text(encoding='utf-8'))
    assert template == cls.template()
    assert not PLATFORM_KEYS.intersection(template)
    # The web shows keys of at most 50 characters and cannot edit nested values.
    assert all(len(key) <= 50 and not isinstance(value, (dict, list)) for key, value in template.items())
    assert load_params(cls, {**NAMES, **template}) == load_params(cls, NAMES)


def test_the_manifest_says_detection_and_instance_segmentation():
    assert yaml.safe_load((IMG_MAN / 'manifest.yaml').read_text(encoding='utf-8')) == {'object_type': [2, 4]}


@pytest.mark.parametrize(
    'key, raw, value',
    [
        ('samples_per_gpu', '16', 16),
        ('samples_per_gpu', 16.0, 16),
        ('workers_per_gpu', '0', 0),
        ('workers_per_gpu', ' Auto', 'auto'),
        ('max_minutes', '2.5', 2.5),
        ('max_minutes', '', 0),
        ('learning_rate', '1e-3', 0.001),
        ('learning_rate', '0.25', 0.25),
        ('img_size', '320', 320),
        ('img_size', '640,480', (640, 480)),
        ('img_size', '640x480', (640, 480)),
        ('img_size', [640, 480], (640, 480)),
        ('img_size', 0, 0),
        ('img_size', '', 0),
        ('max_epochs', None, 100),
        ('max_epochs', '  ', 100),
        ('val_interval', 0, 1),
        ('val_interval', '-5', 1),
        ('precision', 'BF16', 'bf16'),
        ('pretrained', False, 'none'),
        ('pretrained', 'off', 'none'),
        ('find_unused_parameters', 'true', True),
        ('ymir_debug', '0', False),
        ('gpu_id', 0, '0'),
        ('gpu_id', ' 0 , 12 ', '0,12'),
        ('pretrained_model_params', '/in/a.pth', ['/in/a.pth']),
        ('class_names', [1, 'two'], ['1', 'two']),
        ('log_level', 'INFO', 'info'),
    ],
)
def test_values_are_cast(key, raw, value):
    assert getattr(load_params(TrainingParams, {**NAMES, key: raw}), key) == value


@pytest.mark.parametrize(
    'key, raw, words',
    [
        ('samples_per_gpu', 0, ['0', 'greater than or equal to 1', 'auto']),
        ('samples_per_gpu', True, ['True', 'boolean']),
        ('samples_per_gpu', 'many', ["'many'", 'integer']),
        ('workers_per_gpu', 'all', ["'all'", "'auto'", 'integer']),
        ('max_minutes', -1, ['-1', 'greater than or equal to 0']),
        ('max_minutes', 'off', ['max_minutes', 'number']),
        ('learning_rate', 'nan', ["'nan'"]),
        ('learning_rate', -1, ['-1', 'greater than or equal to 0']),
        ('img_size', 20, ['20', '32 to 8192']),
        ('img_size', 'large', ["'large'", 'width,height']),
        ('img_size', True, ['True', '32 to 8192']),
        ('precision', 'fp8', ["'fp8'", "'fp32'", "'bf16'", "'fp16'"]),
        *[
            (key, value, [key])
            for key in ('pretrained', 'precision', 'metric', 'log_level')
            for value in ({}, [], ['auto'], 5, 0.5)
            if value not in ({}, [])
        ],
        ('pretrained', {'a': 1}, ['pretrained']),
        ('metric', 'segm', ["'segm'", "'bbox'"]),
        ('max_keep_checkpoints', 10, ['10', 'less than or equal to 9']),
        ('gpu_id', 'cuda:0', ["'cuda:0'", "'0,1'"]),
        ('class_names', [], ['[]', 'at least 1']),
        ('class_names', [True], ['quotes']),
        ('class_names', ['a', 'a'], ['more than once: a']),
        ('class_names', ['a', ' a'], ['more than once: a']),
        *[('class_names', ['a', name], ['blank', 'control']) for name in ('', ' ', '\t', '\u3000', 'a\nb', 'a\tb')],
        *[
            ('class_names', ['a', name], ['not text', 'quotes'])
            for name in (None, 1.5, float('nan'), [], ['b'], {}, b'x')
        ],
        *[('class_names', names, ['class_names']) for names in ('cat', 5, {'cat': 1}, {'cat'}, 0.5, True)],
        *[
            ('gpu_id', ids, ["'0,1'"])
            for ids in (
                '²',
                '１',
                '٣',
                '0,',
                ',',
                '0,,1',
                '-1',
                '0;1',
                '0.0',
                0.5,
                float('nan'),
                True,
                [0, 1],
                {},
                '0,0',
                '00',
                '9' * 5000,
            )
        ],
        ('pretrained_model_params', ['a\0.pth'], ['NUL']),
        ('cfg_options', 'a\0', ['NUL']),
        ('model_name', 'a\ud800', ['half of a character']),
    ],
)
def test_bad_values_are_named(key, raw, words):
    with pytest.raises(TaskError) as caught:
        load_params(TrainingParams, {**NAMES, key: raw})
    assert code_of(caught.value) == ExecutorReturnCode.RC_EXEC_CONFIG_ERROR
    for word in (key, *words):
        assert word in caught.value.sentence


def test_a_missing_class_list_is_named():
    with pytest.raises(TaskError, match='lacks the key class_names'):
        load_params(TrainingParams, {})


def test_what_the_web_form_drops_takes_its_default():
    params = load_params(MiningParams, NAMES)
    assert (params.mining_algorithm, params.conf_threshold, params.iou_threshold) == ('hybrid', 0.1, 0.65)
    params = load_params(InferParams, NAMES)
    assert (params.conf_threshold, params.iou_threshold) == (0.2, 0.65)


def test_unknown_keys_are_warned_of_with_the_nearest_name(caplog):
    load_params(TrainingParams, {**NAMES, 'max_epoch': 3, 'xyz': 1, 'shm_size': '16G', 'gpu_count': 1, 'git_url': 'x'})
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert 'max_epoch; did you mean max_epochs?' in messages[0]
    assert 'xyz' in messages[1]


def test_the_mining_keys_of_a_combined_run_are_no_surprise_to_inference(caplog):
    load_params(InferParams, {**NAMES, 'mining_algorithm': 'random'})
    assert not caplog.records


@pytest.mark.parametrize('gpu_id, ids', [('', []), ('0', [0]), ('0,1,3', [0, 1, 3])])
def test_gpu_ids(gpu_id, ids):
    assert load_params(TrainingParams, {**NAMES, 'gpu_id': gpu_id}).gpu_ids == ids


@pytest.mark.parametrize('cls', [TrainingParams, MiningParams, InferParams])
@pytest.mark.parametrize('value', [2, '2', ' 2 ', 2.0, None, '', 0])
def test_a_task_of_detection(cls, value):
    assert load_params(cls, {**NAMES, 'object_type': value}) == load_params(cls, {**NAMES, 'object_type': 2})


@pytest.mark.parametrize('cls', [TrainingParams, MiningParams, InferParams])
@pytest.mark.parametrize('value', [1, 3, '3', 50, 100, -2, 2.5, True, 'detection', [2], [2, 3], {}])
def test_a_task_of_another_kind_has_a_code_of_its_own(cls, value):
    with pytest.raises(TaskError, match='object_type in config.yaml is .*object_type 2') as caught:
        load_params(cls, {**NAMES, 'object_type': value})
    assert code_of(caught.value) == ExecutorReturnCode.RC_EXEC_OBJECT_TYPE_ERROR


@pytest.mark.parametrize(
    'key, hint',
    [
        ('max_iter', None),
        ('max_epoch', 'max_epochs'),
        ('learningrate', 'learning_rate'),
        ('sample_per_gpu', 'samples_per_gpu'),
        ('imgsize', 'img_size'),
        ('image_size', 'img_size'),
        ('lr', None),
        ('max_keep_ckpts', 'max_keep_checkpoints'),
        ('opset', None),
        ('class_distribution_scores', None),
        ('save_period', None),
        ('sync_bn', None),
        ('activation', None),
        ('batch', None),
        ('warmup_epochs', None),
        ('expected_map', None),
    ],
)
def test_only_a_likely_misspelling_gives_a_hint(caplog, key, hint):
    load_params(TrainingParams, {'class_names': ['a'], key: 1})
    ending = f'did you mean {hint}?' if hint else 'it has no effect.'
    assert [record.message for record in caplog.records] == [f'Unknown key in config.yaml: {key}; {ending}']


def test_keys_of_the_platform_are_nothing_to_warn_about(caplog):
    keys = {
        'openpai_enable': True,
        'openpai_host': 'h',
        'openpai_token': 't',
        'openpai_storage': 's',
        'openpai_user': 'u',
        'shm_size': '1G',
        'task_id': 't0',
        'object_type': 2,
        'gpu_count': 0,
    }
    for cls in (TrainingParams, MiningParams, InferParams):
        load_params(cls, dict(keys, class_names=['a']))
    assert not caplog.records


def test_what_was_warned_of_is_not_warned_of_again(caplog):
    load_params(InferParams, {'class_names': ['a'], 'nothing': 1}, warn=False)
    assert not caplog.records


@pytest.mark.parametrize('value', ['none', 'off', 'None', False, 0, '0'])
def test_what_is_off_can_be_said_where_the_web_form_drops_zeros(value):
    params = load_params(MiningParams, {**NAMES, 'mining_diversity': value, 'mining_explore': value})
    assert (params.mining_diversity, params.mining_explore, params.mining_class_balance) == (0, 0, 0.5)


@pytest.mark.parametrize(
    'value, weights',
    [('1, 2.5', [1, 2.5]), ('[1,2]', [1, 2]), ('1,2,', [1, 2]), ([1, '2'], [1, 2]), (3, [3]), (0, [0]), (' ', '')],
)
def test_class_weights(value, weights):
    assert load_params(MiningParams, {**NAMES, 'class_distribution_scores': value}).class_distribution_scores == weights


@pytest.mark.parametrize(
    'value',
    ['1,,2', ',1', '1;2', '1 2', 'a', 'nan,1', '-1', '1e7', True, [1, False], [None, 1], [[1]], {'a': 1}, [10**400]],
)
def test_class_weights_that_are_none_are_named(value):
    with pytest.raises(TaskError) as caught:
        load_params(MiningParams, {**NAMES, 'class_distribution_scores': value})
    assert 'one for each class in the order of class_names, separated by commas' in caught.value.sentence
    assert 'allowed is' not in caught.value.sentence
