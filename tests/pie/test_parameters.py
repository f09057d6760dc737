"""Parameters: three sources, two forms, one sentence in two languages for each fault."""

import json
import os
import re
from pathlib import Path

import pytest

from pie.models import find_detector, network_of
from pie.parameter_source import Source, read_parameters
from pie.parameters import make_parameters
from pie.texts import PieError, texts

EXAMPLE = Path(__file__).with_name('traincfg.json')  # of the platform's document, byte for byte


def made(**changes):
    content = {**json.loads(EXAMPLE.read_text(encoding='utf-8')), **changes}
    return make_parameters(Source({key: value for key, value in content.items() if value != 'DROP'}, 'a test'))


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            pass


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_of_the_document():
    parameters = made()
    assert (parameters.epochs, parameters.batch_size, parameters.learning_rate) == (80, 4, 0.0003)
    assert parameters.input_size() == (608, 608) and parameters.weights_stem == 'yolov4'
    (airplane,) = parameters.labels()
    assert (airplane.name, airplane.value, airplane.title, airplane.color) == ('airplane', 1, '飞机', (255, 0, 0))
    task, model = network_of(parameters)
    assert (task, model.name) == ('detection', 'yolov5_s')


def test_numbers_may_be_text():
    parameters = made(epochs='80', batch_size='4.0', learning_rate='3e-4', auto_termination=True, gpu_num='0')
    assert (parameters.epochs, parameters.batch_size, parameters.learning_rate) == (80, 4, 0.0003)
    assert (parameters.auto_termination, parameters.gpu_num) == (1, 0)
    assert made(auto_termination='1').auto_termination == 1


@pytest.mark.parametrize(
    'given, size',
    [
        ('16,16', (32, 32)),
        ('336,337', (352, 352)),
        ('335,303.9', (320, 288)),
        ('1,8192', (32, 8192)),
        (608, (608, 608)),
        ([96, 64], (96, 64)),
        ('640x480', (640, 480)),
    ],
)
def test_load_size(given, size):
    assert made(load_size=given).input_size() == size


def test_a_network_of_larger_stride():
    assert made(load_size='608,608').input_size(64) == (640, 640)


def test_the_nested_form():
    content = json.loads(EXAMPLE.read_text(encoding='utf-8'))
    name = content.pop('model_name')
    network = {'model_name': name, 'weight_name': 'mine.th', 'backbone': '', 'optimizer': {'name': 'Adam'}}
    parameters = make_parameters(Source({**content, 'type': 2, 'network': json.dumps(network)}, 'a test'))
    assert (parameters.model_name, parameters.weights_stem, parameters.task) == ('yolov4', 'mine', 'detection')
    with pytest.raises(PieError, match='type is 1 .segmentation.*yolov4 is for detection'):
        network_of(make_parameters(Source({**content, 'type': '1', 'network': network}, 'a test')))


@pytest.mark.parametrize(
    'changes, words',
    [
        ({'epochs': 0}, 'epochs: 0'),
        ({'epochs': '3.5'}, "epochs: '3.5'"),
        ({'epochs': True}, 'epochs: True'),
        ({'epochs': 'DROP'}, 'epochs: missing'),
        ({'batch_size': 'four'}, "batch_size: 'four'"),
        ({'learning_rate': 'NaN'}, "learning_rate: 'NaN'"),
        ({'learning_rate': -1}, 'learning_rate: -1'),
        ({'load_size': '608'}, ''),
        ({'load_size': 'a,b'}, "load_size: 'a,b'"),
        ({'load_size': '99999,1'}, "load_size: '99999,1'"),
        ({'load_size': '0,0'}, "load_size: '0,0'"),
        ({'auto_termination': 2}, 'auto_termination: 2'),
        ({'gpu_num': -1}, 'gpu_num: -1'),
        ({'type': 4}, 'type: 4'),
        ({'model_name': ''}, "model_name: ''"),
        ({'model_name': '../../etc/x'}, 'cannot name the weights file'),
        ({'network': '{'}, 'network in a test is no JSON'),
    ],
)
def test_bad_values(changes, words):
    if not words:
        assert made(**changes).load_size == (608, 608)
        return
    with pytest.raises(PieError) as caught:
        made(**changes)
    assert words in caught.value.sentence and '\n' not in caught.value.sentence
    assert re.search('[一-鿿]', caught.value.chinese)


@pytest.mark.parametrize(
    'name, found',
    [
        ('yolov8s', 'yolov8_s'),
        ('YOLOv5-n', 'yolov5_n'),
        ('yolov8', 'yolov8_s'),
        ('rtmdet_tiny', 'rtmdet_tiny'),
        ('yoloxs', 'yolox_s'),
        ('yolov6_v3_s', 'yolov6_v3_s'),
    ],
)
def test_names_of_networks(name, found):
    assert find_detector(name).name == found


def test_an_unknown_network():
    with pytest.raises(PieError, match='There is no network yolov99; the nearest are yolov'):
        find_detector('yolov99')


def test_one_line_from_a_pipe_that_stays_open(pipe, folder):
    os.write(pipe[1], EXAMPLE.read_bytes().replace(b'\n', b'') + b'\n')
    assert read_parameters([], folder, pipe[0]).content['epochs'] == 80


def test_the_standard_input_beats_a_file_that_was_left(pipe, folder, caplog):
    (folder / 'traincfg.json').write_text('{"epochs": 1, "label": ""}')
    os.write(pipe[1], b'{"epochs": 2, "label": ""}')
    with caplog.at_level('INFO', 'pie'):
        assert read_parameters([], folder, pipe[0]).content['epochs'] == 2
    assert 'they differ in epochs' in caplog.text


def test_a_file_where_nothing_arrives(pipe, folder):
    base = folder / 'network'
    base.mkdir()
    (base / 'traincfg.json').write_bytes(b'\xef\xbb\xbf{"epochs": 3}')
    assert read_parameters([], base, pipe[0], patience=0.01).content == {'epochs': 3}
    os.close(pipe[1])  # the end of the stream, as of /dev/null
    assert read_parameters([], base, pipe[0]).content == {'epochs': 3}


def test_a_named_file_beats_both(pipe, folder):
    (folder / 'x.json').write_text('{"epochs": 4}')
    (folder / 'traincfg.json').write_text('{"epochs": 1}')
    os.write(pipe[1], b'{"epochs": 2}')
    assert read_parameters(['--config', 'x.json'], folder, pipe[0]).content == {'epochs': 4}
    assert read_parameters(['--config=x.json'], folder, pipe[0]).content == {'epochs': 4}


def test_no_parameters(pipe, folder):
    os.close(pipe[1])
    with pytest.raises(PieError, match='There are no parameters'):
        read_parameters([], folder, pipe[0])


def test_waiting_says_so(pipe, folder, caplog):
    """Without a file there is nothing to do but wait; after a while that is said, and what comes then is read."""
    import threading

    threading.Timer(0.2, os.write, (pipe[1], b'{"epochs": 5}\n')).start()
    with caplog.at_level('INFO', 'pie'):
        assert read_parameters([], folder, pipe[0], patience=0.02).content == {'epochs': 5}
    assert caplog.text.count('There is no traincfg.json: waiting') == 1


@pytest.mark.parametrize(
    'text, chinese, english',
    [
        (b'{"epochs": ', '第 1 行第 12 列：缺少值', 'line 1, column 12: a value is missing'),
        (b'{"a": 1\n"b": 2}', '第 2 行第 1 列：缺少逗号', 'line 2, column 1: a comma is missing'),
        (b'{"a" 1}', '缺少冒号', 'a colon is missing'),
        (b'{a: 1}', '缺少双引号括起的键', 'a key in double quotes is missing'),
        (b'{"a": "b', '没有结束的引号', 'has no closing quote'),
        (b'{"a": "\n"}', '有换行或控制字符', 'line break or control character'),
        (b'{"a": "\\x"}', '反斜杠', 'a backslash is wrong'),
        (b'{} {}', '多余的内容', 'more behind the end'),
        (b'{"a": ' + b'[' * 100000, '嵌套过深', 'nested too deep'),
        (b'{"a": NaN}', 'NaN 不是 JSON 的数', 'NaN is no JSON number'),
        (b'[1]', '是 list', 'are a list'),
        (b'\xff\xff\xff', '不是 UTF-8', 'no text in UTF-8'),
    ],
)
def test_bad_files(text, chinese, english, folder):
    """What is wrong and where, in each language, without words of the other."""
    (folder / 'x.json').write_bytes(text)
    with pytest.raises(PieError) as caught:
        read_parameters(['--config', 'x.json'], folder)
    assert english in caught.value.sentence and chinese in caught.value.chinese
    assert not re.search('[\u4e00-\u9fff]', caught.value.sentence)
    words = set(re.findall('[A-Za-z]{3,}', caught.value.chinese)) - {
        'json',
        'JSON',
        'NaN',
        'list',
        'UTF',
        'model',
        'name',
    }
    assert words <= {'GB', 'yolov'}


def test_a_missing_file(folder):
    with pytest.raises(PieError, match='cannot be read: there is no such file'):
        read_parameters(['--config', 'x.json'], folder)
    with pytest.raises(PieError, match='--config is the last word'):
        read_parameters(['--config'], folder)


def test_messages_are_whole():
    """Both languages have the same places, and each message that is named exists."""
    places = re.compile(r'(?<!\{)\{(\w+)\}')
    for name, pair in texts().items():
        assert set(pair) == {'zh', 'en'}, name
        if not name.startswith('cause_') and name != 'bad_value':
            assert set(places.findall(pair['zh'])) == set(places.findall(pair['en'])), name
    folder = Path(__file__).parents[2] / 'pie'
    source = ''.join(path.read_text(encoding='utf-8') for path in folder.glob('*.py'))
    used = set(re.findall(r"(?:\w+Error|say|warn|Words)\(\s*'([a-z]\w+)'[,)]", source))
    built = {name for name in texts() if name.startswith(('cause_', 'allowed_'))}
    assert used - set(texts()) == set()
    assert set(texts()) - built - set(re.findall(r"'(\w+)'", source)) == set()
