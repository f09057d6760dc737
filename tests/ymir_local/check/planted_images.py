"""Violations in an image: for each the rule that must name it and the change to the good foreign image."""

import json


def template(text, task='training'):
    """Gives a function that appends to a template."""

    def damage(folder):
        path = folder / f'files/img-man/{task}-template.yaml'
        path.write_text(path.read_text() + text)

    return damage


def manifest(content):
    return lambda folder: (folder / 'files/img-man/manifest.yaml').write_text(content)


def config(**changes):
    def damage(folder):
        path = folder / 'config.json'
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def written(name, content):
    return lambda folder: (folder / 'files' / name).write_bytes(content)


def removed(*names):
    def damage(folder):
        for name in names:
            (folder / 'files' / name).unlink()

    return damage


def changed(old, new, task='training'):
    def damage(folder):
        path = folder / f'files/img-man/{task}-template.yaml'
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return damage


PLANTED = [
    ('image/cat', config(NoCat=True)),
    ('image/entry-point', config(Entrypoint=['bash'], Banner='bash: cat: cannot execute')),
    ('image/entry-point', config(Entrypoint=['/banner.sh'], Banner='== CUDA ==', Passes=True)),
    ('image/command', config(Cmd=None)),
    ('image/command', config(Cmd=['python3'])),
    ('image/command', config(Cmd=['/bin/sh', '-c', '/bin/bash'])),
    ('image/start-script', removed('usr/bin/start.sh')),
    ('image/manifest', removed('img-man/manifest.yaml')),
    ('image/manifest', manifest('detection')),
    ('image/manifest', manifest('object_type: [2')),
    ('image/object-type', manifest('object_type: detection')),
    ('image/object-type', manifest('object_type: 2.0')),
    ('image/object-type', manifest('object_type: [2, 1]')),
    ('image/object-type-known', manifest('object_type: 7')),
    ('image/flags', manifest('object_type: 2\nenable_livecode: "false"')),
    ('image/templates', removed(*(f'img-man/{task}-template.yaml' for task in ('training', 'mining', 'infer')))),
    ('template/mapping', written('img-man/infer-template.yaml', b'- conf_threshold')),
    ('template/mapping', written('img-man/infer-template.yaml', b'')),
    ('template/mapping', written('img-man/infer-template.yaml', b'\xff\xfe')),
    ('template/json', template('since: 2023-01-31\n')),
    ('template/json', template('limit: .nan\n')),
    ('template/repeated-keys', template('max_epochs: 20\n')),
    ('template/key-length', template('k' * 51 + ': 1\n')),
    ('template/value-length', template(f'options: {"x" * 101}\n')),
    ('template/value-length', template(f'number: {10**20}\n')),
    ('template/flat', template('size: [640, 640]\n')),
    ('template/flat', template('optimizer: {lr: 0.1}\n')),
    ('template/flat', template('note:\n')),
    ('template/text-keys', template('7: seven\n')),
    ('template/scientific', template('weight_decay: 1e-3\n')),
    ('template/scientific', template('weight_decay: 1.5e3\n')),
    ('template/boolean-words', template('augment: yes\n')),
    ('template/boolean-words', template('on: 1\n')),
    ('template/odd-numbers', template('mode: 0644\n')),
    ('template/odd-numbers', template('duration: 1:30\n')),
    ('template/reserved', template('class_names: cat\n')),
    ('template/gpu-count', template('gpu_count: "1"\n')),
    ('template/shm-size', changed('1G', 'plenty')),
    ('template/export-format', changed('ark:raw', 'ark')),
    ('template/export-format', changed('ark:raw', 'ark:lmdb')),
    ('template/export-format-given', changed('export_format: ark:raw', '')),
    ('template/export-format-given', changed('ark:raw', "''")),
    ('template/annotation-format', changed('ark:raw', 'yolo:raw')),
    ('template/annotation-format', changed('ark:raw', 'none:raw')),
    ('template/size', template(''.join(f'key_{number}: {"x" * 90}\n' for number in range(220)))),
]


def first(line):
    """Puts a line at the start of the work of start.sh."""
    return lambda script: script.replace('progress 0.00\n', f'{line}\nprogress 0.00\n', 1)


# what a run must find -> change of start.sh
DAMAGED_RUNS = [
    ({'monitor/percent'}, lambda script: script.replace('progress 1.00', 'progress 100')),
    ({'monitor/columns'}, lambda script: script.replace(r"'%s\t%s\t%s\t2\t0\n'", "'%s %s %s 2 0\n'")),
    ({'monitor/task-id'}, lambda script: script.replace('$(value task_id env)', 'my-task')),
    ({'container/in-unchanged'}, first('for f in "$in"/assets/*/*.jpg; do echo >> "$f"; done')),
    ({'container/exit-code', 'monitor/code-on-failure'}, lambda script: script + 'exit 3\n'),
    ({'mining/order'}, lambda script: script.replace('1 / NR', 'NR')),
    ({'infer/known-images', 'verifier/every-candidate'}, lambda script: script.replace('$NF, box', '"x" $NF, box')),
    ({'infer/box-integers'}, lambda script: script.replace(r'\"x\": 1', r'\"x\": 1.5')),
    ({'infer/known-class'}, lambda script: script.replace('$class', 'dog')),
]
