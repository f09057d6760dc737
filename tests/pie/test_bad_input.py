"""Each bad input of the contract: one sentence in Chinese and one in English, exit status 1, no trace, nothing lost.

The table names the message of texts.yaml, so that a message without a case is noticed.
"""

import io
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import pie.main
import pie.storage
from pie.texts import texts
from tests.pie.store import Fault, Store
from tests.pie.test_train import CHINESE, parameters

ROOT = Path(__file__).resolve().parents[2]
PREFIX = 'devel/101/dataset/recognition/d1/'
# What reads input; other modules of pie/ have nothing to refuse.
MODULES = (
    'main', 'parameters', 'parameter_source', 'labels', 'models', 'layout', 'storage', 'dataset', 'pixel_data',
    'pixels', 'detection', 'weights',
)  # fmt: skip


def picture(side=32):
    return cv2.imencode('.png', np.full((side, side, 3), 90, np.uint8))[1].tobytes()


def label(name='plane'):
    box = '<xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>20</ymax>'
    return f'<annotation><object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>'.encode()


def saved(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


BOXES = {f'train/{kind}/{n}': data for n in '012' for kind, data in (('images', picture()), ('labels', label()))}
BOXES = {f'{key}.{"png" if "images" in key else "xml"}': data for key, data in BOXES.items()}
MASKS = {f'train/{kind}/a.png': picture() for kind in ('images', 'labels')}
XML, PICTURE = 'train/labels/a.xml', 'train/images/a.png'
ONE_FILE = {'resume_path': 's3://pie-engine-ai/a.th'}
TWO = [
    {'class_name': name, 'class_value': n, 'class_color': f'{n},0,0'} for n, name in enumerate(('background', 'ship'))
]
PIXELS = {'label': TWO, 'class_name': 'background,ship', 'model_name': 'fpn_n'}


@dataclass
class Case:
    """One bad input.

    Args:
        key: The message in texts.yaml; '' for an error of the core, which `words` name.
        words: Further words of the English sentence.
        changes: Of good parameters.
        text: The whole file of parameters instead.
        arguments: The command line instead.
        objects: The data set, key below its prefix -> bytes.
        weights: Objects of the storage beside the data set.
        fault: What the storage raises for each object.
        no_access: What aiUtils raises; an ImportError when it is imported, since boto3 is missing.
        variables: Of the environment.
    """

    key: str
    words: str = ''
    changes: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    arguments: list[str] | None = None
    objects: dict[str, bytes] = field(default_factory=lambda: dict(BOXES))
    weights: dict[str, bytes] = field(default_factory=dict)
    fault: Exception | None = None
    no_access: Exception | None = None
    variables: dict[str, str] = field(default_factory=dict)


def entry(**changes):
    return {'label': [{'class_name': 'plane', **changes}], 'class_name': ''}


CASES = [
    Case('no_parameters', arguments=[]),
    Case('config_without_file', arguments=['--config']),
    Case('config_unreadable', arguments=['--config', 'absent.json']),
    Case('not_json', 'a comma is missing', text='{"epochs": 1 "x": 2}'),
    Case('not_json', 'NaN', text='{"learning_rate": NaN}'),
    Case('not_an_object', text='[1]'),
    Case('network_not_json', changes={'network': '{'}),
    Case('network_not_json', 'a list', changes={'network': [1]}),
    *(
        Case('bad_value', f'{name}: ', changes={name: value})
        for name, value in [
            ('epochs', 0), ('epochs', 'ten'), ('epochs', True), ('epochs', None), ('batch_size', -1),
            ('load_size', '0,0'), ('load_size', 'big'), ('learning_rate', -1), ('learning_rate', 'inf'),
            ('auto_termination', 2), ('gpu_num', -1), ('n_class', 'x'),
            ('model_name', ''), ('type', 9), ('training_id', [1]), ('resume_path', {}),
            ('dataset_id', 1.5), ('class_name', ['a']),
        ]
    ),
    Case('bad_value', 'label: missing', changes={'label': None}),
    Case('unsafe_name', changes={'model_name': '../x'}),
    Case('label_empty', changes={'label': '[]'}),
    Case('label_empty', changes={'label': 7}),
    Case('label_not_json', 'line 1, column 1', changes={'label': '__import__("os").system("touch x")'}),
    Case('label_entry', changes={'label': '["plane"]'}),
    Case('label_name', changes=entry(class_name='')),
    Case('label_value', changes=entry(class_value=-1)),
    Case('label_color', changes=entry(class_color='300,0,0')),
    Case('label_twice', changes={'label': [{'class_name': 'a'}] * 2, 'class_name': ''}),
    Case('class_not_in_label', changes={'class_name': 'plane,ship,car'}),
    Case('label_not_in_classes', changes={'class_name': 'plane'}),
    Case('only_background', changes={'label': TWO[:1], 'class_name': ''}),
    Case('needs_background', changes={**entry(), 'model_name': 'fpn_n'}),
    Case('model_unknown', 'the nearest are', changes={'model_name': 'yolov99'}),
    Case('type_differs', changes={'type': 1}),
    Case('no_ai_utils', 'boto3 is not installed', no_access=ImportError()),
    Case('no_access', 'gives no address', no_access=RuntimeError('Not get S3 params')),
    Case('no_access', 'no connection', no_access=ConnectionRefusedError('refused')),
    Case('storage_denied', 'SignatureDoesNotMatch', fault=Fault('SignatureDoesNotMatch', 403)),
    Case('storage_denied', '(403)', fault=Fault('403', 403)),
    Case('storage_absent', 'NoSuchKey', fault=Fault('NoSuchKey', 404)),
    Case('storage_gone', 'it takes too long', fault=TimeoutError('timed out')),
    Case('odd_key', objects={**BOXES, 'train/images/../../x/a.png': b'', 'train/labels/../../x/a.xml': b''}),
    Case('dataset_empty', objects={}),
    Case('layout_unknown', objects={'train/a.png': b''}),
    Case('layout_differs', objects=MASKS),
    Case('layout_differs', objects={'train/A/a.png': b'', 'train/B/a.png': b'', 'train/labels/a.png': b''}),
    Case('no_pairs', objects={'train/images/a.png': b'', 'train/labels/b.xml': b''}),
    Case('nothing_readable', 'its format is not known', objects={PICTURE: b'x', XML: label()}),
    Case('nothing_readable', 'it is no XML', objects={PICTURE: picture(), XML: b'<a>'}),
    Case('no_objects', 'car (1)', objects={PICTURE: picture(), XML: label('car')}),
    Case('one_class_only', changes=PIXELS, objects=MASKS),
    Case('nothing_readable', 'its size is', changes=PIXELS, objects={**MASKS, 'train/labels/a.png': picture(16)}),
    Case('no_weights', changes={'resume_path': 's3://pie-engine-ai/w/'}),
    Case('no_weights', 'a.th, b.th', changes={'resume_path': 's3://pie-engine-ai'}, weights={'a.th': b'', 'b.th': b''}),
    Case('no_weights', changes={'resume_path': 's3://pie-engine-ai/w/a.th'}),
    Case('batch_too_small', changes={'batch_size': 1}, variables={'YMIR_CPU_PROCESSES': '2'}),
    Case('not_writable', 'a file of this name', variables={'PIE_OUTPUT_DIR': __file__}),
    Case('', 'holds no weights that torch.save wrote', changes=ONE_FILE, weights={'a.th': b'text'}),
    Case('', 'holds a list and no weights', changes=ONE_FILE, weights={'a.th': saved([1])}),
    Case(
        '',
        'do not belong to yolov5n: 0 of',
        changes=ONE_FILE,
        weights={'a.th': saved({'x.weight': torch.ones(2)})},
    ),
]  # fmt: skip


@pytest.mark.parametrize('case', CASES, ids=lambda case: f'{case.key}-{case.words}'[:60])
def test_bad_input(case, tmp_path, monkeypatch, capsys):
    for name in (
        'PYTHONPATH',
        'TMI_STARTED',
        'TMI_SETTINGS_FILE',
        'TMI_SETTING_NAMES',
        'PIE_CACHE_DIR',
        'PIE_OUTPUT_DIR',
    ):
        monkeypatch.setenv(name, case.variables.get(name, ''))
    for name, value in case.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pie.storage.Storage.__init__, '__defaults__', (0.0,))
    monkeypatch.setattr(pie.storage, 'FIRST_WAIT', 0.01)

    def open_data_set(dataset_id):
        if case.no_access is not None:
            raise case.no_access
        store = Store({**{PREFIX + key: data for key, data in case.objects.items()}, **case.weights})
        store.faults = [case.fault] * 100 if case.fault else []
        return SimpleNamespace(s3=store, bucketName='pie-engine-ai', path=f's3://pie-engine-ai/{PREFIX}')

    module = SimpleNamespace(aiUtils=SimpleNamespace(s3GetImg=open_data_set))
    if isinstance(case.no_access, ImportError):
        monkeypatch.delitem(sys.modules, 'aiUtils', raising=False)
        (tmp_path / 'modules').mkdir()
        (tmp_path / 'modules/aiUtils.py').write_text(
            'raise ModuleNotFoundError("No module named \'boto3\'", name="boto3")'
        )
        monkeypatch.syspath_prepend(str(tmp_path / 'modules'))
    else:
        monkeypatch.setitem(sys.modules, 'aiUtils', module)
    results = {'trainlog.json': b'{"epochs": [1]}', 'files/yolov5n.th': b'w', 'picture/pred.png': b'p'}
    for name, content in results.items():
        (tmp_path / 'output' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'output' / name).write_bytes(content)
    file = tmp_path / 'given.json'
    content = {name: value for name, value in {**parameters(), **case.changes}.items() if value is not None}
    file.write_text(json.dumps(content) if case.text is None else case.text, encoding='utf-8')

    arguments = ['--config', str(file)] if case.arguments is None else case.arguments
    assert pie.main.run(str(tmp_path), arguments) == 1

    shown = capsys.readouterr()
    assert 'Traceback' not in shown.out + shown.err and '[Process:' not in shown.out
    chinese, english = shown.err.splitlines()[-2:]
    assert chinese.startswith('错误: ') and english.startswith('Error: ')
    assert CHINESE.search(chinese) and not CHINESE.search(english)
    assert case.words in english
    if case.key:
        for line, language in ((chinese, 'zh'), (english, 'en')):
            pattern = re.sub(
                r'\\{\w+\\}', '.*', re.escape(texts()[case.key][language].replace('{{', '').replace('}}', ''))
            )
            assert re.search(pattern, line.replace('{', '').replace('}', '')), (pattern, line)
    assert {name: (tmp_path / 'output' / name).read_bytes() for name in results} == results
    assert not (tmp_path / 'x').exists()


def test_each_refusal_has_a_case():
    source = ''.join((ROOT / f'pie/{name}.py').read_text(encoding='utf-8') for name in MODULES)
    raised = set(re.findall(r"PieError\(\s*'(\w+)'", source)) | {'class_not_in_label', 'label_not_in_classes'}
    assert raised - {case.key for case in CASES} == set()
