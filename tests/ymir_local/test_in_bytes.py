"""Every byte of `in/` against the platform's contract (sections a.2, b.3 and c), written here anew and by hand."""

import hashlib
import json
import os
import stat

import pytest
import yaml

from ymir_local.platform.labels import LabelledBox, LabelledImage
from ymir_local.platform.prepare import Host, ModelStage, prepare_candidates, prepare_training, submitted

JPEG, PNG, BMP, WEBP = (
    head + bytes(range(index, index + 40))
    for index, head in enumerate((b'\xff\xd8\xff\xe0', b'\x89PNG\r\n', b'BM', b'RIFF'))
)
CLASSES = ['forklift', 'pallet', '人 & co']
# what, on disk, width, height, boxes (class, x, y, w, h), lines of ark: class, xmin, ymin, xmax, ymax inclusive
IMAGES = {
    'a b.jpeg': (
        JPEG,
        640,
        480,
        [(0, 37, 52, 82, 189), (2, 0, 0, 1, 1)],
        b'0, 37, 52, 118, 240, -1.0, 0.0\n2, 0, 0, 0, 0, -1.0, 0.0\n',
    ),
    'sub/图.JPG': (PNG, 30, 20, [], b''),  # named after its bytes, not its ending
    'c.bmp': (BMP, 7, 9, [(0, 1, 2, 3, 4)], b'0, 1, 2, 3, 5, -1.0, 0.0\n'),
    'd.webp': (WEBP, 11, 12, [(2, 3, 4, 8, 8)], b'2, 3, 4, 10, 11, -1.0, 0.0\n'),
}
SUFFIX = dict(zip(IMAGES, ('jpg', 'png', 'bmp', 'unknown')))
ENV = """input:
  annotations_dir: /in/annotations
  assets_dir: /in/assets
  candidate_index_file: {candidates}
  config_file: /in/config.yaml
  models_dir: /in/models
  root_dir: /in
  training_index_file: {train}
  val_index_file: {val}
manifest_file: /img-man/manifest.yaml
output:
  executor_log_file: /out/ymir-executor-out.log
  infer_result_file: /out/infer-result.json
  mining_result_file: /out/result.tsv
  models_dir: /out/models
  monitor_file: /out/monitor.txt
  root_dir: /out
  tensorboard_dir: /out/tensorboard
  training_result_file: /out/models/result.yaml
protocol_version: 1.1.0
run_infer: {infer}
run_mining: {mining}
run_training: {training}
task_id: {task_id}
"""
EMPTY = dict.fromkeys(
    (
        'idx-assets.tsv',
        'idx-gt.tsv',
        'idx-pred.tsv',
        'test-index.tsv',
        'pred-train-index.tsv',
        'pred-val-index.tsv',
        'pred-test-index.tsv',
    ),
    b'',
)


def sha1(name):
    return hashlib.sha1(IMAGES[name][0]).hexdigest()


def asset(name):
    return f'assets/{sha1(name)[-2:]}/{sha1(name)}.{SUFFIX[name]}'


def annotation(name, suffix):
    return f'annotations/{sha1(name)[-2:]}/{sha1(name)}.{suffix}'


def voc(name):
    _, width, height, boxes, _ = IMAGES[name]
    objects = ''.join(
        f'<object><name>{CLASSES[index].replace("&", "&amp;")}</name><pose>unknown</pose>'
        '<truncated>unknown</truncated><occluded>0</occluded>'
        f'<bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w - 1}</xmax><ymax>{y + h - 1}</ymax><rotate_angle>'
        '0.0000</rotate_angle></bndbox><difficult>0</difficult><box_quality>-1.0000</box_quality>'
        '<confidence>-1.0000</confidence></object>'
        for index, x, y, w, h in boxes
    )
    return (
        f'<annotation><folder>folder</folder><filename>/in/{asset(name)}</filename><source>'
        '<annotation>unknown</annotation><image>unknown</image></source>'
        f'<size><width>{width}</width><height>{height}</height><depth>3</depth></size><segmented>0</segmented>'
        f'<image_quality>0.0000</image_quality>{objects}</annotation>'
    ).encode()


def coco():
    """All images, train and val, from 1 on in the order of their hash; only classes that occur, by their index."""
    images, annotations = [], []
    for number, name in enumerate(sorted(IMAGES, key=sha1), 1):
        _, width, height, boxes, _ = IMAGES[name]
        images.append(
            f'{{"id": {number}, "file_name": "{sha1(name)}.{SUFFIX[name]}", "width": {width}, "height": '
            f'{height}, "date_captured": "", "license": 1, "coco_url": "", "flickr_url": ""}}'
        )
        for index, x, y, w, h in boxes:
            annotations.append(
                f'{{"id": {len(annotations) + 1}, "image_id": {number}, "category_id": {index}, "iscrowd": 0, '
                f'"bbox": [{x}, {y}, {w}, {h}], "confidence": -1.0, "area": {w * h}, "segmentation": {{}}}}'
            )
    return (
        f'{{"images": [{", ".join(images)}], "licenses": [{{"id": 1, "name": "unknown", "url": ""}}], '
        '"categories": [{"id": 0, "name": "forklift", "supercategory": "object"}, '
        '{"id": 2, "name": "\\u4eba & co", "supercategory": "object"}], '
        f'"annotations": [{", ".join(annotations)}]}}'
    ).encode()


def index(names, annotation_of=None):
    return ''.join(
        f'/in/{asset(name)}' + (f'\t/in/{annotation_of(name)}' if annotation_of else '') + '\n' for name in names
    ).encode()


ARK = (lambda name: annotation(name, 'txt'), {annotation(name, 'txt'): IMAGES[name][4] for name in IMAGES})
VOC = (lambda name: annotation(name, 'xml'), {annotation(name, 'xml'): voc(name) for name in IMAGES})
EXPORTS = {  # the annotation of an image in the index, and all files of annotations
    'ark:raw': ARK,
    'DET-ARK:raw': ARK,
    'voc:raw': VOC,
    None: VOC,
    'seg-coco:raw': (lambda name: 'annotations/coco-annotations.json', {'annotations/coco-annotations.json': coco()}),
    'none:raw': (None, {}),
}


@pytest.fixture
def data(tmp_path):
    images = []
    for name, (content, width, height, boxes, _) in IMAGES.items():
        path = tmp_path / 'user' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        images.append(LabelledImage(path, width, height, tuple(LabelledBox(*box) for box in boxes)))
    return images


@pytest.fixture
def stage(tmp_path):
    for name in ('b.pth', 'a.py'):
        (tmp_path / name).write_text(name)
    config = {'class_names': ['pallet', '人'], 'export_format': 'ark:raw'}
    return ModelStage('epoch_9', (tmp_path / 'b.pth', tmp_path / 'a.py'), config, 0.5, 1700000100)


def tree(folder):
    """Every file below a folder with its content; of a folder None. Links are followed, as in a container."""
    found = {}
    for parent, folders, names in os.walk(folder, followlinks=True):
        for name in folders:
            found[os.path.relpath(os.path.join(parent, name), folder)] = None
        for name in names:
            with open(os.path.join(parent, name), 'rb') as stream:
                found[os.path.relpath(os.path.join(parent, name), folder)] = stream.read()
    return found


def expected(files):
    """The same of files; with all folders that the platform makes, empty ones too."""
    folders = {'assets', 'annotations', 'predictions', 'models'}
    for name in files:
        parts = name.split('/')
        folders.update('/'.join(parts[:count]) for count in range(1, len(parts)))
    return {**dict.fromkeys(folders), **files}


def assert_same(found, wanted):
    assert sorted(found) == sorted(wanted)
    for name, content in wanted.items():
        assert found[name] == content, name


@pytest.mark.parametrize('gpu_count, gpu_id', [(0, "''"), (1, "'0'"), (3, '0,1,2')])
@pytest.mark.parametrize('export', EXPORTS)
def test_training(tmp_path, data, export, gpu_count, gpu_id):
    template = dict(
        learning_rate=0.0,
        max_epochs=30,
        args_options='',
        debug=False,
        gpu_id='7',
        task_id='x',
        pretrained_model_params=['/x'],
        **({'export_format': export} if export else {}),
    )
    names = list(IMAGES)
    task = prepare_training(
        tmp_path / 'work',
        [' Forklift', 'PALLET ', '人 & Co'],
        data[:2],
        data[2:],
        submitted('training', template),
        host=Host(gpu_count=gpu_count, in_container=True),
    )
    annotation_of, files = EXPORTS[export]
    config = 'class_names:\n- forklift\n- pallet\n- 人 & co\ndebug: false\n'
    config += f'export_format: {export}\n' if export else ''
    config += (
        f'gpu_count: {gpu_count}\ngpu_id: {gpu_id}\nlearning_rate: 0.0\nmax_epochs: 30\nobject_type: 2\n'
        f'task_id: {task.task_id}\n'
    )
    env = ENV.format(
        candidates="''",
        train='/in/train-index.tsv',
        val='/in/val-index.tsv',
        infer='false',
        mining='false',
        training='true',
        task_id=task.task_id,
    )
    assert_same(
        tree(task.in_dir),
        expected(
            {
                **EMPTY,
                **files,
                **{asset(name): IMAGES[name][0] for name in names},
                'config.yaml': config.encode(),
                'env.yaml': env.encode(),
                'train-index.tsv': index(names[:2], annotation_of) if annotation_of else b'',
                'val-index.tsv': index(names[2:], annotation_of) if annotation_of else b'',
            }
        ),
    )
    if export == 'seg-coco:raw':
        json.loads(files['annotations/coco-annotations.json'])


@pytest.mark.parametrize('mining, infer', [(True, False), (False, True), (True, True)])
def test_candidates(tmp_path, data, stage, mining, infer):
    template = {
        'conf_threshold': 0.0,
        'top': '',
        'half': False,
        'iou_threshold': 0.65,
    }  # what is empty, 0 or false is dropped
    task = prepare_candidates(
        tmp_path / 'work',
        [image.path for image in data],
        stage,
        submitted('mining' if mining else 'infer', template),
        mining,
        infer,
        host=Host(gpu_count=2, in_container=True),
    )
    config = (
        'class_names:\n- pallet\n- 人\ngpu_count: 2\ngpu_id: 0,1\niou_threshold: 0.65\nmodel_params_path:\n'
        '- /in/models/epoch_9/b.pth\n- /in/models/epoch_9/a.py\nobject_type: 2\n'
        f'run_infer: {str(infer).lower()}\nrun_mining: {str(mining).lower()}\ntask_id: {task.task_id}\n'
    )
    env = ENV.format(
        candidates='/in/candidate-index.tsv',
        train="''",
        val="''",
        infer=str(infer).lower(),
        mining=str(mining).lower(),
        training='false',
        task_id=task.task_id,
    )
    found = tree(task.in_dir)
    info = yaml.safe_load(found['models/ymir-info.yaml'])
    assert_same(
        found,
        expected(
            {
                **{asset(name): IMAGES[name][0] for name in IMAGES},
                'config.yaml': config.encode(),
                'env.yaml': env.encode(),
                'candidate-index.tsv': index(IMAGES),
                'candidate-src-index.tsv': ''.join(f'{image.path}\n' for image in data).encode(),
                'models/epoch_9/b.pth': b'b.pth',
                'models/epoch_9/a.py': b'a.py',
                'models/ymir-info.yaml': found['models/ymir-info.yaml'],
            }
        ),
    )
    assert info['package_version'] == '2.0.0' and info['object_type'] == 2 and isinstance(info['task_context'], dict)
    assert info['executor_config']['class_names'] == ['pallet', '人'] and info['best_stage_name'] == 'epoch_9'
    assert info['stages'] == {
        'epoch_9': {'stage_name': 'epoch_9', 'files': ['b.pth', 'a.py'], 'timestamp': 1700000100, 'mAP': 0.5}
    }


@pytest.mark.parametrize('training', [True, False])
def test_out(tmp_path, data, stage, training):
    """Section a.2: links to the host's paths, and rights for any user."""
    if training:
        task = prepare_training(tmp_path / 'work', CLASSES, data, [], {}, host=Host(in_container=True))
    else:
        task = prepare_candidates(
            tmp_path / 'work', [data[0].path], stage, {}, infer=True, host=Host(in_container=True)
        )
    out = task.out_dir
    names = {'models', 'tensorboard', 'monitor.txt'} | ({'ymir-executor-out.log'} if training else set())
    assert {path.name for path in out.iterdir()} == names
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o777 for path in (out, *out.rglob('*')))
    task_id, seconds, percent, state, code = (out / 'monitor.txt').read_text().rstrip('\n').split('\t')
    assert task_id == task.task_id and float(seconds) > 0 and (float(percent), state, code) == (0.0, '1', '0')
    assert (out / 'tensorboard').is_symlink() == training
    assert [path.name for path in (out / 'tensorboard').iterdir()] == (['executor.log'] if training else [])
    if training:
        assert os.readlink(out / 'tensorboard/executor.log') == str(out / 'ymir-executor-out.log')
    assert (task.in_dir / 'assets').is_symlink() and os.path.isabs(os.readlink(task.in_dir / 'assets'))
    assert not any((task.in_dir / name).is_symlink() for name in ('annotations', 'predictions', 'models'))
