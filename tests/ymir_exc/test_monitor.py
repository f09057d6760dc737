"""monitor.txt, column by column, and the arithmetic of progress."""

import os
import time

import numpy as np
import pytest

from tests.ymir_exc import platform_rules as rules
from tests.ymir_exc.conftest import TASK_ID
from ymir_exc import monitor
from ymir_exc.code import ExecutorReturnCode, ExecutorState
from ymir_exc.util import (
    YmirStage,
    YmirStageWeight,
    YmirTask,
    get_merged_config,
    get_ymir_process,
    write_ymir_monitor_process,
)


def columns(task):
    text = task.monitor_file.read_text()
    assert rules.monitor_violations(text, TASK_ID) == []
    return text.split('\n')[0].split('\t')


def test_the_line_of_the_contract(task):
    before = time.time()
    monitor.write_monitor_logger(0.374)
    line = columns(task)
    assert before - 1e-5 <= float(line.pop(1)) <= time.time()
    assert line == [TASK_ID, '0.37', '2', '0']
    assert task.monitor_file.read_text().endswith('\n')


@pytest.mark.parametrize(
    'percent, text',
    [
        (-0.1, '0.00'),
        (0, '0.00'),
        (0.005, '0.01'),
        (0.994, '0.99'),
        (1, '1.00'),
        (1.0000001, '1.00'),
        (5, '1.00'),
        (float('inf'), '1.00'),
        (np.float32(0.25), '0.25'),
        ('0.5', '0.50'),
    ],
)
def test_percent_is_brought_into_its_range(task, percent, text):
    monitor.write_monitor_logger(percent)
    assert columns(task)[2] == text


@pytest.mark.parametrize('percent', [float('nan'), np.nan, 'half', None])
def test_percent_that_is_no_number_is_rejected_and_the_file_stays(task, percent):
    monitor.write_monitor_logger(0.3)
    before = task.monitor_file.read_text()
    with pytest.raises(ValueError, match='percent'):
        monitor.write_monitor_logger(percent)
    assert task.monitor_file.read_text() == before


@pytest.mark.parametrize(
    'message, written',
    [
        ('class_names is empty', 'class_names is empty'),
        ('a\tb\r\nc\x0bd\u2028e', 'a b c d e'),
        ('类别为空', '类别为空'),
        ('file \udcff.jpg', 'file ?.jpg'),
    ],
)
def test_message(task, message, written):
    monitor.write_monitor_logger(0.5, ExecutorState.ES_ERROR, ExecutorReturnCode.RC_EXEC_CONFIG_ERROR, message=message)
    assert columns(task)[2:] == ['0.50', '4', '300001', written]


def test_an_empty_message_adds_no_column(task):
    monitor.write_monitor_logger(0.5, message=' \n')
    assert len(columns(task)) == 5


@pytest.mark.parametrize('trace', ['a\n\n  b\n', ['a', '  b'], ['a\n  b', '\n']])
def test_trace(task, trace):
    monitor.write_monitor_logger(0.5, message='m', trace=trace)
    assert task.monitor_file.read_text().split('\n')[1:] == ['a', '  b', '']


def test_of_a_long_trace_the_end_is_kept(task):
    monitor.write_monitor_logger(0.5, trace='\n'.join(f'line {n}' for n in range(500)))
    lines = task.monitor_file.read_text().splitlines()
    assert rules.monitor_violations(task.monitor_file.read_text()) == []
    assert (len(lines), lines[1], lines[2], lines[-1]) == (100, '... 402 lines left out', 'line 402', 'line 499')


def test_a_task_id_that_would_shift_the_columns(task):
    task.write_env(task_id='\ta\tb\n')
    monitor.write_monitor_logger(0.5)
    assert task.monitor_file.read_text().startswith('a b\t')


def test_read_monitor_gives_what_was_written(task):
    monitor.write_monitor_logger(0.25, ExecutorState.ES_ERROR, ExecutorReturnCode.RC_EXEC_OOM, 'no memory', 'trace')
    line = monitor.read_monitor()
    assert (line.task_id, line.percent, line.state, line.code, line.message) == (TASK_ID, 0.25, 4, 300103, 'no memory')
    task.monitor_file.write_text('t1\t1.5\t0.00\t1\n')
    assert monitor.read_monitor() == ('t1', 1.5, 0.0, 1, 0, '')
    task.monitor_file.write_text('t1 1.5 0.00 1\n')
    with pytest.raises(ValueError, match='columns'):
        monitor.read_monitor()


@pytest.mark.parametrize(
    'run, name, percent, order, expected',
    [
        ('training', 'training', 0.3, 'tmi', 0.3),
        ('mining', 'mining', 0.3, 'tmi', 0.3),
        ('infer', YmirTask.INFER, 0.3, 'tim', 0.3),
        ('mining infer', YmirTask.MINING, 0.3, 'tmi', 0.15),
        ('mining infer', 'infer', 0.3, 'tmi', 0.65),
        ('mining infer', 'MINING', 0.3, 'tim', 0.65),
        ('mining infer', 3, 0.3, 'tim', 0.15),
        ('mining infer', 'infer', 1.00001, 'tmi', 1.0),
    ],
)
@pytest.mark.parametrize(
    'function', [monitor.write_monitor_logger_for_multiple_tasks, monitor.write_monitor_logger_for_mutiple_tasks]
)
def test_two_tasks_share_the_bar(task, function, run, name, percent, order, expected):
    task.write_env(run)
    function(get_merged_config(), name, percent, order=order)
    assert columns(task)[2] == f'{expected:.2f}'


@pytest.mark.parametrize(
    'name, percent, order',
    [('test', 0.5, 'tmi'), (7, 0.5, 'tmi'), ('infer', 0.5, 'mit'), ('infer', float('nan'), 'tmi')],
)
def test_a_bad_task_order_or_percent_is_rejected(task, name, percent, order):
    with pytest.raises(ValueError):
        monitor.write_monitor_logger_for_multiple_tasks(get_merged_config(), name, percent, order)


WEIGHTS = [0.1, 0.8, 0.1]


@pytest.mark.parametrize(
    'stage, p, expected',
    [
        (YmirStage.PREPROCESS, 0.5, 0.05),
        (YmirStage.TASK, 0.5, 0.5),
        (YmirStage.POSTPROCESS, 0.5, 0.95),
        ('preprocess', 1, 0.1),
        ('task', 1, 0.9),
        ('TASK', 0, 0.1),
        ('postprocess', 1, 1.0),
        (2, 7, 0.9),
    ],
)
def test_stages(stage, p, expected):
    assert YmirStageWeight(WEIGHTS).get_stage_process(stage, p) == pytest.approx(expected, abs=1e-12)


def test_stage_weights_of_the_environment(monkeypatch):
    assert YmirStageWeight().get_stage_process('task', 0.5) == pytest.approx(0.00001 + 0.5 * 0.99998, abs=1e-12)
    for name, value in zip(('PREPROCESS_WEIGHT', 'TASK_WEIGHT', 'POSTPROCESS_WEIGHT'), ('0.2', '0.5', '0.3')):
        monkeypatch.setenv(name, value)
    assert YmirStageWeight().get_stage_process('postprocess', 0.5) == pytest.approx(0.85)


@pytest.mark.parametrize('weights', [[0.5, 0.5], [0.5, 0.5, 0.5], [1.5, -0.5, 0], ['a', 0, 1], [float('nan'), 0, 1]])
def test_bad_stage_weights(weights):
    with pytest.raises(ValueError, match='weight'):
        YmirStageWeight(weights)


def test_an_unknown_stage_names_the_known_ones():
    with pytest.raises(ValueError, match='preprocess, task, postprocess'):
        YmirStageWeight().get_stage_process('training', 0.5)


@pytest.mark.parametrize('index, num, expected', [(0, 1, 0.5), (0, 2, 0.25), (1, 2, 0.75), (2, 4, 0.625)])
def test_get_ymir_process(index, num, expected):
    assert get_ymir_process(YmirStage.TASK, 0.5, index, num, WEIGHTS) == pytest.approx(expected)


@pytest.mark.parametrize('p, index, num', [(1.1, 0, 1), (-0.1, 0, 1), (0.5, 2, 2)])
def test_get_ymir_process_rejects(p, index, num):
    with pytest.raises(ValueError):
        get_ymir_process('task', p, index, num)


def test_write_ymir_monitor_process(task):
    task.write_env('mining infer')
    write_ymir_monitor_process(get_merged_config(), 'infer', 0.2, YmirStage.PREPROCESS, WEIGHTS, 'tmi')
    assert columns(task)[2] == '0.51'
    write_ymir_monitor_process(get_merged_config(), YmirTask.MINING, 1.0000002, 'postprocess')
    assert columns(task)[2] == '0.50'


def tensorboard_texts(task):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(task.root / 'out/tensorboard'))
    events.Reload()
    return {
        tag: [event.tensor_proto.string_val[0].decode() for event in events.Tensors(tag)]
        for tag in events.Tags()['tensors']
    }


def test_texts_of_a_process_go_into_one_event_file(task):
    monitor.write_tensorboard_text('one')
    monitor.write_tensorboard_text('two *2*', tag='notes')
    monitor.write_tensorboard_text('three')
    assert len(os.listdir(task.root / 'out/tensorboard')) == 1
    assert tensorboard_texts(task) == {'default': ['```\none\n```', '```\nthree\n```'], 'notes': ['```\ntwo *2*\n```']}


def test_of_a_huge_executor_log_the_end_is_shown(task):
    with pytest.raises(FileNotFoundError):
        monitor.write_final_executor_log()
    (task.root / 'out/ymir-executor-out.log').write_bytes(b'x' * (3 << 20) + b'\xffthe end')
    monitor.write_final_executor_log('tail')
    (text,) = tensorboard_texts(task)['tail']
    assert text.endswith('\ufffdthe end\n```') and len(text) < (1 << 20) + 100
    assert text.startswith(f'```\n... the first {(2 << 20) + 8} bytes are left out\n')
