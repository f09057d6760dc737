"""Rules for the hyper-parameter templates of an image (contract sections b.2, b.3, c.2 and c.4)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from .catalogues import IMAGE
from .finding import ERROR, WARNING, Hit, NotApplicable
from .image import Image, Template
from .reading import short

RESERVED = (
    'task_id',
    'gpu_id',
    'class_names',
    'object_type',
    'pretrained_model_params',
    'model_params_path',
    'run_infer',
    'run_mining',
)
HIDDEN = ('gpu_count', 'task_id', 'text_prompt')
MAX_KEY, MAX_TEXT, MAX_NUMBER, MAX_TEMPLATE = 50, 100, 20, 20000
SCIENTIFIC = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')
OCTAL = re.compile(r'[-+]?0[0-9_]+')
BOOLEAN_WORDS = ('yes', 'no', 'on', 'off')
ANNOTATION_FORMATS = ('ark', 'det-ark', 'voc', 'det-voc', 'coco', 'seg-coco')
SHM_SIZE = re.compile(r'\d+(\.\d+)? ?[kmgtp]?i?b?', re.IGNORECASE)  # as `docker run --shm-size` reads it


def _values(image: Image) -> Iterator[tuple[Template, Any, Any]]:
    for template in image.declared:
        for key, value in template.values.items():
            yield template, key, value


def _scalars(image: Image) -> Iterator[tuple[Template, str, yaml.ScalarNode, bool]]:
    """Yield every plain key and value as it is written: template, key, node, whether it is the key."""
    for template in image.declared:
        for key, value in template.document.node.value:
            for node, is_key in ((key, True), (value, False)):
                if isinstance(node, yaml.ScalarNode) and not node.style:
                    yield template, getattr(key, 'value', ''), node, is_key


def _place(template: Template, key: Any) -> str:
    return template.document.place(key if isinstance(key, str) else str(key))


@IMAGE.rule(
    'template/mapping',
    'b.2',
    ERROR,
    en=(
        'A template is one YAML mapping in UTF-8; any other leaves its task out without a word.',
        'Write "key: value" lines; {} if there is nothing to set.',
    ),
    zh=('模板是一个 UTF-8 编码的 YAML 映射；否则相应任务会不加提示地缺失。', '请写 “key: value” 行；没有参数时写 {}。'),
)
def mapping(image: Image) -> Iterator[Hit]:
    present = [template for template in image.templates if template.document.present]
    if not present:
        raise NotApplicable
    for template in present:
        if template.document.problem:
            yield Hit(template.document.name, template.document.detail)
        elif not isinstance(template.document.value, dict):
            yield Hit(template.document.name, short(template.document.value))


@IMAGE.rule(
    'template/json',
    'b.2',
    ERROR,
    en=(
        'Every value can be written as JSON; dates and timestamps stop the inspection, NaN and infinity are no JSON.',
        'Put quotes around dates; leave out NaN.',
    ),
    zh=('每个值都能写成 JSON；日期和时间戳会使检查中断，NaN 和无穷大不是合法的 JSON。', '请给日期加引号；去掉 NaN。'),
)
def json_(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule(
    'template/repeated-keys',
    'b.2',
    WARNING,
    en=('No key stands twice; the later value silently replaces the earlier.', 'Remove one of them.'),
    zh=('没有重复的键；后面的值会悄悄覆盖前面的。', '请删除其中一个。'),
)
def repeated_keys(image: Image) -> Iterator[Hit]:
    for template in image.declared:
        for key in template.document.repeated:
            yield Hit(_place(template, key), short(key))


@IMAGE.rule(
    'template/key-length',
    'b.2',
    WARNING,
    en=('Keys have at most 50 characters; the form cuts longer ones.', 'Shorten the key.'),
    zh=('键最多 50 个字符；表单会截断更长的键。', '请缩短键名。'),
)
def key_length(image: Image) -> Iterator[Hit]:
    for template, key, _ in _values(image):
        if len(str(key)) > MAX_KEY:
            yield Hit(_place(template, key), (f'{len(str(key))} characters', f'{len(str(key))} 个字符'))


@IMAGE.rule(
    'template/value-length',
    'b.2',
    WARNING,
    en=(
        'Texts have at most 100 characters and numbers at most 20; the form takes no more.',
        'Shorten the default, or let an empty text stand for it.',
    ),
    zh=('文字最多 100 个字符，数字最多 20 个字符；表单不接受更长的值。', '请缩短默认值，或用空文字表示默认值。'),
)
def value_length(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        limit = MAX_TEXT if isinstance(value, str) else MAX_NUMBER
        if isinstance(value, (str, int, float)) and key not in HIDDEN and len(str(value)) > limit:
            yield Hit(_place(template, key), (f'{len(str(value))} characters', f'{len(str(value))} 个字符'))


@IMAGE.rule(
    'template/flat',
    'b.2',
    WARNING,
    en=(
        'Values are texts, numbers, true or false; lists, mappings and null cannot be edited in the form.',
        "Write a list as one text, separated by commas, and an empty value as ''.",
    ),
    zh=(
        '值是文字、数字、true 或 false；列表、映射和 null 无法在表单中编辑。',
        "请把列表写成一段以逗号分隔的文字，空值写成 ''。",
    ),
)
def flat(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if value is None or isinstance(value, (list, dict, tuple, set)):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule(
    'template/text-keys',
    'b.2',
    WARNING,
    en=(
        'Keys are texts; a number or true as a key becomes a text on the way, and the image looks for another one.',
        'Put quotes around the key, or rename it.',
    ),
    zh=('键是文字；数字或 true 作为键会在传递中变成文字，镜像因此找不到它。', '请给键加引号，或改名。'),
)
def text_keys(image: Image) -> Iterator[Hit]:
    for template, key, _ in _values(image):
        if not isinstance(key, (str, bool)):
            yield Hit(_place(template, key), short(key))


@IMAGE.rule(
    'template/scientific',
    'b.2',
    WARNING,
    en=('Numbers with an exponent have a point and a sign; YAML 1.1 reads 1e-3 as a text.', 'Write 1.0e-3 or 0.001.'),
    zh=('带指数的数要有小数点和正负号；YAML 1.1 会把 1e-3 读成文字。', '请写 1.0e-3 或 0.001。'),
)
def scientific(image: Image) -> Iterator[Hit]:
    for template, key, node, is_key in _scalars(image):
        if not is_key and node.tag.endswith(':str') and SCIENTIFIC.fullmatch(node.value):
            yield Hit(_place(template, key), node.value)


@IMAGE.rule(
    'template/boolean-words',
    'b.2',
    WARNING,
    en=(
        'yes, no, on and off stand nowhere without quotes; YAML 1.1 reads them as true and false, in keys too.',
        'Write true or false, or put quotes around the word.',
    ),
    zh=(
        'yes、no、on、off 必须加引号；YAML 1.1 会把它们读成 true 和 false，在键中也一样。',
        '请写 true 或 false，或给该词加引号。',
    ),
)
def boolean_words(image: Image) -> Iterator[Hit]:
    for template, key, node, _ in _scalars(image):
        if node.tag.endswith(':bool') and node.value.lower() in BOOLEAN_WORDS:
            yield Hit(_place(template, key), node.value)


@IMAGE.rule(
    'template/odd-numbers',
    'b.2',
    WARNING,
    en=(
        'Numbers have no leading zero and no colon; YAML 1.1 reads 0123 as 83 and 1:30 as 90.',
        'Put quotes around what is no decimal number.',
    ),
    zh=('数字没有前导零，也没有冒号；YAML 1.1 把 0123 读成 83，把 1:30 读成 90。', '不是十进制数的内容请加引号。'),
)
def odd_numbers(image: Image) -> Iterator[Hit]:
    for template, key, node, is_key in _scalars(image):
        number = node.tag.rsplit(':', 1)[-1] in ('int', 'float')
        if number and not is_key and (':' in node.value or OCTAL.fullmatch(node.value)):
            yield Hit(_place(template, key), node.value)


@IMAGE.rule(
    'template/reserved',
    'b.2',
    WARNING,
    en=(
        'Keys of the platform stand in no template; it overwrites or removes them whatever their value is.',
        'Remove the key; read it from config.yaml.',
    ),
    zh=('模板中不含平台的保留键；无论取何值，平台都会覆盖或删除它们。', '请删除该键，并从 config.yaml 读取。'),
)
def reserved(image: Image) -> Iterator[Hit]:
    for template, key, _ in _values(image):
        if key in RESERVED:
            yield Hit(_place(template, key), key)


@IMAGE.rule(
    'template/gpu-count',
    'a.5',
    ERROR,
    en=('gpu_count, if it is there, is an integer; a text stops the platform.', 'Write "gpu_count: 1".'),
    zh=('gpu_count 若存在，必须是整数；文字会使平台出错。', '请写 “gpu_count: 1”。'),
)
def gpu_count(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'gpu_count' and (not isinstance(value, int) or isinstance(value, bool)):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule(
    'template/shm-size',
    'a.3',
    ERROR,
    en=(
        'shm_size, if it is there, is a size as Docker writes it; with another the container does not start.',
        'Write for instance "shm_size: 16G".',
    ),
    zh=('shm_size 若存在，必须是 Docker 的容量写法；否则容器无法启动。', '例如写 “shm_size: 16G”。'),
)
def shm_size(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'shm_size' and (isinstance(value, bool) or not SHM_SIZE.fullmatch(str(value))):
            yield Hit(_place(template, key), short(value))


@IMAGE.rule(
    'template/export-format',
    'c.4',
    ERROR,
    en=(
        'export_format is "<annotation>:raw"; without the colon or with another second part the training fails '
        'before it starts.',
        'Write "ark:raw", "voc:raw" or "coco:raw".',
    ),
    zh=(
        'export_format 是 “<标注>:raw”；没有冒号或后半部分不是 raw 时，训练在开始前就会失败。',
        '请写 “ark:raw”、“voc:raw” 或 “coco:raw”。',
    ),
)
def export_format(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'export_format' and template.task == 'training' and value != '':
            parts = str(value).lower().split(':')
            if not isinstance(value, str) or len(parts) != 2 or parts[1] != 'raw':
                yield Hit(_place(template, key), short(value))


@IMAGE.rule(
    'template/export-format-given',
    'c.4',
    WARNING,
    en=(
        'The training template names an export_format; without one platforms write VOC, older ones ark.',
        'Write "export_format: ark:raw", "voc:raw" or "coco:raw", whichever the image reads.',
    ),
    zh=(
        '训练模板写明 export_format；没有时平台写出 VOC，旧版本写出 ark。',
        '请按镜像所读的格式写 “export_format: ark:raw”、“voc:raw” 或 “coco:raw”。',
    ),
)
def export_format_given(image: Image) -> Iterator[Hit]:
    templates = [template for template in image.declared if template.task == 'training']
    if not templates:
        raise NotApplicable
    for template in templates:
        if template.values.get('export_format') in (None, ''):
            yield Hit(template.document.place('export_format'), ('none', '没有'))


@IMAGE.rule(
    'template/annotation-format',
    'c.4',
    WARNING,
    en=(
        'The annotation format is ark, voc, coco or one of their longer names; with "none" or an unknown word '
        'the train and val index files are empty.',
        'Write "ark:raw", "voc:raw" or "coco:raw".',
    ),
    zh=(
        '标注格式是 ark、voc、coco 或其全名；“none” 或未知的词会使训练集和验证集的索引文件为空。',
        '请写 “ark:raw”、“voc:raw” 或 “coco:raw”。',
    ),
)
def annotation_format(image: Image) -> Iterator[Hit]:
    for template, key, value in _values(image):
        if key == 'export_format' and template.task == 'training' and isinstance(value, str) and ':' in value:
            word = value.lower().split(':')[0]
            if word not in ANNOTATION_FORMATS:
                yield Hit(_place(template, key), short(value))


@IMAGE.rule(
    'template/size',
    'b.2',
    ERROR,
    en=(
        'A template has at most 20000 characters as JSON; the column of the database holds no more.',
        'Remove what a user never changes.',
    ),
    zh=('模板写成 JSON 后最多 20000 个字符；数据库的列放不下更多。', '请去掉用户从不修改的内容。'),
)
def size(image: Image) -> Iterator[Hit]:
    for template in image.declared:
        length = len(json.dumps(template.values, default=str, skipkeys=True))
        if length > MAX_TEMPLATE:
            yield Hit(template.document.name, (f'{length} characters', f'{length} 个字符'))
