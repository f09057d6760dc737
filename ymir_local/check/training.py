"""Rules for result.yaml of a training (contract section d.2); those for the files that it names: training_files."""

import os
from collections.abc import Iterator
from typing import Any

from ymir_exc.reading.document import TAG

from .catalogues import OUT
from .facts import TRAINING, Run
from .finding import ERROR, WARNING, Hit, NotApplicable
from .reading import is_integer, is_number, short

METRICS = ('mAP', 'mAR', 'mIoU', 'mAcc', 'maskAP', 'boxAP')
COUNTERS = ('tp', 'fp', 'fn')
REQUIRED = ('stage_name', 'files', 'timestamp')
OLD_STAGE = 'default_best_stage'
MAX_STAGE_NAME = 100


def root_of(run: Run) -> dict[str, Any]:
    """Return the mapping in result.yaml.

    Raises:
        NotApplicable: this was no training, or there is no such mapping.
    """
    run.need_task(TRAINING)
    value = run.result.need().value
    if not isinstance(value, dict):
        raise NotApplicable
    return value


def stages_of(run: Run) -> list[tuple[Any, dict[str, Any]]]:
    """Return the stages of the new form that are mappings.

    Raises:
        NotApplicable: there are none.
    """
    root = root_of(run)
    if 'model' in root or not isinstance(root.get('model_stages'), dict):
        raise NotApplicable
    return [(key, stage) for key, stage in root['model_stages'].items() if isinstance(stage, dict)]


@OUT.rule(
    'training/exists',
    'd.2, a.6, l.4',
    ERROR,
    en=(
        'A training writes models/result.yaml as a file; without it the platform shows 160011.',
        'Write result.yaml (output.training_result_file in env.yaml) after every saved stage.',
    ),
    zh=(
        '训练必须写出文件 models/result.yaml；没有它，平台显示 160011。',
        '请在每次保存模型后写 result.yaml（env.yaml 的 output.training_result_file）。',
    ),
)
def exists(run: Run) -> Iterator[Hit]:
    run.need_output(TRAINING, run.result)
    if os.path.lexists(run.models_dir) and not run.models_dir.is_dir():
        raise NotApplicable  # container/out-folder
    if not run.result.present:
        yield Hit('models/result.yaml', run.result.detail)


@OUT.rule(
    'training/readable',
    'd.2',
    ERROR,
    en=(
        'result.yaml is UTF-8 and one YAML mapping; otherwise the platform shows 160011.',
        'Write it with yaml.safe_dump to a temporary file and rename it.',
    ),
    zh=(
        'result.yaml 是 UTF-8 编码的一个 YAML 映射；否则平台显示 160011。',
        '请用 yaml.safe_dump 写入临时文件，再重命名。',
    ),
)
def readable(run: Run) -> Iterator[Hit]:
    run.need_task(TRAINING)
    if not run.result.present or run.result.problem == TAG:
        raise NotApplicable
    if run.result.problem:
        yield Hit(run.result.name, run.result.detail)
    elif not isinstance(run.result.value, dict):
        yield Hit(run.result.name, short(run.result.value))


@OUT.rule(
    'training/plain-values',
    'd.2',
    ERROR,
    en=(
        'result.yaml holds plain values without Python tags; the platform reads it with safe_load, which refuses '
        'them (160011).',
        'Convert numpy and torch values with float() or int() before you write them, and use yaml.safe_dump.',
    ),
    zh=(
        'result.yaml 只含普通值，不含 Python 标签；平台用 safe_load 读取，遇到标签即拒绝（160011）。',
        '写入前请用 float() 或 int() 转换 numpy 和 torch 的值，并使用 yaml.safe_dump。',
    ),
)
def plain_values(run: Run) -> Iterator[Hit]:
    run.need_task(TRAINING)
    if not run.result.present or (run.result.problem and run.result.problem != TAG):
        raise NotApplicable
    if run.result.problem:
        yield Hit(run.result.name, run.result.detail)


@OUT.rule(
    'training/repeated-keys',
    'd.2',
    WARNING,
    en=(
        'No key stands twice in result.yaml; the later one silently replaces the earlier.',
        'Give every stage and every value a key of its own.',
    ),
    zh=('result.yaml 中没有重复的键；后者会悄悄覆盖前者。', '请让每个阶段和每个值都有自己的键。'),
)
def repeated_keys(run: Run) -> Iterator[Hit]:
    root_of(run)
    for key in run.result.repeated:
        yield Hit(run.result.name, short(key))


@OUT.rule(
    'training/form',
    'd.2',
    ERROR,
    en=(
        'result.yaml has model_stages, a mapping with at least one stage (or the old form: model and map); '
        'otherwise the platform shows 160011.',
        'Write "model_stages: {name: {stage_name, files, timestamp, mAP}}".',
    ),
    zh=(
        'result.yaml 含有 model_stages，即至少有一个阶段的映射（或旧形式：model 和 map）；否则平台显示 160011。',
        '请写 “model_stages: {名称: {stage_name, files, timestamp, mAP}}”。',
    ),
)
def form(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    stages = root.get('model_stages')
    if 'model' not in root and (not isinstance(stages, dict) or not stages):
        yield Hit(run.result.place('model_stages'), short(stages))


@OUT.rule(
    'training/one-form',
    'd.2',
    WARNING,
    en=(
        'result.yaml has either model_stages or the old key model; with both, the stages are ignored.',
        'Leave out the top-level keys model and map.',
    ),
    zh=('result.yaml 只能有 model_stages 或旧键 model 之一；两者都有时，各阶段被忽略。', '请去掉顶层的 model 和 map。'),
)
def one_form(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'model' in root and 'model_stages' in root:
        yield Hit(run.result.place('model'), short(root['model']))


@OUT.rule(
    'training/old-model',
    'd.2, l.6',
    ERROR,
    en=('In the old form, model is a list of file names with at least one.', 'Write "model: [name.pth]".'),
    zh=('旧形式中，model 是至少含一个文件名的列表。', '请写 “model: [name.pth]”。'),
)
def old_model(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'model' not in root:
        raise NotApplicable
    if not isinstance(root['model'], list) or not root['model']:
        yield Hit(run.result.place('model'), short(root['model']))


@OUT.rule(
    'training/old-map',
    'd.2, l.5',
    ERROR,
    en=('In the old form, map is there and a number from 0 to 1.', 'Write "map: 0.61" beside model.'),
    zh=('旧形式中必须有 map，且为 0 到 1 的数。', '请在 model 旁写 “map: 0.61”。'),
)
def old_map(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'model' not in root:
        raise NotApplicable
    if not is_number(root.get('map'), 0, 1):
        yield Hit(run.result.place('map'), short(root.get('map')))


@OUT.rule(
    'training/best-stage',
    'd.2',
    ERROR,
    en=(
        'best_stage_name is a key of model_stages; otherwise the platform shows 160011.',
        'Write the key of the best stage into best_stage_name, and change it when that stage is removed.',
    ),
    zh=(
        'best_stage_name 是 model_stages 的一个键；否则平台显示 160011。',
        '请把最佳阶段的键写入 best_stage_name，并在该阶段被删除时更新。',
    ),
)
def best_stage(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    stages = root.get('model_stages')
    if 'model' in root or not isinstance(stages, dict) or not stages:
        raise NotApplicable
    best = root.get('best_stage_name')
    if isinstance(best, (list, dict)) or best not in stages:
        yield Hit(run.result.place('best_stage_name'), short(best))


@OUT.rule(
    'training/stage',
    'd.2, l.7',
    ERROR,
    en=(
        'Every stage is a mapping with stage_name (a text), files and timestamp; one bad stage rejects the whole '
        'result.',
        'Add what is missing; stage_name is the key of the stage once more.',
    ),
    zh=(
        '每个阶段都是含 stage_name（文字）、files 和 timestamp 的映射；一个阶段有误，整个结果被拒绝。',
        '请补上缺少的内容；stage_name 与该阶段的键相同。',
    ),
)
def stage(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'model' in root or not isinstance(root.get('model_stages'), dict):
        raise NotApplicable
    for key, value in root['model_stages'].items():
        place = run.result.place('model_stages', key)
        if not isinstance(value, dict):
            yield Hit(place, short(value))
            continue
        missing = ', '.join(name for name in REQUIRED if name not in value)
        if missing:
            yield Hit(place, (f'no {missing}', f'缺少 {missing}'))
        elif not isinstance(value['stage_name'], (str, int, float)):
            yield Hit(run.result.place('model_stages', key, 'stage_name'), short(value['stage_name']))


@OUT.rule(
    'training/stage-name',
    'd.2',
    ERROR,
    en=(
        'A stage name has 1 to 100 characters and neither "@" nor "/"; the platform addresses a stage as '
        'hash@stage and makes a folder of it.',
        'Rename the stage.',
    ),
    zh=('阶段名有 1 到 100 个字符，不含 “@” 和 “/”；平台以 hash@stage 引用阶段，并以其为目录名。', '请重命名该阶段。'),
)
def stage_name(run: Run) -> Iterator[Hit]:
    for key, _ in stages_of(run):
        name = str(key)
        if not 1 <= len(name) <= MAX_STAGE_NAME or '@' in name or '/' in name or name in ('.', '..'):
            yield Hit(run.result.place('model_stages', key), short(key))


@OUT.rule(
    'training/timestamp',
    'd.2',
    ERROR,
    en=(
        'The timestamp of a stage is an integer of seconds that fits 32 bits; milliseconds do not.',
        'Write int(time.time()).',
    ),
    zh=('阶段的 timestamp 是以秒计的 32 位整数；毫秒放不下。', '请写 int(time.time())。'),
)
def timestamp(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        if 'timestamp' in value and not is_integer(value['timestamp']):
            yield Hit(run.result.place('model_stages', key, 'timestamp'), short(value['timestamp']))


@OUT.rule(
    'training/metrics',
    'd.2',
    ERROR,
    en=(
        'Metrics (mAP, mAR, mIoU, mAcc, maskAP, boxAP) are numbers from 0 to 1; NaN, null and the -1 of COCO for '
        '"no ground truth" reject the whole result.',
        'Write 0 where there is nothing to measure, and a share instead of per cent.',
    ),
    zh=(
        '指标（mAP、mAR、mIoU、mAcc、maskAP、boxAP）是 0 到 1 的数；'
        'NaN、null 以及 COCO 表示“没有真值”的 -1 会使整个结果被拒绝。',
        '无法度量时请写 0；请写比例而不是百分数。',
    ),
)
def metrics(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        for name in METRICS:
            if name in value and not is_number(value[name], 0, 1):
                yield Hit(run.result.place('model_stages', key, name), short(value[name]))


@OUT.rule(
    'training/counters',
    'd.2',
    ERROR,
    en=(
        'Counters (tp, fp, fn) are integers from 0 to 2147483647.',
        'Write a count, and leave it out where it can grow larger (pixels).',
    ),
    zh=('计数（tp、fp、fn）是 0 到 2147483647 的整数。', '请写计数；可能更大时（像素数）请省略。'),
)
def counters(run: Run) -> Iterator[Hit]:
    for key, value in stages_of(run):
        for name in COUNTERS:
            if name in value and not is_integer(value[name], 0):
                yield Hit(run.result.place('model_stages', key, name), short(value[name]))


@OUT.rule(
    'training/spelling',
    'd.2',
    WARNING,
    en=(
        'Metrics and counters are spelt as the platform spells them (mAP, tp); TP or map is silently ignored.',
        'Use exactly: mAP, mAR, mIoU, mAcc, maskAP, boxAP, tp, fp, fn.',
    ),
    zh=(
        '指标和计数的拼写与平台一致（mAP、tp）；TP 或 map 会被悄悄忽略。',
        '请准确使用：mAP、mAR、mIoU、mAcc、maskAP、boxAP、tp、fp、fn。',
    ),
)
def spelling(run: Run) -> Iterator[Hit]:
    known = (*METRICS, *COUNTERS)
    by_lower = {name.lower(): name for name in known}
    for key, value in stages_of(run):
        for name in value:
            right = by_lower.get(str(name).lower())
            if right and right != name and right not in value:
                yield Hit(run.result.place('model_stages', key, name), f'{short(name)} != {right}')


@OUT.rule(
    'training/evaluate-config',
    'd.2',
    ERROR,
    en=(
        'evaluate_config is a mapping of names to numbers; null and texts such as "0.5:0.95:0.05" reject the '
        'whole result.',
        'Leave out what is no number.',
    ),
    zh=(
        'evaluate_config 是名称到数字的映射；null 和 “0.5:0.95:0.05” 之类的文字会使整个结果被拒绝。',
        '请去掉不是数字的内容。',
    ),
)
def evaluate_config(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'evaluate_config' not in root:
        raise NotApplicable
    values = root['evaluate_config']
    if not isinstance(values, dict):
        yield Hit(run.result.place('evaluate_config'), short(values))
        return
    for key, value in values.items():
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            yield Hit(run.result.place('evaluate_config', key), short(value))
