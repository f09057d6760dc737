"""Violations of the contract, planted one at a time into good runs: each is found and named, and nothing else is."""
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from tests.local.check import runs
from tests.ymir_exc import platform_rules as oracle

from ymir.local.check import all_rules, check_out, has_errors, listing, render, to_json
from ymir.local.sample_data import generate


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp('pictures'), num_images=4, num_classes=2, size_range=(32, 48), objects_range=(1, 2))


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
    """Gives a function that changes infer-result.json; the change gets what stands under `detection`, first image first."""

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
    runs.write_result(task, {**dict(model=['epoch_1.pth', 'config.py'], map='0.61'), **changes})


def rename_stage(value):
    value['model_stages']['hash@2'] = value['model_stages'].pop('epoch_2')
    value['best_stage_name'] = 'hash@2'
    value['model_stages']['hash@2']['files'] = ['config.py']


# kind of run, the rule that must name it, the damage, whether the oracle of the other tests must see it too
PLANTED = [
    ('training', 'container/out-folder', lambda task: (shutil.rmtree(task.out_dir / 'models'),
                                                       (task.out_dir / 'models').write_text('x')), False),
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
    ('training', 'training/plain-values',
     text('models/result.yaml', 'model_stages: {a: {mAP: !!python/object/apply:numpy.float64 [1]}}'), True),
    ('training', 'training/repeated-keys',
     lambda task: text('models/result.yaml', 'mAP: 0.3\n' + (task.out_dir / 'models/result.yaml').read_text())(task), False),
    ('training', 'training/form', result(lambda value: value.update(model_stages={})), True),
    ('training', 'training/one-form', result(lambda value: value.update(model=['config.py'], map=0.5)), False),
    ('training', 'training/old-model', lambda task: old_form(task, model='epoch_1.pth'), True),
    ('training', 'training/old-map', lambda task: old_form(task, map=-1), True),
    ('training', 'training/best-stage', result(lambda value: value.update(best_stage_name='epoch_3')), True),
    ('training', 'training/best-stage', result(lambda value: value.pop('best_stage_name') and None), True),
    ('training', 'training/stage', result(lambda value: value['model_stages'].update(epoch_1=None)), True),
    ('training', 'training/stage', without('timestamp'), True),
    ('training', 'training/stage-name', result(rename_stage), True),
    ('training', 'training/files', stage(files='epoch_2.pth'), True),
    ('training', 'training/files-given', stage(files=[]), False),
    ('training', 'training/file-relative', stage(files=['/out/models/epoch_2/epoch_2.pth']), True),
    ('training', 'training/file-inside', stage(files=['../config.py']), False),
    ('training', 'training/file-exists', text('models/epoch_2/epoch_2.pth', None), True),
    ('training', 'training/file-regular', stage(files=['attachments']), True),
    ('training', 'training/file-link', linked, True),
    ('training', 'training/platform-files', lambda task: (text('models/ymir-info.yaml', 'x')(task),
                                                          stage(files=['ymir-info.yaml'])(task)), False),
    ('training', 'training/timestamp', stage(timestamp=runs.NOW * 1000), True),
    ('training', 'training/metrics', stage(mAP=-1), True),
    ('training', 'training/metrics', stage(mAR=float('nan')), True),
    ('training', 'training/metrics', stage(maskAP=None), True),
    ('training', 'training/counters', stage(tp=2**31), True),
    ('training', 'training/spelling', lambda task: (without('tp')(task), stage(TP=4)(task)), False),
    ('training', 'training/evaluate-config', result(lambda value: value.update(evaluate_config=dict(iou='0.5:0.95'))), True),
    ('training', 'training/attachments', result(lambda value: value.update(attachments=dict(plots='curve.png'))), True),
    ('training', 'training/attachment-files', text('models/attachments/plots/curve.png', None), True),
    ('training', 'verifier/stage-metric', without('mAP'), False),
    ('training', 'verifier/weights', without_weights, False),
    ('training', 'verifier/tensorboard', text('tensorboard/events.out.tfevents.1', None), False),
    ('infer', 'infer/exists', text('infer-result.json', None), False),
    ('mining+infer', 'infer/exists', text('infer-result.json', None), False),
    ('infer', 'infer/readable', text('infer-result.json', '{"detection": {'), True),
    ('infer', 'infer/readable', text('infer-result.json', b'\x80\x81'), False),
    ('infer', 'infer/readable', text('infer-result.json', '[' * 100000), False),
    ('infer', 'infer/detection', text('infer-result.json', '{"detection": []}'), True),
    ('infer', 'infer/repeated-images', infer(lambda images, first, _: images.update({f'/in/{first}': images[first]})), True),
    ('infer', 'infer/known-images', infer(lambda images, *_: images.update({'other.jpg': dict(boxes=[])})), True),
    ('infer', 'infer/entry', infer(lambda images, first, _: images.update({first: None})), True),
    ('infer', 'infer/list', infer(lambda images, first, _: images.update({first: dict(boxes={})})), True),
    ('infer', 'infer/list-key', infer(lambda images, first, _: images.update({first: dict(objects=[])})), True),
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
    ('mining', 'mining/exists', text('result.tsv', None), False),
    ('mining', 'mining/readable', text('result.tsv', b'\xff\xff'), False),
    ('mining+infer', 'mining/columns', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n\t0.1\n'), False),
    ('mining', 'mining/columns', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n'.replace('\t', ' ')), True),
    ('mining', 'mining/score', tsv(lambda lines: f'{lines[0]}\n{lines[1].replace("0.5", "nan")}\n'), True),
    ('mining', 'mining/order', tsv(lambda lines: f'{lines[1]}\n{lines[0]}\n'), True),
    ('mining', 'mining/repeated', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n{lines[1]}\n'), True),
    ('mining', 'mining/known-paths', tsv(lambda lines: f'{lines[0]}\n{lines[1]}\n/in/assets/x.jpg\t0.1\n'), True),
    ('mining', 'verifier/mining-count', tsv(lambda lines: f'{lines[0]}\n'), True),
    ('segmentation', 'segmentation/parts', coco(lambda value: value.pop('categories') and value.update(annotations=[])), True),
    ('segmentation', 'segmentation/file-name',
     coco(lambda value: value['images'][0].update(file_name='')), False),
    ('segmentation', 'segmentation/known-images',
     coco(lambda value: value['images'].append(dict(id=3, file_name='x.jpg'))), False),
    ('segmentation', 'segmentation/ids', coco(lambda value: value['images'][1].update(id=1)), True),
    ('segmentation', 'segmentation/references', mask(category_id=9), True),
    ('segmentation', 'segmentation/known-class', coco(lambda value: value['categories'][0].update(name='dog')), False),
    ('segmentation', 'segmentation/bbox', mask(bbox=[1, 2, 0.9, 4]), False),
    ('segmentation', 'segmentation/area', mask(area=None), True),
    ('segmentation', 'segmentation/mask', mask(segmentation=dict(size=[64, 64], counts=[1, 2])), True),
    ('segmentation', 'segmentation/mask', mask(segmentation=[[1, 2, 3, 4], [5, 6, 7, 8]]), True),
    ('segmentation', 'segmentation/confidence', mask(confidence='high'), True),
    ('segmentation', 'segmentation/score-key',
     coco(lambda value: value['annotations'][0].update(score=value['annotations'][0].pop('confidence'))), False),
    ('segmentation', 'segmentation/meta', mask(meta=None), True),
    ('segmentation', 'segmentation/repeated', mask(bbox=[9, 2, 30, 40]), False),
    ('segmentation', 'verifier/rle', mask(segmentation=[[1, 2, 3, 4, 5, 6]]), False),
]
# what these rules find makes others fail too
ALONGSIDE = {'segmentation/file-name': {'segmentation/known-images', 'verifier/every-candidate'}}


def failed(findings):
    return {finding.rule for finding in findings if finding.ok is False}


def oracle_violations(kind, task):
    found = []
    if task.monitor_file.is_file():
        found += oracle.monitor_violations(task.monitor_file.read_text(errors='replace'), task.task_id)
    index = task.in_dir / 'candidate-index.tsv'
    candidates = index.read_text().splitlines() if index.is_file() else None
    if kind == 'training':
        found += oracle.result_yaml_violations(task.out_dir / 'models/result.yaml')
    if 'mining' in kind and (task.out_dir / 'result.tsv').is_file():
        found += oracle.mining_result_violations((task.out_dir / 'result.tsv').read_text(errors='replace'), candidates)
    if kind in ('infer', 'segmentation', 'mining+infer') and (task.out_dir / 'infer-result.json').is_file():
        content = (task.out_dir / 'infer-result.json').read_text(errors='replace')
        found += (oracle.segmentation_result_violations(content) if kind == 'segmentation'
                  else oracle.infer_result_violations(content, candidates))
    return found


@pytest.mark.parametrize('kind', runs.KINDS)
def test_nothing_is_wrong_with_a_good_run(kind, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    findings = check_out(task.out_dir, task.in_dir, before=listing(task.in_dir), exit_code=0)
    assert failed(findings) == set(), [finding for finding in findings if finding.ok is False]
    assert len({finding.rule for finding in findings}) == len(findings) >= 90
    assert not has_errors(findings)
    assert oracle_violations(kind, task) == []


@pytest.mark.parametrize('kind, rule, damage, seen_by_oracle', PLANTED, ids=[f'{row[1]}-{n}' for n, row in enumerate(PLANTED)])
def test_planted(kind, rule, damage, seen_by_oracle, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    before = listing(task.in_dir)
    damage(task)
    findings = check_out(task.out_dir, task.in_dir, before=before)
    assert failed(findings) == {rule} | ALONGSIDE.get(rule, set())
    finding = next(finding for finding in findings if finding.rule == rule)
    assert finding.place and finding.message and finding.mend and finding.section
    assert finding.text('zh') != finding.text('en')
    if seen_by_oracle:
        try:
            assert oracle_violations(kind, task)
        except (KeyError, TypeError, AttributeError):
            pass  # the oracle stumbles, which is seeing it too


def test_every_rule_for_out_is_planted_or_tested_by_name():
    elsewhere = {'container/task-known', 'container/exit-code', 'container/log-says-why', 'container/in-unchanged',
                 'verifier/model-files', 'verifier/mining-spaces'}
    names = {rule.name for rule in all_rules() if rule.name.split('/')[0] not in ('image', 'template')}
    assert names == {row[1] for row in PLANTED} | elsewhere


def test_the_other_rules_for_out(tmp_path, images):
    task = runs.make('mining', tmp_path / 'work', images)
    assert failed(check_out(task.out_dir, task.in_dir, exit_code=137)) == {'container/exit-code'}
    task.log_file.write_text('')
    assert failed(check_out(task.out_dir, task.in_dir, exit_code=1)) == {'container/exit-code', 'container/log-says-why'}
    assert failed(check_out(tmp_path / 'nothing', task.in_dir)) >= {'container/out-folder', 'monitor/exists'}

    before = listing(task.in_dir)
    asset = next((task.in_dir / 'assets').resolve().rglob('*.jpg'))
    asset.write_bytes(asset.read_bytes() + b'mended')
    (task.in_dir / 'annotations/cache.npy').write_bytes(b'cache')
    (task.in_dir / 'models/best/model.pth').unlink()
    places = [finding.place for finding in check_out(task.out_dir, before=before) if finding.ok is False]
    assert places == ['in/annotations/cache.npy', f'in/{asset.relative_to(task.work_dir / "asset_cache")}'.replace(
        'in/', 'in/assets/', 1), 'in/models/best/model.pth']

    index = task.in_dir / 'candidate-index.tsv'
    for path in (index, task.out_dir / 'result.tsv'):
        path.write_text(path.read_text().replace('/in/assets/', '/in/assets/my '))
    assert failed(check_out(task.out_dir, task.in_dir)) == {'verifier/mining-spaces'}


def test_a_training_that_saved_nothing(tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    for entry in (task.out_dir / 'models').iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    assert failed(check_out(task.out_dir, task.in_dir)) == {'training/exists', 'verifier/model-files'}
    assert failed(check_out(task.out_dir, tmp_path / 'no in')) == {'container/task-known'}


def test_a_failed_task_need_not_have_results(tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    for name in ('result.tsv', 'infer-result.json'):
        (task.out_dir / name).unlink()
    monitor('no GPU is visible', c3='0.10', c4='4', c5='300102')(task)
    findings = check_out(task.out_dir, task.in_dir)
    assert failed(findings) == {'container/no-error-state'}
    assert '300102' in next(finding.message for finding in findings if finding.ok is False)


@pytest.mark.parametrize('kind', runs.KINDS)
def test_without_in_what_lies_in_out_says_the_task(kind, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    out_dir = task.out_dir.rename(tmp_path / 'out')
    findings = check_out(out_dir)
    assert failed(findings) == set()
    checked = {finding.rule.split('/')[0] for finding in findings if finding.ok}
    file_rules = {'infer'} if kind == 'segmentation' else set()
    assert checked - {'container', 'monitor', 'verifier'} == set(kind.split('+')) | file_rules


def test_place_has_file_line_and_key(tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    stage(mAP=-1)(task)
    finding, = [finding for finding in check_out(task.out_dir) if finding.ok is False]
    line = int(finding.place.split(':')[1].split()[0])
    assert finding.place == f'models/result.yaml:{line} model_stages.epoch_2.mAP'
    assert (task.out_dir / 'models/result.yaml').read_text().splitlines()[line - 1].strip() == 'mAP: -1'
    assert 'Found: -1.' in finding.message and '实际：-1。' in finding.text('zh')[0]


def test_many_hits_of_a_rule_are_counted(tmp_path, images):
    task = runs.make('infer', tmp_path / 'work', images)
    infer(lambda images, first, _: images[first]['boxes'].extend([5] * 1000))(task)
    found = [finding for finding in check_out(task.out_dir) if finding.ok is False]
    assert len(found) == 5 and '995 more' in found[-1].message and '995' in found[-1].text('zh')[0]


DEEP = '[' * 3000 + ']' * 3000
GARBAGE = [b'', b'\x00', b'\xff' * 999, b'null', b'[]', b'5', b'"text"', b'{}', b'NaN', b'- a', b'a: b: c', b'\t', b'\n' * 500,
           b'{"detection": {"a.jpg": {"boxes": [null, {"box": null}, {"box": {"x": null}}, [], {"score": [], "class_name": 1}]}}}',
           b'{"images": [null], "categories": 5, "annotations": [{"bbox": [null, 1, {}, []], "segmentation": 5}]}',
           b'{"detection": {"\\ud800": {"boxes": [{"class_name": "\\ud800", "score": 1e999}]}}}',
           b'model_stages: {a: 5, b: null, 3: {files: [null, 5, {}], timestamp: [], mAP: {}}}\nbest_stage_name: []',
           b'model: [[], {}]\nmap: []\nattachments: []\nevaluate_config: 3', b'&a [*a]', b'model_stages: &a {x: *a}',
           b'best_stage_name: 2024-13-45', b'? [a, b]\n: 1', b'!!binary x', b'!!python/object:os.system {}', DEEP.encode(),
           b'{"detection": {"a": {"boxes": [{"box": {"x": ' + b'9' * 5000 + b'}}]}}}', b'model_stages: {"a\\0b": {files: ["x\\0y"]}}',
           b'a\t\t\t\t\t\n', b't\t1e999\tnan\t-1\t1_0\n', 'ü\t１\t１\t２\n'.encode()]


@pytest.mark.parametrize('content', GARBAGE, ids=[repr(content[:20]) for content in GARBAGE])
def test_garbage_is_a_finding_and_never_an_exception(content, tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    names = ('monitor.txt', 'infer-result.json', 'result.tsv', 'models/result.yaml')
    for name in names:
        (task.out_dir / name).write_bytes(content)
    for kind in (None, 'training', 'infer', 'mining'):
        findings = check_out(task.out_dir, task.in_dir, task=kind)
        assert has_errors(findings)
        assert not [finding for finding in findings if 'the check itself stopped' in finding.message]
        json.loads(to_json(findings))
        with open(os.devnull, 'w', encoding='utf-8') as sink:
            render(findings, Console(file=sink, width=100), 'zh')
    for name in ('env.yaml', 'config.yaml', 'candidate-index.tsv'):
        (task.in_dir / name).write_bytes(content)
    check_out(task.out_dir, task.in_dir)


def test_strange_entries_in_the_place_of_files(tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    for name, make in (('infer-result.json', Path.mkdir), ('result.tsv', os.mkfifo),
                       ('monitor.txt', lambda path: path.symlink_to(path))):
        (task.out_dir / name).unlink()
        make(task.out_dir / name)
    assert failed(check_out(task.out_dir, task.in_dir)) == {'monitor/exists', 'infer/exists', 'mining/exists'}


def test_huge_files_are_not_read(tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    for name in ('infer-result.json', 'result.tsv', 'monitor.txt'):
        os.truncate(task.out_dir / name, 2**40)  # sparse
    assert failed(check_out(task.out_dir, task.in_dir)) == {'monitor/readable', 'infer/readable', 'mining/readable'}


def test_unknown_task(tmp_path):
    with pytest.raises(ValueError, match="'fly' is no task"):
        check_out(tmp_path, task='fly')


def test_texts():
    for rule in all_rules():
        for text in rule.texts.values():
            assert text.must.endswith(('.', '。')) and text.mend.endswith(('.', '。')), rule.name
        assert any('\u4e00' <= letter <= '\u9fff' for letter in ''.join(rule.texts['zh'])), rule.name
        assert rule.section and rule.severity in ('error', 'warning')
    names = [rule.name for rule in all_rules()]
    assert len(set(names)) == len(names) >= 110


@pytest.mark.parametrize('language, words', [('en', ('mAP [0]', 'Mend', 'error', '2 error(s)')), ('zh', ('修复方法', '错误 2 个'))])
def test_table(language, words, tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    stage(mAP='[0]', files=['mAP [0]'])(task)
    console = Console(width=160, record=True, file=open(os.devnull, 'w'))
    render(check_out(task.out_dir, task.in_dir), console, language)
    table = console.export_text()
    assert all(word in table for word in words), table
    assert 'training/metrics' in table and 'training/file-exists' in table and 'monitor/columns' not in table


def test_json(tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    stage(mAP=2)(task)
    value = json.loads(to_json(check_out(task.out_dir, task.in_dir)))
    assert (value['errors'], value['warnings']) == (1, 0) and value['passed'] > 30
    broken, = [finding for finding in value['findings'] if finding['status'] == 'failed']
    assert (broken['rule'], broken['severity'], broken['section']) == ('training/metrics', 'error', 'd.2')
    assert broken['mend'] and broken['mend_zh'] and broken['message_zh']
