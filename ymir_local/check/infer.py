"""Rules for infer-result.json of detection (contract section d.3)."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .catalogues import OUT
from .facts import DETECTION, INFER, Run
from .finding import ERROR, WARNING, Hit, NotApplicable
from .reading import is_number, short

LIST_KEYS = ('boxes', 'annotations')
BOX_KEYS = ('x', 'y', 'w', 'h')
OPTIONAL_BOX_KEYS = ('rotate_angle',)


def is_segmentation(run: Run) -> bool:
    """Return whether the result is one of segmentation: the task says so, or there is no task and the file looks so."""
    if run.object_type != DETECTION:
        return True
    value = run.infer_result.value
    return (
        not run.config
        and isinstance(value, dict)
        and 'detection' not in value
        and bool({'images', 'annotations', 'categories'} & set(value))
    )


def images_of(run: Run) -> dict[str, Any]:
    run.need_task(INFER)
    value = run.infer_result.need().value
    if is_segmentation(run) or not isinstance(value, dict) or not isinstance(value.get('detection'), dict):
        raise NotApplicable
    return value['detection']


def _items(run: Run) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the keys and value of every object of every image."""
    for image, entry in images_of(run).items():
        key, items = _list_of(entry)
        for index, item in enumerate(items):
            yield ('detection', image, key, index), item


def _list_of(entry: Any) -> tuple[str, list[Any]]:
    """Return the key that the platform takes, and the objects under it."""
    if isinstance(entry, dict):
        for key in LIST_KEYS:
            if isinstance(entry.get(key), list) and entry[key]:
                return key, entry[key]
    return LIST_KEYS[0], []


def _objects(run: Run) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    return ((keys, item) for keys, item in _items(run) if isinstance(item, dict))


def _boxes(run: Run) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    return (((*keys, 'box'), item['box']) for keys, item in _objects(run) if isinstance(item.get('box'), dict))


def _as_whole_number(value: Any) -> Any:
    """Return what protobuf makes of a value of an int32 field; None if it rejects it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value) if not isinstance(value, int) else value
        return int(number) if number == int(number) and -(2**31) <= number < 2**31 else None
    except (ValueError, OverflowError):
        return None


@OUT.rule(
    'infer/exists',
    'd.3, a.6',
    ERROR,
    en=(
        'An inference writes infer-result.json as a file; without it the platform shows 169999.',
        'Write output.infer_result_file of env.yaml, also when mining runs in the same task and when nothing is found.',
    ),
    zh=(
        '推理必须写出文件 infer-result.json；没有它，平台显示 169999。',
        '请写 env.yaml 的 output.infer_result_file；与挖掘同时运行时、没有检测到目标时也要写。',
    ),
)
def exists(run: Run) -> Iterator[Hit]:
    run.need_output(INFER, run.infer_result)
    if not run.infer_result.present:
        yield Hit('infer-result.json', run.infer_result.detail)


@OUT.rule(
    'infer/readable',
    'd.3, a.6',
    ERROR,
    en=(
        'infer-result.json is JSON in UTF-8 with a mapping at the top; otherwise the platform shows 169999.',
        'Write it with json.dump to a temporary file and rename it when it is complete.',
    ),
    zh=(
        'infer-result.json 是 UTF-8 编码的 JSON，顶层为映射；否则平台显示 169999。',
        '请用 json.dump 写入临时文件，完成后再重命名。',
    ),
)
def readable(run: Run) -> Iterator[Hit]:
    run.need_task(INFER)
    if not run.infer_result.present:
        raise NotApplicable
    if run.infer_result.problem:
        yield Hit(run.infer_result.name, run.infer_result.detail)
    elif not isinstance(run.infer_result.value, dict):
        yield Hit(run.infer_result.name, short(run.infer_result.value))


@OUT.rule(
    'infer/detection',
    'd.3, a.6',
    ERROR,
    en=(
        'The images stand in a mapping under the key detection; otherwise the platform shows 160011.',
        'Write {"detection": {"<file name>": {"boxes": [...]}}}.',
    ),
    zh=(
        '图像位于键 detection 下的映射中；否则平台显示 160011。',
        '请写 {"detection": {"<文件名>": {"boxes": [...]}}}。',
    ),
)
def detection(run: Run) -> Iterator[Hit]:
    run.need_task(INFER)
    value = run.infer_result.need().value
    if is_segmentation(run) or not isinstance(value, dict):
        raise NotApplicable
    if not isinstance(value.get('detection'), dict):
        yield Hit(run.infer_result.place('detection'), short(value.get('detection')))


@OUT.rule(
    'infer/repeated-images',
    'd.3',
    ERROR,
    en=(
        'Every image stands once: the platform takes the last part of the path, and a later entry replaces an earlier.',
        'Write one entry per image with all its boxes.',
    ),
    zh=('每张图像只出现一次：平台取路径的最后一段，后面的条目会覆盖前面的。', '请为每张图像写一个包含全部框的条目。'),
)
def repeated_images(run: Run) -> Iterator[Hit]:
    images = images_of(run)
    names = Counter(os.path.basename(name) for name in images)
    twice = {key for key in run.infer_result.repeated if key in images}
    for name in [*(name for name, count in names.items() if count > 1), *sorted(twice)]:
        yield Hit(run.infer_result.place('detection', name), short(name))


@OUT.rule(
    'infer/known-images',
    'd.3',
    ERROR,
    en=(
        'Every image of the result is a candidate; boxes of any other file name are lost.',
        'Use the last part of the path in candidate-index.tsv as the key, with its ending.',
    ),
    zh=(
        '结果中的每张图像都是候选图像；其他文件名的框会丢失。',
        '请以 candidate-index.tsv 中路径的最后一段（含后缀）为键。',
    ),
)
def known_images(run: Run) -> Iterator[Hit]:
    names = {os.path.basename(path) for path in run.candidates}
    for image in images_of(run):
        if os.path.basename(image) not in names:
            yield Hit(run.infer_result.place('detection', image), short(image))


@OUT.rule(
    'infer/entry',
    'd.3',
    ERROR,
    en=(
        'The value of an image is a mapping; null or a list stops the platform.',
        'Write {"boxes": []} for an image without objects.',
    ),
    zh=('每张图像的值是映射；null 或列表会使平台中断。', '没有目标的图像请写 {"boxes": []}。'),
)
def entry(run: Run) -> Iterator[Hit]:
    for image, value in images_of(run).items():
        if not isinstance(value, dict):
            yield Hit(run.infer_result.place('detection', image), short(value))


@OUT.rule(
    'infer/list',
    'd.3',
    ERROR,
    en=('boxes (or annotations) is a list of objects.', 'Write {"boxes": [{"class_name", "score", "box"}, ...]}.'),
    zh=('boxes（或 annotations）是目标的列表。', '请写 {"boxes": [{"class_name", "score", "box"}, ...]}。'),
)
def list_(run: Run) -> Iterator[Hit]:
    for image, value in images_of(run).items():
        for key in LIST_KEYS:
            if isinstance(value, dict) and key in value and not isinstance(value[key], list):
                yield Hit(run.infer_result.place('detection', image, key), short(value[key]))


@OUT.rule(
    'infer/list-key',
    'd.3',
    ERROR,
    en=(
        'The objects of an image stand under boxes (or annotations); an image with neither is skipped.',
        'Rename the key to boxes.',
    ),
    zh=('图像的目标位于 boxes（或 annotations）之下；两者都没有的图像会被跳过。', '请把键改为 boxes。'),
)
def list_key(run: Run) -> Iterator[Hit]:
    for image, value in images_of(run).items():
        if isinstance(value, dict) and value and not set(LIST_KEYS) & set(value):
            yield Hit(run.infer_result.place('detection', image), short(sorted(value)))


@OUT.rule(
    'infer/object',
    'd.3',
    ERROR,
    en=('Every object is a mapping with class_name, score and box.', 'Write the three keys for each object.'),
    zh=('每个目标是含 class_name、score 和 box 的映射。', '请为每个目标写出这三个键。'),
)
def object_(run: Run) -> Iterator[Hit]:
    for keys, item in _items(run):
        if not isinstance(item, dict):
            yield Hit(run.infer_result.place(*keys), short(item))


@OUT.rule(
    'infer/class-name',
    'd.3',
    ERROR,
    en=('class_name is text that is not blank; without it the platform stops.', 'Write the name, not the index.'),
    zh=('class_name 是非空文字；缺少时平台会中断。', '请写类别名称，而不是序号。'),
)
def class_name(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        name = item.get('class_name')
        if not isinstance(name, str) or not name.strip():
            yield Hit(run.infer_result.place(*keys, 'class_name'), short(name))


@OUT.rule(
    'infer/known-class',
    'd.3',
    ERROR,
    en=(
        'Class names are those of class_names in config.yaml; objects of other classes are dropped.',
        'Take the names from config.yaml by index, not from the checkpoint.',
    ),
    zh=(
        '类别名称来自 config.yaml 的 class_names；其他类别的目标会被丢弃。',
        '请按序号从 config.yaml 取名称，不要取自权重文件。',
    ),
)
def known_class(run: Run) -> Iterator[Hit]:
    known = set(run.class_names)
    for keys, item in _objects(run):
        name = item.get('class_name')
        if isinstance(name, str) and name.strip() and name.strip().lower() not in known:
            yield Hit(run.infer_result.place(*keys, 'class_name'), short(name))


@OUT.rule(
    'infer/score',
    'd.3',
    ERROR,
    en=(
        'score is there and a number; an object without it is dropped, and another value stops the platform.',
        'Write the confidence as a number.',
    ),
    zh=('必须有 score 且为数字；没有时该目标被丢弃，其他值会使平台中断。', '请以数字写出置信度。'),
)
def score(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        value = item.get('score')
        if not is_number(value) and not _is_nan(value):
            yield Hit(run.infer_result.place(*keys, 'score'), short(value))


@OUT.rule(
    'infer/score-range',
    'd.3',
    ERROR,
    en=(
        'score is from 0 to 1 (or -1 for none); other values and NaN break the page of a single image.',
        'Write the probability; leave out objects whose score is NaN.',
    ),
    zh=(
        'score 在 0 到 1 之间（-1 表示没有）；其他值和 NaN 会使单图推理页面出错。',
        '请写概率；丢弃 score 为 NaN 的目标。',
    ),
)
def score_range(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        value = item.get('score')
        if _is_nan(value) or (is_number(value) and float(value) != -1 and not is_number(value, 0, 1)):
            yield Hit(run.infer_result.place(*keys, 'score'), short(value))


def _is_nan(value: Any) -> bool:
    try:
        return float(value) != float(value)
    except (TypeError, ValueError, OverflowError):
        return False


@OUT.rule(
    'infer/box',
    'd.3',
    ERROR,
    en=('Every object has a box, a mapping with x, y, w, h.', 'Write {"x": left, "y": top, "w": width, "h": height}.'),
    zh=('每个目标都有 box，即含 x、y、w、h 的映射。', '请写 {"x": 左, "y": 上, "w": 宽, "h": 高}。'),
)
def box(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        if not isinstance(item.get('box'), dict):
            yield Hit(run.infer_result.place(*keys, 'box'), short(item.get('box')))


@OUT.rule(
    'infer/box-integers',
    'd.3',
    ERROR,
    en=(
        'x, y, w, h are whole numbers of 32 bits; one 5.5, true or null fails the whole task (169999).',
        'Round the coordinates and write int values.',
    ),
    zh=('x、y、w、h 是 32 位整数；出现一个 5.5、true 或 null，整个任务即失败（169999）。', '请对坐标取整，写 int 值。'),
)
def box_integers(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        for side in BOX_KEYS:
            if side in value and _as_whole_number(value[side]) is None:
                yield Hit(run.infer_result.place(*keys, side), short(value[side]))


@OUT.rule(
    'infer/box-complete',
    'd.3',
    ERROR,
    en=('A box has all of x, y, w, h; a missing one counts as 0.', 'Write all four.'),
    zh=('框包含 x、y、w、h 全部四项；缺少的按 0 计。', '请写全四项。'),
)
def box_complete(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        missing = ', '.join(side for side in BOX_KEYS if side not in value)
        if missing:
            yield Hit(run.infer_result.place(*keys), (f'no {missing}', f'缺少 {missing}'))


@OUT.rule(
    'infer/box-keys',
    'd.3',
    ERROR,
    en=(
        'A box has no keys but x, y, w, h and rotate_angle; any other fails the whole task (169999).',
        'Remove the key, or put it beside box.',
    ),
    zh=('框只能有 x、y、w、h 和 rotate_angle；出现其他键，整个任务即失败（169999）。', '请删除该键，或放到 box 之外。'),
)
def box_keys(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        for name in value:
            if name not in BOX_KEYS and name not in OPTIONAL_BOX_KEYS:
                yield Hit(run.infer_result.place(*keys, name), short(name))


@OUT.rule(
    'infer/box-size',
    'd.3',
    WARNING,
    en=(
        'A box is at least one pixel wide and high; the platform stores others unchecked, and they cannot be seen.',
        'Leave out boxes that are empty after rounding; w is right - left, not the right edge.',
    ),
    zh=('框的宽和高至少为 1 像素；平台会原样保存其他框，但看不到。', '请丢弃取整后为空的框；w 是右减左，不是右边界。'),
)
def box_size(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        for side in ('w', 'h'):
            number = _as_whole_number(value.get(side))
            if number is not None and number < 1:
                yield Hit(run.infer_result.place(*keys, side), short(value[side]))


@OUT.rule(
    'infer/rotate-angle',
    'd.3',
    ERROR,
    en=('rotate_angle, if it is there, is a finite number; NaN fails the whole task.', 'Leave it out, or write 0.0.'),
    zh=('rotate_angle 若存在，必须是有限的数；NaN 会使整个任务失败。', '请省略，或写 0.0。'),
)
def rotate_angle(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        if 'rotate_angle' in value and (
            isinstance(value['rotate_angle'], bool) or not is_number(value['rotate_angle'], -3.4e38, 3.4e38)
        ):
            yield Hit(run.infer_result.place(*keys, 'rotate_angle'), short(value['rotate_angle']))
