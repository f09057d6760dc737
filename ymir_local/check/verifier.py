"""What the official verifier demands beyond the platform (contract section l).

Its checks 1 to 3, 4 to 6, 8 and 12 stand with the rules of the platform that they repeat.
"""

import os
from collections.abc import Iterator

from .catalogues import OUT
from .facts import DETECTION, MAIN_METRICS, MINING, TRAINING, Run
from .finding import WARNING, Hit, NotApplicable
from .infer import images_of, is_segmentation
from .mining import lines_of
from .reading import is_number, short
from .segmentation import entries_of, is_one_polygon
from .training import root_of, stages_of

WEIGHTS = ('.pt', '.pth', '.weight', '.weights', '.param', '.params', '.pb')


@OUT.rule(
    'verifier/stage-metric',
    'l.7, l.13',
    WARNING,
    en=(
        'Every stage names its main metric: mAP for detection, mIoU for semantic and maskAP for instance '
        'segmentation; without it the platform shows 0.',
        'Add the metric to each stage.',
    ),
    zh=(
        '每个阶段都写出主要指标：检测 mAP、语义分割 mIoU、实例分割 maskAP；没有时平台显示 0。',
        '请为每个阶段加上该指标。',
    ),
)
def stage_metric(run: Run) -> Iterator[Hit]:
    metric = MAIN_METRICS.get(run.object_type, MAIN_METRICS[DETECTION])
    for key, stage in stages_of(run):
        if metric not in stage and (run.config or not set(MAIN_METRICS.values()) & set(stage)):
            yield Hit(run.result.place('model_stages', key), (f'no {metric}', f'缺少 {metric}'))


@OUT.rule(
    'verifier/map-number',
    'l.5',
    WARNING,
    en=(
        'A top-level map in result.yaml is a number; the platform ignores it beside model_stages, the verifier '
        'does not.',
        'Leave it out, or write a number.',
    ),
    zh=('result.yaml 顶层的 map 是数字；有 model_stages 时平台忽略它，检查工具不忽略。', '请省略，或写数字。'),
)
def map_number(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'map' not in root or 'model' in root:
        raise NotApplicable  # training/old-map
    if not is_number(root['map']):
        yield Hit(run.result.place('map'), short(root['map']))


def _model_files(run: Run) -> list[str]:
    run.need_task(TRAINING)
    if run.ended_early or not run.models_dir.is_dir():
        raise NotApplicable
    # The verifier looks two levels deep.
    return [
        path.name
        for pattern in ('*', '*/*')
        for path in run.models_dir.glob(pattern)
        if path.is_file() and path.name != 'result.yaml'
    ]


@OUT.rule(
    'verifier/model-files',
    'l.9',
    WARNING,
    en=('models, or a folder in it, holds at least one file beside result.yaml.', 'Save the weights to /out/models.'),
    zh=('models 或其下一级目录中除 result.yaml 外至少有一个文件。', '请把权重保存到 /out/models。'),
)
def model_files(run: Run) -> Iterator[Hit]:
    if not _model_files(run):
        yield Hit('models', ('no file', '没有文件'))


@OUT.rule(
    'verifier/weights',
    'l.9',
    WARNING,
    en=(
        'models holds a file of weights by its ending: .pt, .pth, .weight(s), .param(s) or .pb.',
        'Give the weights one of these endings; others work on the platform all the same.',
    ),
    zh=(
        'models 中有以 .pt、.pth、.weight(s)、.param(s) 或 .pb 结尾的权重文件。',
        '请使用上述后缀之一；其他后缀在平台上也能用。',
    ),
)
def weights(run: Run) -> Iterator[Hit]:
    names = _model_files(run)
    if not names:
        raise NotApplicable
    if not any(name.endswith(WEIGHTS) for name in names):
        yield Hit('models', short(sorted(names)[:4]))


@OUT.rule(
    'verifier/tensorboard',
    'l.10, d.6',
    WARNING,
    en=(
        'A training leaves event files in tensorboard; otherwise the user sees no curves.',
        'Write scalars with a SummaryWriter to output.tensorboard_dir.',
    ),
    zh=(
        '训练在 tensorboard 中留下事件文件；否则用户看不到曲线。',
        '请用 SummaryWriter 把标量写到 output.tensorboard_dir。',
    ),
)
def tensorboard(run: Run) -> Iterator[Hit]:
    run.need_task(TRAINING)
    if run.ended_early:
        raise NotApplicable
    names = [name for _, _, files in os.walk(run.out_dir / 'tensorboard') for name in files if name != 'executor.log']
    if not names:
        yield Hit('tensorboard', ('no file', '没有文件'))


@OUT.rule(
    'verifier/every-candidate',
    'l.11',
    WARNING,
    en=(
        'infer-result.json has every candidate, also images in which nothing was found.',
        'Write {"boxes": []} for them.',
    ),
    zh=('infer-result.json 含有每张候选图像，包括没有检测到目标的图像。', '请为它们写 {"boxes": []}。'),
)
def every_candidate(run: Run) -> Iterator[Hit]:
    if is_segmentation(run):
        names = {str(entry.get('file_name')) for _, entry in entries_of(run, 'images')}
    else:
        names = {os.path.basename(name) for name in images_of(run)}
    for path in run.candidates:
        if os.path.basename(path) not in names:
            yield Hit(run.infer_result.name, short(os.path.basename(path)))


@OUT.rule(
    'verifier/plain-keys',
    'l.11',
    WARNING,
    en=(
        'The keys of infer-result.json are file names without folders; the platform takes the last part of a '
        'path, the verifier compares the whole.',
        'Write os.path.basename(path) as the key.',
    ),
    zh=(
        'infer-result.json 的键是不含目录的文件名；平台取路径的最后一段，检查工具比较整个键。',
        '请以 os.path.basename(path) 为键。',
    ),
)
def plain_keys(run: Run) -> Iterator[Hit]:
    for image in images_of(run):
        if os.path.basename(image) != image:
            yield Hit(run.infer_result.place('detection', image), short(image))


@OUT.rule(
    'verifier/mining-count',
    'l.12',
    WARNING,
    en=(
        'result.tsv has a line for every candidate.',
        'Write images that cannot be scored last, with the lowest score.',
    ),
    zh=('result.tsv 为每张候选图像写一行。', '无法打分的图像请以最低分排在最后。'),
)
def mining_count(run: Run) -> Iterator[Hit]:
    run.need_task(MINING)
    columns = [values[0] for _, values in lines_of(run)]
    named = {*columns, *(column.split(' ')[0] for column in columns)}  # a wrong separator is a matter of another rule
    for path in run.candidates:
        if path not in named:
            yield Hit('result.tsv', short(path))


@OUT.rule(
    'verifier/mining-spaces',
    'l.12',
    WARNING,
    en=(
        'Paths in result.tsv have no spaces; the verifier splits lines at them, the platform does not.',
        'Nothing is to mend in the executor if the index has the same path.',
    ),
    zh=('result.tsv 中的路径不含空格；检查工具按空格拆分，平台不会。', '如果索引中的路径相同，执行器无需修改。'),
)
def mining_spaces(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) == 2 and len(values[0].split()) > 1:
            yield Hit(f'result.tsv:{number}', short(values[0]))


@OUT.rule(
    'verifier/rle',
    'l.13',
    WARNING,
    en=('Masks are RLE with size and counts; the verifier refuses polygons.', 'Write the mask as compressed RLE.'),
    zh=('掩码是含 size 和 counts 的 RLE；检查工具不接受多边形。', '请把掩码写成压缩的 RLE。'),
)
def rle(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        mask = item.get('segmentation')
        if is_one_polygon(mask) or isinstance(mask, dict) and 'size' not in mask:
            yield Hit(run.infer_result.place(*keys, 'segmentation'), short(mask))
