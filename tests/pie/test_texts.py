"""Messages in both languages: no words of the other one, and no setting that the platform does not have."""

import errno
import json
import re
from pathlib import Path
from urllib.error import HTTPError

import pytest

from pie.causes import file_cause, network_cause, picture_cause
from pie.entry import SETTING_NAMES
from pie.parameters import Parameters
from pie.texts import PieError, Words, both, sentences, text
from tmi import errors
from tmi.errors import ERROR_PATTERNS, MEMORY_ADVICE, MEMORY_ADVICE_VARIABLE, as_task_error
from tmi.setting_names import SETTING_NAMES_VARIABLE
from tmi.settings import TrainingSettings

CHINESE = re.compile('[一-鿿]')


def in_both(words):
    return text('other', 'zh', reason=words), text('other', 'en', reason=words)


def test_a_message_within_another_has_its_language():
    error = PieError('not_json', place=Words('other', reason='x.json'), reason=Words('json_deep'))
    assert '：嵌套过深。' in error.chinese and ': it is nested too deep.' in error.sentence
    assert both('left_out', part='train', what=Words('file_empty')) == (
        'train 中未使用：文件为空 | Left out of train: the file is empty'
    )


@pytest.mark.parametrize(
    'words',
    [
        file_cause(PermissionError(errno.EACCES, 'Permission denied')),
        file_cause(FileExistsError(errno.EEXIST, 'File exists')),
        file_cause(OSError(errno.ENOSPC, 'No space left on device')),
        picture_cause(OSError('image file is truncated (3 bytes not processed)'), Path('x.jpg')),
        picture_cause(SyntaxError('broken PNG file'), Path('x.png')),
        picture_cause(FileNotFoundError(errno.ENOENT, 'No such file or directory'), Path('x.png')),
    ],
    ids=str,
)
def test_causes(words):
    chinese, english = in_both(words)
    assert CHINESE.search(chinese) and not re.search('[A-Za-z]', chinese)
    assert not CHINESE.search(english)


def test_what_the_network_did_is_found_below_others():
    """A client wraps what happened; the innermost one that is known counts."""
    try:
        try:
            raise ConnectionRefusedError('refused')
        except OSError as error:
            raise RuntimeError('Not get S3 params') from error
    except RuntimeError as error:
        assert in_both(network_cause(error)) == (
            '无法连接（ConnectionRefusedError）',
            'no connection (ConnectionRefusedError)',
        )
    assert network_cause(ValueError('x')) is None
    assert network_cause(HTTPError('http://x', 500, 'x', {}, None)) is None  # there is a connection


def test_errors_of_the_core_name_no_setting_of_another_platform(monkeypatch):
    """Each exception that the core knows, and each advice for too little memory, in the words of this platform."""
    monkeypatch.setenv(SETTING_NAMES_VARIABLE, json.dumps(SETTING_NAMES))
    foreign = {*TrainingSettings.model_fields, 'gpu_count', 'shm_size'} - {*Parameters.model_fields, 'compile', 'cache'}
    assert set(SETTING_NAMES.values()) <= {*Parameters.model_fields} and 'samples_per_gpu' in foreign
    found = []
    for kind in (*MEMORY_ADVICE, ''):
        monkeypatch.setenv(MEMORY_ADVICE_VARIABLE, kind)
        found.append(errors.killed_process('The training process', -9))
        for pattern in ERROR_PATTERNS:
            raised = type(pattern.types[0], (Exception,), {})
            found.append(as_task_error(raised(pattern.parts[0] if pattern.parts else 'x')))
    for error in found:
        assert not foreign & set(re.findall(r'\w+', error.sentence)), error.sentence
        assert not re.search(r'[:,] ?[.,]|or \.', error.sentence), error.sentence
    assert any('set batch_size or load_size lower' in error.sentence for error in found)


def test_each_cause_of_the_core_has_chinese_words_of_its_own():
    """The English sentence stands in the line below and is not repeated within the Chinese one."""
    for name in ('SettingError', 'ModelError', 'InsufficientMemoryError', 'DiskFullError', 'StoppedError', 'GpuError'):
        chinese, english = sentences(getattr(errors, name)('what is wrong'))
        assert english == 'what is wrong' and 'what is wrong' not in chinese and chinese.endswith('。')
