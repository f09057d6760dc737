"""Rules for infer-result.json of segmentation, a COCO mapping (contract section d.4)."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .catalogues import OUT
from .facts import INFER, Run
from .finding import ERROR, WARNING, Hit, NotApplicable
from .infer import is_segmentation
from .reading import is_integer, is_number, short

PARTS = ('images', 'categories', 'annotations')


def _root(run: Run) -> dict[str, Any]:
    run.need_task(INFER)
    value = run.infer_result.need().value
    if not is_segmentation(run) or not isinstance(value, dict):
        raise NotApplicable
    return value


def entries_of(run: Run, part: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    entries = _root(run).get(part)
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield (part, index), entry


def _identity(value: Any) -> Any:
    """Return an id so that those are equal which the platform takes for equal, 1 and 1.0 for instance."""
    return value if isinstance(value, (int, float, str)) else repr(value)


def _ids(run: Run, part: str) -> Counter:
    return Counter(_identity(entry.get('id')) for _, entry in entries_of(run, part))


def is_one_polygon(mask: Any) -> bool:
    """Return whether this is a mask of one polygon, which the platform takes; of several it does not."""
    return isinstance(mask, list) and len(mask) == 1 and isinstance(mask[0], list) and all(map(is_integer, mask[0]))


@OUT.rule(
    'segmentation/parts',
    'd.4',
    ERROR,
    en=(
        'images, categories and annotations are there, lists of mappings; without one the platform stops.',
        'Write all three, empty ones as [].',
    ),
    zh=('必须有 images、categories 和 annotations，均为映射的列表；缺一个平台就会中断。', '请写全三项，空的写 []。'),
)
def parts(run: Run) -> Iterator[Hit]:
    root = _root(run)
    for part in PARTS:
        if not isinstance(root.get(part), list):
            yield Hit(run.infer_result.place(part), short(root.get(part)))
            continue
        for index, entry in enumerate(root[part]):
            if not isinstance(entry, dict):
                yield Hit(run.infer_result.place(part, index), short(entry))


@OUT.rule(
    'segmentation/file-name',
    'd.4',
    ERROR,
    en=(
        'file_name is a file name without folder; an image with a folder is dropped together with its objects.',
        'Write os.path.basename of the path.',
    ),
    zh=('file_name 是不含目录的文件名；带目录的图像会连同其目标被丢弃。', '请写路径的 os.path.basename。'),
)
def file_name(run: Run) -> Iterator[Hit]:
    for keys, image in entries_of(run, 'images'):
        name = image.get('file_name')
        if not isinstance(name, str) or not name or name != os.path.basename(name):
            yield Hit(run.infer_result.place(*keys, 'file_name'), short(name))


@OUT.rule(
    'segmentation/known-images',
    'd.4',
    ERROR,
    en=('Every image of the result is a candidate; others are lost.', 'Use the file names of candidate-index.tsv.'),
    zh=('结果中的每张图像都是候选图像；其他的会丢失。', '请使用 candidate-index.tsv 中的文件名。'),
)
def known_images(run: Run) -> Iterator[Hit]:
    names = {os.path.basename(path) for path in run.candidates}
    for keys, image in entries_of(run, 'images'):
        name = image.get('file_name')
        if isinstance(name, str) and os.path.basename(name) not in names:
            yield Hit(run.infer_result.place(*keys, 'file_name'), short(name))


@OUT.rule(
    'segmentation/ids',
    'd.4',
    ERROR,
    en=(
        'Every image and every category has an id of its own; all entries of a repeated id are dropped.',
        'Number images and categories from 1.',
    ),
    zh=('每张图像、每个类别都有唯一的 id；重复 id 的条目会全部被丢弃。', '请从 1 开始为图像和类别编号。'),
)
def ids(run: Run) -> Iterator[Hit]:
    for part in ('images', 'categories'):
        for value, count in _ids(run, part).items():
            if count > 1 or value == 'None':
                yield Hit(run.infer_result.place(part), f'id {value}')


@OUT.rule(
    'segmentation/references',
    'd.4',
    ERROR,
    en=(
        'image_id and category_id of an annotation are ids that exist; a missing key stops the platform, and an '
        'annotation with an unknown id is dropped.',
        'Use the ids under images and categories.',
    ),
    zh=(
        '标注的 image_id 和 category_id 必须存在；缺少键会使平台中断，未知 id 的标注会被丢弃。',
        '请使用 images 和 categories 中的 id。',
    ),
)
def references(run: Run) -> Iterator[Hit]:
    known = {'image_id': _ids(run, 'images'), 'category_id': _ids(run, 'categories')}
    for keys, item in entries_of(run, 'annotations'):
        for key, values in known.items():
            if key not in item or _identity(item[key]) not in values:
                yield Hit(run.infer_result.place(*keys, key), short(item.get(key)))


@OUT.rule(
    'segmentation/known-class',
    'd.4',
    ERROR,
    en=('Category names are those of class_names in config.yaml.', 'Take the names from config.yaml.'),
    zh=('类别名称来自 config.yaml 的 class_names。', '请从 config.yaml 取名称。'),
)
def known_class(run: Run) -> Iterator[Hit]:
    known = set(run.class_names)
    for keys, category in entries_of(run, 'categories'):
        if str(category.get('name')).strip().lower() not in known:
            yield Hit(run.infer_result.place(*keys, 'name'), short(category.get('name')))


@OUT.rule(
    'segmentation/bbox',
    'd.4',
    ERROR,
    en=(
        'bbox is [x, y, w, h] with w and h of at least 1 after decimals are cut off; other objects are dropped.',
        'Write four numbers, and leave out empty objects.',
    ),
    zh=('bbox 是 [x, y, w, h]，去掉小数后 w 和 h 至少为 1；其他目标会被丢弃。', '请写四个数，并去掉空目标。'),
)
def bbox(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        value = item.get('bbox')
        if (
            not isinstance(value, list)
            or len(value) != 4
            or not all(is_integer(side) for side in value)
            or int(value[2]) < 1
            or int(value[3]) < 1
        ):
            yield Hit(run.infer_result.place(*keys, 'bbox'), short(value))


@OUT.rule(
    'segmentation/area',
    'd.4',
    ERROR,
    en=('area is there and a number; without it the platform stops.', 'Write the number of pixels.'),
    zh=('必须有 area 且为数字；缺少时平台会中断。', '请写像素数。'),
)
def area(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if not is_integer(item.get('area'), -(2**63), 2**63):
            yield Hit(run.infer_result.place(*keys, 'area'), short(item.get('area')))


@OUT.rule(
    'segmentation/mask',
    'd.4',
    ERROR,
    en=(
        'segmentation, if it is there, is an RLE with counts as text, or a list with exactly one polygon of '
        'numbers; anything else stops the platform.',
        'Decode counts of pycocotools to text; write a mask of several parts as RLE.',
    ),
    zh=(
        'segmentation 若存在，是 counts 为文字的 RLE，或恰好含一个由数字组成的多边形的列表；其他形式会使平台中断。',
        '请把 pycocotools 的 counts 解码为文字；多部分的掩码请写成 RLE。',
    ),
)
def mask(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'segmentation' not in item:
            continue
        value = item['segmentation']
        if isinstance(value, dict):
            if not isinstance(value.get('counts'), str):
                yield Hit(run.infer_result.place(*keys, 'segmentation', 'counts'), short(value.get('counts')))
        elif not is_one_polygon(value):
            yield Hit(run.infer_result.place(*keys, 'segmentation'), short(value))


@OUT.rule(
    'segmentation/confidence',
    'd.4',
    ERROR,
    en=('confidence, if it is there, is a number.', 'Write a number from 0 to 1.'),
    zh=('confidence 若存在，必须是数字。', '请写 0 到 1 的数。'),
)
def confidence(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'confidence' in item and not is_number(item['confidence']):
            yield Hit(run.infer_result.place(*keys, 'confidence'), short(item['confidence']))


@OUT.rule(
    'segmentation/score-key',
    'd.4',
    WARNING,
    en=(
        'The score of an object stands under confidence; the key score is not read, and the object counts as '
        'having none.',
        'Rename score to confidence.',
    ),
    zh=('目标的分数位于 confidence；键 score 不会被读取，目标会被当作没有分数。', '请把 score 改名为 confidence。'),
)
def score_key(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'score' in item and 'confidence' not in item:
            yield Hit(run.infer_result.place(*keys, 'score'), short(item['score']))


@OUT.rule(
    'segmentation/meta',
    'd.4',
    ERROR,
    en=('meta is not null; null stops the platform.', 'Leave meta out.'),
    zh=('meta 不能为 null；null 会使平台中断。', '请省略 meta。'),
)
def meta(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'meta' in item and item['meta'] is None:
            yield Hit(run.infer_result.place(*keys, 'meta'), 'null')


@OUT.rule(
    'segmentation/repeated',
    'd.4',
    ERROR,
    en=(
        'No two objects share image, class and bbox; the later ones are dropped even if their masks differ.',
        'Merge them into one mask.',
    ),
    zh=('任何两个目标的图像、类别和 bbox 不能都相同；即使掩码不同，后面的也会被丢弃。', '请合并为一个掩码。'),
)
def repeated(run: Run) -> Iterator[Hit]:
    seen = set()
    for keys, item in entries_of(run, 'annotations'):
        identity = repr([item.get(key) for key in ('image_id', 'category_id', 'bbox')])
        if identity in seen:
            yield Hit(run.infer_result.place(*keys), short(item.get('bbox')))
        seen.add(identity)
