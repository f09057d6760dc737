"""One reader of each file of the contract: whoever reads an odd file gets the same content, or rejects it alike.

The rows are files as editors, other systems and broken programs write them; the readers are those of an executor, of
the prediction, of `ymir check`, of the report, of the data sets and of the platform's part for one machine.
"""

import json
import os
import re
from types import SimpleNamespace

import pytest

from tests.ymir_exc.conftest import Task, task  # noqa: F401  a fixture
from ymir.candidates import iter_candidates
from ymir_exc import dataset_reader, env, monitor, util
from ymir_exc.reading import read_index, read_infer_result, read_mining_result, read_training_result
from ymir_local.check.facts import Run
from ymir_local.check.finding import NotApplicable
from ymir_local.cli import task_run
from ymir_local.datasets import ymir_in
from ymir_local.demo.demo_result import read_predictions
from ymir_local.platform import prepare
from ymir_local.platform.package import PackageError, pack, read_package
from ymir_local.platform.run import MonitorReading
from ymir_local.platform.task_result import judge
from ymir_local.report.run_files import read_run

REJECTED = 'rejected'
MARK = b'\xef\xbb\xbf'


def said_by(read):
    """What a reader gives; REJECTED if it raises, or if a rule of the check has nothing to look at."""
    try:
        return read()
    except (OSError, ValueError, PackageError, NotApplicable, KeyError) as error:
        assert str(error) or isinstance(error, NotApplicable)
        return REJECTED


def asserted(readers, expected):
    found = {name: said_by(read) for name, read in readers.items()}
    assert found == dict.fromkeys(readers, expected)


# ----------------------------------------------------------------------------------------------- index files

PATHS = [
    '/in/assets/a b.jpg',
    '/in/assets/图.jpg',
    '/in/assets/\x0b\x85.jpg',
    '/in/assets/\udcff.jpg',
    '/in/assets/"q".jpg',
]
TEXT = ''.join(f'{path}\n' for path in PATHS).encode('utf-8', 'surrogateescape')
INDEXES = {
    'plain': TEXT,
    'byte order mark': MARK + TEXT,
    'a mark where two files were joined': MARK + TEXT.replace(b'\n', b'\n' + MARK, 1),
    'Windows': MARK + TEXT.replace(b'\n', b'\r\n'),
    'old Macintosh': TEXT.replace(b'\n', b'\r'),
    'no last newline': TEXT[:-1],
    'blank lines': MARK + b'\n \r\n' + TEXT.replace(b'\n', b'\n\n\t\n'),
    'blanks around': TEXT.replace(b'\n', b'  \r\n ').rstrip(b' '),
    'annotations': TEXT.replace(b'\n', b'\t/in/annotations/a.txt\n'),
    'more columns': TEXT.replace(b'\n', b'\t\tmore\n'),
}


@pytest.fixture
def candidates(task: Task):  # noqa: F811
    task.write_env('infer')
    return task.root / 'in/candidate-index.tsv'


@pytest.mark.parametrize('kind', INDEXES)
def test_candidates(candidates, task, kind):  # noqa: F811
    candidates.write_bytes(INDEXES[kind])
    sources = [f'/pictures/{number}.jpg' for number in range(len(PATHS))]
    (task.root / 'in/candidate-src-index.tsv').write_bytes(MARK + '\r\n'.join(sources).encode())
    task.mining_file.write_bytes(TEXT.replace(b'\n', b'\t0.5\n'))
    readers = {
        'reading': lambda: [line.image for line in read_index(candidates)],
        'SDK': lambda: [image for image, _ in dataset_reader.item_paths(env.DatasetType.CANDIDATE)],
        'prediction': lambda: list(iter_candidates(str(candidates))),
        'check': lambda: Run(task.root / 'out', task.root / 'in').candidates,
        'report': lambda: read_run(task.root).candidates,
    }
    asserted(readers, PATHS)
    found = ymir_in.read(task.root / 'in').splits['all']
    assert [os.path.basename(image.path) for image in found] == [os.path.basename(path) for path in PATHS]
    shown = task_run._show_ranking(SimpleNamespace(quiet=True), prepare.Task(task.root, 't1', False))
    assert [row['image'] for row in shown['top']] == sources


BAD_INDEXES = {
    'UTF-16': (TEXT.decode('utf-8', 'replace').encode('utf-16'), 'is UTF-16 text; save it as UTF-8'),
    'UTF-16, big end first': (b'\xfe\xff' + 'a.jpg\n'.encode('utf-16-be'), 'is UTF-16 text; save it as UTF-8'),
    'UTF-32': ('a.jpg\n'.encode('utf-32'), 'is UTF-32 text; save it as UTF-8'),
    'UTF-16 without mark': ('a.jpg\nb.jpg\n'.encode('utf-16-le'), ':1: the line holds a NUL byte'),
    'NUL': (b'a.jpg\nb\0.jpg\n', ':2: the line holds a NUL byte'),
    'no image': (b'\n\ta.txt\n', ':2: the line has no image before the TAB'),
    'folder': (None, 'cannot be read: Is a directory'),
    'pipe': (None, 'is a pipe, not a file'),
    'device': (None, 'is a device or a socket, not a file'),
    'missing': (None, 'does not exist'),
}


@pytest.mark.parametrize('kind', BAD_INDEXES)
def test_candidates_that_cannot_be_read(candidates, task, kind):  # noqa: F811
    content, words = BAD_INDEXES[kind]
    if content is not None:
        candidates.write_bytes(content)
    elif kind != 'missing':
        make = {'folder': os.mkdir, 'pipe': os.mkfifo, 'device': lambda path: path.symlink_to('/dev/zero')}
        make[kind](candidates)
    for read in (
        lambda: list(read_index(candidates)),
        lambda: list(iter_candidates(str(candidates))),
        lambda: list(dataset_reader.item_paths(env.DatasetType.CANDIDATE)),
    ):
        with pytest.raises(ValueError if kind != 'missing' else Exception, match=re.escape(words)) as caught:
            read()
        assert str(candidates) in str(caught.value)
    with pytest.raises(NotApplicable):
        assert Run(task.root / 'out', task.root / 'in').candidates
    run = read_run(task.root)
    assert run.candidates == []
    assert kind == 'missing' or any(words in str(gap.en) for gap in run.gaps)


# ----------------------------------------------------------------------------------------------- monitor.txt

LINE = b't1\t1700000456.5\t0.50\t2\t0'
GOOD = (0.5, 2, 0, '')
MONITORS = {
    'plain': (LINE + b'\n', GOOD),
    'byte order mark': (MARK + LINE, GOOD),
    'Windows': (LINE + b'\r\ntrace\r\n', GOOD),
    'old Macintosh': (LINE + b'\rtrace\r', GOOD),
    'blanks around': (b'  ' + LINE + b' \n', GOOD),
    'a TAB at the end': (LINE + b'\t\n', GOOD),
    'four columns': (LINE[:-2], GOOD),
    'a message': (LINE.replace(b'2\t0', b'4\t300103') + '\t"内存" full\nt\n'.encode(), (0.5, 4, 300103, '"内存" full')),
    'blanks in a number': (LINE.replace(b'0.50', b' 0.5 '), GOOD),
    'progress beyond 1': (LINE.replace(b'0.50', b'50'), (50.0, 2, 0, '')),
    'empty': (b'', REJECTED),
    'blank': (b' \n', REJECTED),
    'blank first line': (b'\n' + LINE, REJECTED),
    'spaces': (LINE.replace(b'\t', b' '), REJECTED),
    'three columns': (b't1\t1.5\t0.5\n', REJECTED),
    'quotes': (LINE.replace(b'0.50', b'"0.50"'), REJECTED),
    'a comma': (LINE.replace(b'0.50', b'0,50'), REJECTED),
    'NUL': (LINE.replace(b'\t2', b'\t2\0'), REJECTED),
    'state 5': (LINE.replace(b'\t2', b'\t5'), REJECTED),
    'a word for the state': (LINE.replace(b'\t2', b'\trunning'), REJECTED),
    'no code before a message': (LINE[:-1] + b'\tmessage', REJECTED),
    'UTF-16': (LINE.decode().encode('utf-16'), REJECTED),
    'Latin-1': (LINE + b'\tGer\xe4t', REJECTED),
    'half a character': (LINE + '\t图'.encode()[:-1], REJECTED),
    'missing': (None, REJECTED),
}


@pytest.mark.parametrize('kind', MONITORS)
def test_monitor(task, kind):  # noqa: F811
    content, expected = MONITORS[kind]
    if content is not None:
        task.monitor_file.write_bytes(content)

    def of_platform():
        reading = MonitorReading()
        reading.read(task.monitor_file, final=True)
        return REJECTED if reading.problem else tuple(reading.last)[2:]

    def of_check():
        facts = Run(task.root / 'out', task.root / 'in')
        return REJECTED if facts.monitor_content.faults else tuple(facts.monitor_content.line())[2:]

    def of_report():
        progress = read_run(task.root).progress
        return REJECTED if progress is None else tuple(progress)[2:]

    readers = {'SDK': lambda: tuple(monitor.read_monitor())[2:], 'platform': of_platform, 'check': of_check}
    asserted({**readers, 'report': of_report}, expected)


# ----------------------------------------------------------------------------------------------- result.yaml

RESULT = """best_stage_name: 'a'
model_stages:
  a: {stage_name: a, files: [a.pth], timestamp: 1700000000, mAP: 0.5, tp: 3}
"""
RESULT_VALUE = ('a', {'a': {'mAP': 0.5, 'tp': 3}})


def changed(old, new, text=RESULT):
    assert old in text
    return text.replace(old, new).encode()


RESULTS = {
    'plain': (RESULT.encode(), RESULT_VALUE),
    'byte order mark': (MARK + RESULT.encode(), RESULT_VALUE),
    'Windows': (changed('\n', '\r\n'), RESULT_VALUE),
    'old Macintosh': (changed('\n', '\r'), RESULT_VALUE),
    'blank lines': (changed('\n', '\n\n  \n'), RESULT_VALUE),
    'no last newline': (RESULT.strip().encode(), RESULT_VALUE),
    'trailing blanks': (changed('\n', '  \n'), RESULT_VALUE),
    'quoted number': (changed('0.5', '"0.5"'), RESULT_VALUE),
    'a name in Chinese': (
        changed("'a'", '图').replace(b'  a:', '  图:'.encode()),
        ('图', {'图': {'mAP': 0.5, 'tp': 3}}),
    ),
    'decimals of seconds': (changed('1700000000', '1700000000.75'), RESULT_VALUE),
    'old form': (b'model: [a.pth]\nmap: "0.5"\n', ('default_best_stage', {'default_best_stage': {'mAP': 0.5}})),
    'both forms': (
        b'model: [a.pth]\nmap: 1\n' + RESULT.encode(),
        ('default_best_stage', {'default_best_stage': {'mAP': 1}}),
    ),
    'empty': (b'', REJECTED),
    'blank': (b' \n\n', REJECTED),
    'TAB': (changed('  a:', '\ta:'), REJECTED),
    'NUL': (changed('0.5', '0.5\0'), REJECTED),
    'UTF-16': (RESULT.encode('utf-16'), REJECTED),
    'Latin-1': (RESULT.encode() + 'note: Gerät'.encode('latin-1'), REJECTED),
    'cut short': (RESULT[:-3].encode(), REJECTED),
    'two documents': (RESULT.encode() + b'---\n' + RESULT.encode(), REJECTED),
    'tag': (changed('0.5', '!!python/float 0.5'), REJECTED),
    'list': (b'- 1\n', REJECTED),
    'not a number': (changed('0.5', '.nan'), REJECTED),
    'per cent': (changed('0.5', '50'), REJECTED),
    'no measurement': (changed('0.5', 'null'), REJECTED),
    'milliseconds': (changed('1700000000', '1700000000000'), REJECTED),
    'seconds with decimals as text': (changed('1700000000', '"1700000000.5"'), REJECTED),
    'half a count as text': (changed('tp: 3', 'tp: "3.5"'), REJECTED),
    'one file': (changed('[a.pth]', 'a.pth'), REJECTED),
    'missing file': (changed('a.pth', 'b.pth'), REJECTED),
    'another best stage': (changed("'a'", 'b'), REJECTED),
    'old form without map': (b'model: [a.pth]\n', REJECTED),
    'null for numbers': (RESULT.encode() + b'evaluate_config: null\n', REJECTED),
    'missing': (None, REJECTED),
}


@pytest.mark.parametrize('kind', RESULTS)
def test_training_result(task, kind):  # noqa: F811
    content, expected = RESULTS[kind]
    task.add_model('a.pth')
    if content is not None:
        task.result_file.write_bytes(content)
    out = task.root / 'out'

    def value(result):
        return result.best, {name: stage.metrics for name, stage in result.stages.items()}

    def of_check():
        facts = Run(out, task.root / 'in')
        return REJECTED if not isinstance(facts.result.need().value, dict) or facts.result_faults else expected

    readers = {
        'reading': lambda: value(read_training_result(task.models)),
        'platform': lambda: expected if judge(0, MonitorReading(), out, training=True).ok else REJECTED,
        'package': lambda: pack(task.root, task.root / 'model.tar') and expected,
        'model': lambda: read_package(task.root, task.root / 'x') and expected,
        'stage': lambda: prepare.ModelStage.of_training(prepare.Task(task.root, 't1', False)) and expected,
        'check': of_check,
    }
    asserted(readers, expected)
    shown = read_run(task.root).result  # what is right in it, so that a page shows as much as it can
    assert expected == REJECTED or value(shown) == expected


# ----------------------------------------------------------------------------------------- infer-result.json

BOX = '{"class_name": "cat", "score": 0.5, "box": {"x": 1, "y": 2, "w": 3, "h": 4}}'
INFER = f'{{"detection": {{"a.jpg": {{"boxes": [{BOX}]}}}}}}\n'
CAT = ('cat', 0.5, (1, 2, 3, 4))
INFERS = {
    'plain': (INFER.encode(), {'a.jpg': [CAT]}),
    'Windows': (INFER.replace(', ', ',\r\n').encode(), {'a.jpg': [CAT]}),
    'blank lines': (b'\n \n' + INFER.encode(), {'a.jpg': [CAT]}),
    'a name in Chinese': (changed('a.jpg', '/out/图 "1".jpg'.replace('"', '\\"'), INFER), {'图 "1".jpg': [CAT]}),
    'numbers as text': (changed('"x": 1', '"x": "1"', INFER), {'a.jpg': [CAT]}),
    'whole decimals': (changed('"x": 1', '"x": 1.0', INFER), {'a.jpg': [CAT]}),
    'no x': (changed('"x": 1, ', '', INFER), {'a.jpg': [('cat', 0.5, (0, 2, 3, 4))]}),
    'an older key': (changed('boxes', 'annotations', INFER), {'a.jpg': [CAT]}),
    'both keys': (changed('"boxes"', '"boxes": [], "annotations"', INFER), {'a.jpg': [CAT]}),
    'blanks around a class': (changed('"cat"', '" Cat "', INFER), {'a.jpg': [CAT]}),
    'no objects': (b'{"detection": {"a.jpg": {}}}', {'a.jpg': []}),
    'no score': (changed('"score": 0.5, ', '', INFER), {'a.jpg': []}),
    'an image twice': (changed('{"a.jpg"', '{"a.jpg": {"boxes": []}, "a.jpg"', INFER), {'a.jpg': [CAT]}),
    'byte order mark': (MARK + INFER.encode(), REJECTED),
    'UTF-16': (INFER.encode('utf-16'), REJECTED),
    'Latin-1': (changed('a.jpg', 'Gerät', INFER).decode().encode('latin-1'), REJECTED),
    'empty': (b'', REJECTED),
    'cut short': (INFER[:-3].encode(), REJECTED),
    'single quotes': (changed('"', "'", INFER), REJECTED),
    'a trailing comma': (changed(']}}}', ',]}}}', INFER), REJECTED),
    'NUL': (changed('a.jpg', 'a\0.jpg', INFER), REJECTED),
    'no mapping': (b'{"detection": []}', REJECTED),
    'null': (b'{"detection": {"a.jpg": null}}', REJECTED),
    'half a pixel': (changed('"x": 1', '"x": 1.5', INFER), REJECTED),
    'true': (changed('"x": 1', '"x": true', INFER), REJECTED),
    'beyond 32 bits': (changed('"x": 1', '"x": 2147483648', INFER), REJECTED),
    'an unknown side': (changed('"x": 1', '"x": 1, "z": 1', INFER), REJECTED),
    'a score in words': (changed('0.5', '"high"', INFER), REJECTED),
    'a blank class': (changed('"cat"', '" "', INFER), REJECTED),
    'missing': (None, REJECTED),
}


@pytest.mark.parametrize('kind', INFERS)
def test_infer_result(candidates, task, kind):  # noqa: F811
    content, expected = INFERS[kind]
    candidates.write_text('/in/assets/a.jpg\n')
    if content is not None:
        task.infer_file.write_bytes(content)
    out = task.root / 'out'

    def value(found):
        return {name: [tuple(item) for item in items] for name, items in found.items()}

    def of_check():
        facts = Run(out, task.root / 'in')
        return REJECTED if any(one.code for found in facts.infer_faults.values() for one in found) else expected

    def of_demo():
        by_stem = {name.rpartition('.')[0]: items for name, items in expected.items()} if expected != REJECTED else {}
        found = read_predictions(task.infer_file, ['cat'])
        boxes = {name: [(box.x, box.y, box.w, box.h) for box, _ in items] for name, items in found.items()}
        return expected if boxes == {name: [item[2] for item in items] for name, items in by_stem.items()} else found

    readers = {
        'reading': lambda: value(read_infer_result(task.infer_file)),
        'platform': lambda: expected if judge(0, MonitorReading(), out, infer=True).ok else REJECTED,
        'check': of_check,
        'demo': of_demo,
    }
    asserted(readers, expected)
    shown = read_run(task.root).detections  # without what is wrong
    assert expected == REJECTED or value(shown) == expected


# ------------------------------------------------------------------------------------------------ result.tsv

RANKING = ''.join(f'{path}\t0.5\n' for path in PATHS).encode('utf-8', 'surrogateescape')
RANKED = [(path, 0.5) for path in PATHS]
RANKINGS = {
    'plain': (RANKING, RANKED),
    'byte order mark': (MARK + RANKING, RANKED),
    'Windows': (RANKING.replace(b'\n', b'\r\n'), RANKED),
    'old Macintosh': (RANKING.replace(b'\n', b'\r'), RANKED),
    'blank lines': (b'\n \t\n' + RANKING.replace(b'\n', b'\n\n'), RANKED),
    'no last newline': (RANKING[:-1], RANKED),
    'blanks after the score': (RANKING.replace(b'\n', b'  \n'), RANKED),
    'a third column': (RANKING.replace(b'\n', b'\tmore\n'), RANKED),
    'blanks around the path': (b' a.jpg \t0.5\n', [(' a.jpg ', 0.5)]),
    'NUL': (b'a\0.jpg\t0.5\n', [('a\0.jpg', 0.5)]),
    'empty': (b'', []),
    'UTF-16': ('a.jpg\t0.5\n'.encode('utf-16'), REJECTED),
    'missing': (None, REJECTED),
}


@pytest.mark.parametrize('kind', RANKINGS)
def test_mining_result(task, kind):  # noqa: F811
    content, expected = RANKINGS[kind]
    task.write_env('mining')
    (task.root / 'in/candidate-index.tsv').write_bytes(TEXT)
    if content is not None:
        task.mining_file.write_bytes(content)

    def of_report():
        ranking = read_run(task.root).ranking
        return REJECTED if ranking is None else ranking

    def of_command_line():
        shown = task_run._show_ranking(SimpleNamespace(quiet=True), prepare.Task(task.root, 't1', False))
        return [(row['image'], row['score']) for row in shown['top']]

    def of_check():
        return [(line.image, line.score) for line in Run(task.root / 'out', task.root / 'in').mining_lines]

    readers = {
        'reading': lambda: [(line.image, line.score) for line in read_mining_result(task.mining_file)],
        'platform': lambda: expected if judge(0, MonitorReading(), task.root / 'out', mining=True).ok else REJECTED,
        'check': of_check,
        'report': of_report,
        'command line': of_command_line,
    }
    asserted(readers, expected)


# ------------------------------------------------------------------------------------- env.yaml, config.yaml

CONFIG = 'class_names: [cat, 图]\nexport_format: ""\n'
CONFIGS = {
    'plain': (CONFIG.encode(), ['cat', '图']),
    'byte order mark': (MARK + CONFIG.encode(), ['cat', '图']),
    'Windows': (changed('\n', '\r\n', CONFIG), ['cat', '图']),
    'old Macintosh': (changed('\n', '\r', CONFIG), ['cat', '图']),
    'quotes': (changed('cat', '"cat"', CONFIG), ['cat', '图']),
    'blank lines': (changed('\n', '\n\n  \n', CONFIG), ['cat', '图']),
    'numbers': (changed('cat', '7', CONFIG), ['7', '图']),
    'empty': (b'', REJECTED),
    'blank': (b'\n\n', REJECTED),
    'TAB': (b'\t' + CONFIG.encode(), REJECTED),
    'NUL': (changed('cat', 'c\0t', CONFIG), REJECTED),
    'UTF-16': (CONFIG.encode('utf-16'), REJECTED),
    'Latin-1': ('class_names: [Gerät]'.encode('latin-1'), REJECTED),
    'cut short': (b'class_names: [cat', REJECTED),
    'list': (b'- cat\n', REJECTED),
    'one word': (b'class_names: cat\n', REJECTED),
    'no end': (b'class_names: &a [*a]\n', REJECTED),
    'missing': (None, REJECTED),
}


@pytest.mark.parametrize('kind', CONFIGS)
def test_config(task, kind):  # noqa: F811
    content, expected = CONFIGS[kind]
    task.add_model('a.pth')
    task.result_file.write_text(RESULT)
    task.write_index('train', ())
    path = task.root / 'in/config.yaml'
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    def names_in(config):
        names = config.get('class_names')
        return [str(name) for name in names] if isinstance(names, list) else REJECTED

    readers = {
        'SDK': lambda: util.get_class_names(util.get_merged_config()),
        'package': lambda: names_in(read_package(task.root, task.root / 'x').training_config),
        'check': lambda: Run(task.root / 'out', task.root / 'in').class_names,
        'report': lambda: names_in(read_run(task.root).config),
        'datasets': lambda: ymir_in.read(task.root / 'in').class_names,
    }
    asserted(readers, expected)


ENVS = {
    'plain': (b'task_id: t1\n', 't1'),
    'byte order mark': (MARK + b'task_id: t1\r\n', 't1'),
    'quotes and blanks': (b"task_id:   't1'  \r", 't1'),
    'UTF-16': ('task_id: t1\n'.encode('utf-16'), REJECTED),
    'NUL': (b'task_id: t\0001\n', REJECTED),
    'TAB': (b'\ttask_id: t1\n', REJECTED),
    'list': (b'- task_id\n', REJECTED),
    'missing': (None, REJECTED),
}


@pytest.mark.parametrize('kind', ENVS)
def test_env(task, kind):  # noqa: F811
    content, expected = ENVS[kind]
    path = task.root / 'in/env.yaml'
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    readers = {
        'SDK': lambda: env.get_current_env().task_id,
        'check': lambda: Run(task.root / 'out', task.root / 'in').env['task_id'],
        'report': lambda: read_run(task.root).env['task_id'],
    }
    asserted(readers, expected)


# ------------------------------------------------------------------------------------------------- the table


def test_the_tables_hold_what_is_odd():
    """Every file of the contract is tried with a byte order mark, as UTF-16, with a NUL byte and missing."""
    odd = {'byte order mark', 'UTF-16', 'NUL', 'missing'}
    for table in ({**INDEXES, **BAD_INDEXES}, MONITORS, RESULTS, INFERS, RANKINGS, CONFIGS, ENVS):
        assert odd <= set(table)
    assert json.loads(INFER)['detection']
