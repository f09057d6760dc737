"""Hyper-parameters with the types that the platform's form gives them."""

import os

import pytest
import yaml

from ymir_local.platform import parameters
from ymir_local.platform.parameters import (
    ParameterError,
    describe_template,
    parse_overrides,
    read_template,
    read_template_of_image,
    split_gpus,
)

TEMPLATE = {
    'max_epochs': 100,
    'learning_rate': 0.0,
    'img_size': 0,
    'precision': 'auto',
    'seed': 0,
    'debug': False,
    'export_format': 'ark:raw',
}


@pytest.mark.parametrize(
    'argument, expected',
    [
        ('max_epochs=20', 20),
        ('max_epochs=1e2', 100.0),
        ('learning_rate=0.01', 0.01),
        ('learning_rate=1e-3', 0.001),  # a number box, so no text as YAML 1.1 would have it
        ('img_size=640,480', '640,480'),
        ('precision=16', '16'),
        ('debug=true', 'true'),
        ('export_format=', ''),
        ('max_epochs=', ''),
        ('precision=a=b', 'a=b'),
        ('shm_size=32G', '32G'),
    ],
)
def test_types_of_the_form(argument, expected):
    warnings = []
    (value,) = parse_overrides([argument], TEMPLATE, warnings.append).values()
    assert (value, type(value), warnings) == (expected, type(expected), [])


def test_comments_of_a_template_describe_its_keys(tmp_path):
    (tmp_path / 'mining-template.yaml').write_text(
        '# Title of the file. 标题\n# Which / 哪个:\n#   fast: so / 快\n#   slow: a / b / 慢\nway: fast\nplain: 0\n'
        '# At most 1/2 / 最多一半\n#\n# of all\nshare: 0.5\n\n# English only: a / b\nempty:\n',
        encoding='utf-8',
    )
    assert describe_template('mining', tmp_path) == [
        ('way=fast', 'Which'),
        ('  fast', 'so'),
        ('  slow', 'a / b'),
        ('plain=0', ''),
        ('share=0.5', 'At most 1/2 of all'),
        ('empty=', 'English only: a / b'),
    ]
    with pytest.raises(ParameterError):
        describe_template('infer', tmp_path)


def test_unknown_keys_pass_with_a_warning():
    warnings = []
    assert parse_overrides(['learnig_rate=1', 'zzz=1'], TEMPLATE, warnings.append) == {'learnig_rate': '1', 'zzz': '1'}
    assert 'did you mean learning_rate?' in warnings[0] and 'did you mean' not in warnings[1]
    warnings.clear()
    parse_overrides(['max_iter=1', 'warmup_epochs=1', 'lr=1'], TEMPLATE, warnings.append)
    assert len(warnings) == 3 and not any('did you mean' in warning for warning in warnings), warnings


@pytest.mark.parametrize(
    'argument, words',
    [
        ('max_epochs', 'key=value'),
        ('=1', 'key=value'),
        ('max_epochs=ten', 'a number is needed'),
        ('gpu_count=2', 'use --gpus'),
        ('class_names=a', 'use --classes'),
        ('run_mining=1', 'ymir mine'),
        ('model_params_path=x', 'use --model'),
    ],
)
def test_mistakes(argument, words):
    with pytest.raises(ParameterError, match=words):
        parse_overrides([argument], TEMPLATE, print)


@pytest.mark.parametrize('text, expected', [('0', ()), ('2', (0, 1)), ('1,3', (1, 3)), ('3,', (3,))])
def test_gpus(text, expected):
    assert split_gpus(text) == expected


@pytest.mark.parametrize('text', ['x', '-1', '1,1', '1,x', ''])
def test_gpus_that_are_none(text):
    with pytest.raises(ParameterError, match='a single one as 3,'):
        split_gpus(text)


@pytest.mark.parametrize('visible, expected', [(0, ()), (4, (0,))])
def test_gpus_by_themselves(monkeypatch, visible, expected):
    monkeypatch.setattr(parameters, '_visible_gpus', lambda: visible)
    assert split_gpus('auto') == expected


def test_templates(tmp_path):
    (tmp_path / 'infer-template.yaml').write_text('a: 1')
    (tmp_path / 'mining-template.yaml').write_text('- 1')
    assert read_template('infer', tmp_path) == {'a': 1}
    for name in ('training', 'mining'):
        with pytest.raises(ParameterError, match=f'does no {name}'):
            read_template(name, tmp_path)


def test_template_of_an_image_is_where_the_manifest_says(monkeypatch):
    files = {
        '/img-man/manifest.yaml': 'object_type: [3, 2]',
        '/img-man/det/mining-template.yaml': 'a: 1',
        '/img-man/mining-template.yaml': 'a: 2',
    }
    monkeypatch.setattr(parameters, '_pull_if_absent', lambda image: None)
    monkeypatch.setattr(parameters, '_cat', lambda image, path, required=True: files[path])
    assert read_template_of_image('x', 'mining') == {'a': 1}
    files['/img-man/manifest.yaml'] = yaml.safe_dump({'object_type': 2})
    assert read_template_of_image('x', 'mining') == {'a': 2}


@pytest.mark.parametrize(
    'manifest, words',
    [
        ('object_type: [1]', r'object_type is \[1\]; the platform knows'),
        ('object_type: [[2]]', 'the platform knows'),
        ('a: [', 'manifest.yaml cannot be read'),
    ],
)
def test_a_manifest_that_is_wrong(monkeypatch, manifest, words):
    monkeypatch.setattr(parameters, '_pull_if_absent', lambda image: None)
    monkeypatch.setattr(parameters, '_cat', lambda image, path, required=True: manifest)
    with pytest.raises(ParameterError, match=words):
        read_template_of_image('x', 'mining')


DOCKER = """#!/bin/bash
cd "${0%/*}"; echo "$@" >> calls
case $1 in
image) [ -e here ] || { echo "Error: No such image: $3" >&2; exit 1; };;
pull) [ -e there ] || { echo "pull access denied" >&2; exit 1; }; touch here;;
run) [ -e here ] && echo 'a: 1';;
esac
"""


def test_an_image_that_is_not_here_is_pulled_first(tmp_path, monkeypatch):
    """`docker run` would pull it too, but unseen, and within the time that an inspection may take."""
    (tmp_path / 'docker').write_text(DOCKER)
    (tmp_path / 'docker').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    with pytest.raises(ParameterError, match='a:b is not on this machine and cannot be pulled: pull access denied'):
        read_template_of_image('a:b', 'mining')
    (tmp_path / 'there').touch()
    assert read_template_of_image('a:b', 'mining') == read_template_of_image('a:b', 'mining') == {'a': 1}
    assert (tmp_path / 'calls').read_text().splitlines().count('pull a:b') == 2  # one that failed


def test_a_template_that_cannot_be_read(tmp_path):
    (tmp_path / 'infer-template.yaml').write_bytes(b'a: \xff')
    (tmp_path / 'mining-template.yaml').mkdir()
    for name, words in (
        ('infer', 'is not UTF-8 text'),
        ('mining', 'is not a regular file'),
        ('training', 'does not exist'),
    ):
        with pytest.raises(ParameterError, match=f'{name}-template.yaml {words}'):
            read_template(name, tmp_path)
