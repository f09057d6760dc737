"""Rules for the hyper-parameter templates of an image (contract sections b.2, b.3, c.2 and c.4)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from ..platform.annotations import FORMATS
from ..platform.parameters import RESERVED
from ..texts import t
from .finding import ERROR, IMAGE, WARNING, Hit, NotApplicable
from .image import ExecutorImage, Template
from .reading import short

HIDDEN = ('gpu_count', 'task_id', 'text_prompt')
MAX_KEY, MAX_TEXT, MAX_NUMBER, MAX_TEMPLATE = 50, 100, 20, 20000
SCIENTIFIC = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')
OCTAL = re.compile(r'[-+]?0[0-9_]+')
BOOLEAN_WORDS = ('yes', 'no', 'on', 'off')
SHM_SIZE = re.compile(r'\d+(\.\d+)? ?[kmgtp]?i?b?', re.IGNORECASE)  # as `docker run --shm-size` reads it


def _values(image: ExecutorImage) -> Iterator[tuple[Template, Any, Any]]:
    for template in image.declared:
        for key, value in template.values.items():
            yield template, key, value


def _scalars(image: ExecutorImage) -> Iterator[tuple[Template, str, yaml.ScalarNode, bool]]:
    """Yield every plain key and value as it is written: template, key, node, whether it is the key."""
    for template in image.declared:
        for key, value in template.document.node.value:
            for node, is_key in ((key, True), (value, False)):
                if isinstance(node, yaml.ScalarNode) and not node.style:
                    yield template, getattr(key, 'value', ''), node, is_key


def _place(template: Template, key: Any) -> str:
    return template.document.place(key if isinstance(key, str) else str(key))


@IMAGE.rule('template/mapping', 'b.2', ERROR)
def mapping(image: ExecutorImage) -> Iterator[Hit]:
    present = [template for template in image.templates if template.document.present]
    if not present:
        raise NotApplicable
    for template in present:
        if template.document.problem:
            yield Hit(template.document.name, template.document.detail)
        elif not isinstance(template.document.value, dict):
            yield Hit(template.document.name, short(template.document.value))


@IMAGE.rule('template/json', 'b.2', ERROR)
def json_(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule('template/repeated-keys', 'b.2', WARNING)
def repeated_keys(image: ExecutorImage) -> Iterator[Hit]:
    for template in image.declared:
        for key in template.document.repeated:
            yield Hit(_place(template, key), short(key))


@IMAGE.rule('template/key-length', 'b.2', WARNING)
def key_length(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, _ in _values(image):
        if len(str(key)) > MAX_KEY:
            yield Hit(_place(template, key), t('check.characters', count=len(str(key))))


@IMAGE.rule('template/value-length', 'b.2', WARNING)
def value_length(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        limit = MAX_TEXT if isinstance(value, str) else MAX_NUMBER
        if isinstance(value, (str, int, float)) and key not in HIDDEN and len(str(value)) > limit:
            yield Hit(_place(template, key), t('check.characters', count=len(str(value))))


@IMAGE.rule('template/flat', 'b.2', WARNING)
def flat(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if value is None or isinstance(value, (list, dict, tuple, set)):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule('template/text-keys', 'b.2', WARNING)
def text_keys(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, _ in _values(image):
        if not isinstance(key, (str, bool)):
            yield Hit(_place(template, key), short(key))


@IMAGE.rule('template/scientific', 'b.2', WARNING)
def scientific(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, node, is_key in _scalars(image):
        if not is_key and node.tag.endswith(':str') and SCIENTIFIC.fullmatch(node.value):
            yield Hit(_place(template, key), node.value)


@IMAGE.rule('template/boolean-words', 'b.2', WARNING)
def boolean_words(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, node, _ in _scalars(image):
        if node.tag.endswith(':bool') and node.value.lower() in BOOLEAN_WORDS:
            yield Hit(_place(template, key), node.value)


@IMAGE.rule('template/odd-numbers', 'b.2', WARNING)
def odd_numbers(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, node, is_key in _scalars(image):
        number = node.tag.rsplit(':', 1)[-1] in ('int', 'float')
        if number and not is_key and (':' in node.value or OCTAL.fullmatch(node.value)):
            yield Hit(_place(template, key), node.value)


@IMAGE.rule('template/reserved', 'b.2', WARNING)
def reserved(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, _ in _values(image):
        if key in RESERVED and key != 'gpu_count':  # which has a rule of its own
            yield Hit(_place(template, key), key)


@IMAGE.rule('template/gpu-count', 'a.5', ERROR)
def gpu_count(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'gpu_count' and (not isinstance(value, int) or isinstance(value, bool)):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule('template/shm-size', 'a.3', ERROR)
def shm_size(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'shm_size' and (isinstance(value, bool) or not SHM_SIZE.fullmatch(str(value))):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule('template/export-format', 'c.4', ERROR)
def export_format(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'export_format' and template.task == 'training' and value != '':
            parts = str(value).lower().split(':')
            if not isinstance(value, str) or len(parts) != 2 or parts[1] != 'raw':
                yield Hit(_place(template, key), short(value))


@IMAGE.rule('template/export-format-given', 'c.4', WARNING)
def export_format_given(image: ExecutorImage) -> Iterator[Hit]:
    templates = [template for template in image.declared if template.task == 'training']
    if not templates:
        raise NotApplicable
    for template in templates:
        if template.values.get('export_format') in (None, ''):
            yield Hit(template.document.place('export_format'), t('check.none'))


@IMAGE.rule('template/annotation-format', 'c.4', WARNING)
def annotation_format(image: ExecutorImage) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'export_format' and template.task == 'training' and isinstance(value, str) and ':' in value:
            word = value.lower().split(':')[0]
            if word not in FORMATS:
                yield Hit(_place(template, key), short(value))


@IMAGE.rule('template/size', 'b.2', ERROR)
def size(image: ExecutorImage) -> Iterator[Hit]:
    for template in image.declared:
        length = len(json.dumps(template.values, default=str, skipkeys=True))
        if length > MAX_TEMPLATE:
            yield Hit(template.document.name, t('check.characters', count=length))
