"""Violations of the contract: for each the rule that must name it and the change that makes it out of a good run."""

import json
import os
import shutil

import yaml

from tests.ymir_local.check import runs


def monitor(*columns, rest='', **changes):
    """Gives a function that changes columns of monitor.txt, by number from 1, or appends some."""

    def damage(task):
        values = task.monitor_file.read_text().strip('\n').split('\t')
        for number, value in changes.items():
            values[int(number[1:]) - 1] = value
        task.monitor_file.write_text('\t'.join([*values, *columns]) + '\n' + rest)

    return damage


def result(change):
    """Gives a function that changes result.yaml."""

    def damage(task):
        path = task.out_dir / 'models/result.yaml'
        value = yaml.safe_load(path.read_text())
        changed = change(value)
        runs.write_result(task, value if changed is None else changed)

    return damage


def stage(**changes):
    return result(lambda value: value['model_stages']['epoch_2'].update(changes))


def without(key):
    return result(lambda value: value['model_stages']['epoch_2'].pop(key) and None)


def text(name, content):
    """Gives a function that replaces a file, by bytes or text; None removes it."""

    def damage(task):
        path = task.out_dir / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def infer(change):
    """Gives a function that changes infer-result.json; the change gets what stands under `detection` and the names."""

    def damage(task):
        value = json.loads((task.out_dir / 'infer-result.json').read_text())
        images = value['detection']
        change(images, *images)
        runs.write_json(task, value)

    return damage


def box(**changes):
    return infer(lambda images, first, _: images[first]['boxes'][0]['box'].update(changes))


def item(**changes):
    return infer(lambda images, first, _: images[first]['boxes'][0].update(changes))


def drop(*keys):
    def change(images, first, _):
        value = images[first]['boxes'][0]
        for key in keys[:-1]:
            value = value[key]
        del value[keys[-1]]

    return infer(change)


def coco(change):
    """Gives a function that changes the result of a segmentation."""

    def damage(task):
        value = json.loads((task.out_dir / 'infer-result.json').read_text())
        change(value)
        runs.write_json(task, value)

    return damage


def mask(**changes):
    return coco(lambda value: value['annotations'][0].update(changes))


def tsv(change):
    def damage(task):
        path = task.out_dir / 'result.tsv'
        path.write_text(change(path.read_text().splitlines()))

    return damage


def replaced_by_folder(name):
    def damage(task):
        (task.out_dir / name).unlink()
        (task.out_dir / name).mkdir()

    return damage


def linked(task):
    models = task.out_dir / 'models'
    (models / 'epoch_1.pth').rename(models / 'real.pth')
    (models / 'epoch_1.pth').symlink_to('real.pth')


def pipe(task):
    task.monitor_file.unlink()
    os.mkfifo(task.monitor_file)


def without_weights(task):
    models = task.out_dir / 'models'
    (models / 'epoch_1.pth').rename(models / 'epoch_1.bin')
    (models / 'epoch_2/epoch_2.pth').rename(models / 'epoch_2/epoch_2.bin')
    path = models / 'result.yaml'
    path.write_text(path.read_text().replace('.pth', '.bin'))


def old_form(task, **changes):
    runs.write_result(task, {**{'model': ['epoch_1.pth', 'config.py'], 'map': '0.61'}, **changes})


def rename_stage(value):
    value['model_stages']['hash@2'] = value['model_stages'].pop('epoch_2')
    value['best_stage_name'] = 'hash@2'
    value['model_stages']['hash@2']['files'] = ['config.py']


# kind of run, the rule that must name it, the damage, whether the oracle of the other tests must see it too
PLANTED = [
    (
        'training',
        'container/out-folder',
        lambda task: (shutil.rmtree(task.out_dir / 'models'), (task.out_dir / 'models').write_text('x')),
        False,
    ),
    ('training', 'container/no-error-state', monitor(c4='4', c5='300103'), False),
    ('infer', 'monitor/exists', text('monitor.txt', None), False),
    ('infer', 'monitor/exists', replaced_by_folder('monitor.txt'), False),
    ('mining', 'monitor/exists', pipe, False),
    ('mining', 'monitor/readable', text('monitor.txt', b'\xff\xfe\t1\t1\t2'), False),
    ('infer', 'monitor/not-empty', text('monitor.txt', ''), True),
    ('infer', 'monitor/columns', text('monitor.txt', 't1 1700000456.1 1.00 2 0\n'), True),
    ('infer', 'monitor/max-columns', monitor('message', 'with', 'tabs'), True),
    ('infer', 'monitor/task-id', monitor(c1='default-task'), True),
    ('infer', 'monitor/timestamp', monitor(c2='now'), True),
    ('infer', 'monitor/seconds', monitor(c2='1700000456123'), False),
    ('infer', 'monitor/percent', monitor(c3='100'), True),
    ('infer', 'monitor/percent', monitor(c3='nan'), True),
    ('infer', 'monitor/state', monitor(c4='5'), True),
    ('infer', 'monitor/state', monitor(c4='running'), True),
    ('infer', 'monitor/written', monitor(c3='0.00', c4='1'), False),
    ('infer', 'monitor/code', monitor('done', c5=''), True),
    ('infer', 'monitor/known-code', monitor(c5='180001'), False),
    ('infer', 'monitor/code-with-error', monitor(c5='300201'), False),
    ('infer', 'monitor/lines', monitor(rest='line\n' * 100), True),
    ('infer', 'monitor/finished', monitor(c3='0.97'), False),
    ('training', 'training/exists', text('models/result.yaml', None), True),
    ('training', 'training/exists', replaced_by_folder('models/result.yaml'), True),
    ('training', 'training/readable', text('models/result.yaml', 'a: [1'), True),
    ('training', 'training/readable', text('models/result.yaml', ''), True),
    ('training', 'training/readable', text('models/result.yaml', b'PK\x03\x04\x00\xff'), True),
    (
        'training',
        'training/plain-values',
        text('models/result.yaml', 'model_stages: {a: {mAP: !!python/object/apply:numpy.float64 [1]}}'),
        True,
    ),
    (
        'training',
        'training/repeated-keys',
        lambda task: text('models/result.yaml', 'mAP: 0.3\n' + (task.out_dir / 'models/result.yaml').read_text())(task),
        False,
    ),
    ('training', 'training/form', result(lambda value: value.update(model_stages={})), True),
    ('training', 'training/one-form', result(lambda value: value.update(model=['config.py'], map=0.5)), False),
    ('training', 'training/old-model', lambda task: old_form(task, model='epoch_1.pth'), True),
    ('training', 'training/old-map', lambda task: old_form(task, map=-1), True),
    ('training', 'training/best-stage', result(lambda value: value.update(best_stage_name='epoch_3')), True),
    ('training', 'training/best-stage', result(lambda value: value.pop('best_stage_name') and None), True),
    ('training', 'training/stage', result(lambda value: value['model_stages'].update(epoch_1=None)), True),
    ('training', 'training/stage', without('timestamp'), True),
    ('training', 'training/stage', stage(stage_name=None), False),
    ('training', 'training/stage-name', result(rename_stage), True),
    ('training', 'training/files', stage(files='epoch_2.pth'), True),
    ('training', 'training/files', stage(files=['config.py', None]), True),
    ('training', 'training/files-given', stage(files=[]), False),
    ('training', 'training/file-relative', stage(files=['/out/models/epoch_2/epoch_2.pth']), True),
    ('training', 'training/file-inside', stage(files=['../config.py']), False),
    ('training', 'training/file-exists', text('models/epoch_2/epoch_2.pth', None), True),
    ('training', 'training/file-regular', stage(files=['attachments']), True),
    ('training', 'training/file-link', linked, True),
    (
        'training',
        'training/platform-files',
        lambda task: (text('models/ymir-info.yaml', 'x')(task), stage(files=['ymir-info.yaml'])(task)),
        False,
    ),
    ('training', 'training/timestamp', stage(timestamp=runs.NOW * 1000), True),
    ('training', 'training/metrics', stage(mAP=-1), True),
    ('training', 'training/metrics', stage(mAR=float('nan')), True),
    ('training', 'training/metrics', stage(maskAP=None), True),
    ('training', 'training/counters', stage(tp=2**31), True),
    ('training', 'training/spelling', lambda task: (without('tp')(task), stage(TP=4)(task)), False),
    (
        'training',
        'training/evaluate-config',
        result(lambda value: value.update(evaluate_config={'iou': '0.5:0.95'})),
        True,
    ),
    ('training', 'training/attachments', result(lambda value: value.update(attachments={'plots': 'curve.png'})), True),
    ('training', 'training/attachment-files', text('models/attachments/plots/curve.png', None), True),
    ('training', 'verifier/stage-metric', without('mAP'), False),
    ('training', 'verifier/map-number', result(lambda value: value.update(map='high')), False),
    ('training', 'verifier/weights', without_weights, False),
    ('training', 'verifier/tensorboard', text('tensorboard/events.out.tfevents.1', None), False),
    ('infer', 'infer/exists', text('infer-result.json', None), False),
    ('mining+infer', 'infer/exists', text('infer-result.json', None), False),
    ('infer', 'infer/readable', text('infer-result.json', '{"detection": {'), True),
    ('infer', 'infer/readable', text('infer-result.json', b'\x80\x81'), False),
    ('infer', 'infer/readable', text('infer-result.json', '[' * 100000), False),
    ('infer', 'infer/detection', text('infer-result.json', '{"detection": []}'), True),
    (
        'infer',
        'infer/repeated-images',
        infer(lambda images, first, _: images.update({f'/in/{first}': images[first]})),
        True,
    ),
    ('infer', 'infer/known-images', infer(lambda images, *_: images.update({'other.jpg': {'boxes': []}})), True),
    ('infer', 'infer/entry', infer(lambda images, first, _: images.update({first: None})), True),
    ('infer', 'infer/list', infer(lambda images, first, _: images.update({first: {'boxes': {}}})), True),
    ('infer', 'infer/list-key', infer(lambda images, first, _: images.update({first: {'objects': []}})), True),
    ('infer', 'infer/object', infer(lambda images, first, _: images[first]['boxes'].append(5)), False),
    ('infer', 'infer/class-name', item(class_name=' '), True),
    ('infer', 'infer/class-name', drop('class_name'), True),
    ('infer', 'infer/known-class', item(class_name='dog'), False),
    ('infer', 'infer/score', drop('score'), True),
    ('infer', 'infer/score-range', item(score=87.5), False),
    ('infer', 'infer/score-range', item(score=float('nan')), True),
    ('infer', 'infer/box', drop('box'), True),
    ('infer', 'infer/box-integers', box(x=5.5), True),
    ('infer', 'infer/box-integers', box(x=True), True),
    ('infer', 'infer/box-integers', box(w=2**31), True),
    ('infer', 'infer/box-complete', drop('box', 'h'), False),
    ('infer', 'infer/box-keys', box(angle=1), True),
    ('infer', 'infer/box-size', box(w=-3), False),
    ('infer', 'infer/rotate-angle', box(rotate_angle=float('inf')), True),
    ('infer', 'verifier/every-candidate', infer(lambda images, _, second: images.pop(second)), True),
    (
        'infer',
        'verifier/plain-keys',
        infer(lambda images, first, _: images.update({f'/in/assets/{first}': images.pop(first)})),
        False,
    ),
    ('mining', 'mining/exists', text('result.tsv', None), False),
    ('mining', 'mining/readable', text('result.tsv', b'\xff\xff'), False),
    ('mining+infer', 'mining/columns', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n\t0.1\n'), False),
    ('mining', 'mining/columns', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n'.replace('\t', ' ')), True),
    ('mining', 'mining/score', tsv(lambda lines: f'{lines[0]}\n{lines[1].replace("0.5", "nan")}\n'), True),
    ('mining', 'mining/order', tsv(lambda lines: f'{lines[1]}\n{lines[0]}\n'), True),
    ('mining', 'mining/repeated', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n{lines[1]}\n'), True),
    ('mining', 'mining/known-paths', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n/in/assets/x.jpg\t0.1\n'), True),
    ('mining', 'verifier/mining-count', tsv(lambda lines: f'{lines[0]}\n'), True),
    (
        'segmentation',
        'segmentation/parts',
        coco(lambda value: value.pop('categories') and value.update(annotations=[])),
        True,
    ),
    ('segmentation', 'segmentation/file-name', coco(lambda value: value['images'][0].update(file_name='')), False),
    (
        'segmentation',
        'segmentation/known-images',
        coco(lambda value: value['images'].append({'id': 3, 'file_name': 'x.jpg'})),
        False,
    ),
    ('segmentation', 'segmentation/ids', coco(lambda value: value['images'][1].update(id=1)), True),
    ('segmentation', 'segmentation/references', mask(category_id=9), True),
    ('segmentation', 'segmentation/known-class', coco(lambda value: value['categories'][0].update(name='dog')), False),
    ('segmentation', 'segmentation/bbox', mask(bbox=[1, 2, 0.9, 4]), False),
    ('segmentation', 'segmentation/area', mask(area=None), True),
    ('segmentation', 'segmentation/mask', mask(segmentation={'size': [64, 64], 'counts': [1, 2]}), True),
    ('segmentation', 'segmentation/mask', mask(segmentation=[[1, 2, 3, 4], [5, 6, 7, 8]]), True),
    ('segmentation', 'segmentation/mask', mask(segmentation=[[1, 2, 3, None]]), False),
    ('segmentation', 'segmentation/confidence', mask(confidence='high'), True),
    (
        'segmentation',
        'segmentation/score-key',
        coco(lambda value: value['annotations'][0].update(score=value['annotations'][0].pop('confidence'))),
        False,
    ),
    ('segmentation', 'segmentation/meta', mask(meta=None), True),
    ('segmentation', 'segmentation/repeated', mask(bbox=[9, 2, 30, 40]), False),
    ('segmentation', 'verifier/rle', mask(segmentation=[[1, 2, 3, 4, 5, 6]]), False),
]
# what these rules find makes others fail too
ALONGSIDE = {
    'segmentation/file-name': {'segmentation/known-images', 'verifier/every-candidate'},
    'infer/repeated-images': {'verifier/plain-keys'},
    'mining/readable': {'mining/columns', 'verifier/mining-count'},
}
