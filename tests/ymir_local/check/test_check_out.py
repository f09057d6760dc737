"""Violations of the contract, planted one at a time into good runs: each is found and named, and nothing else is."""

import shutil
from random import Random

import pytest

from tests.ymir_exc import platform_rules as oracle
from tests.ymir_local.check import runs
from tests.ymir_local.check.planted import ALONGSIDE, PLANTED, infer, monitor, stage
from ymir_local.check import check_out, has_errors
from ymir_local.check.finding import OUT
from ymir_local.platform.folder_changes import changes_since, listing


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
        found += (
            oracle.segmentation_result_violations(content)
            if kind == 'segmentation'
            else oracle.infer_result_violations(content, candidates)
        )
    return found


@pytest.mark.parametrize('kind', runs.KINDS)
def test_nothing_is_wrong_with_a_good_run(kind, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    findings = check_out(task.out_dir, task.in_dir, exit_code=0, in_changes={})
    assert failed(findings) == set(), [finding for finding in findings if finding.ok is False]
    assert len({finding.rule for finding in findings}) == len(findings) >= 90
    assert not has_errors(findings)
    assert oracle_violations(kind, task) == []


@pytest.mark.parametrize(
    'kind, rule, damage, seen_by_oracle', PLANTED, ids=[f'{row[1]}-{number}' for number, row in enumerate(PLANTED)]
)
def test_planted(kind, rule, damage, seen_by_oracle, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    before = listing(task.in_dir)
    damage(task)
    findings = check_out(task.out_dir, task.in_dir, in_changes=changes_since(before, task.in_dir))
    assert failed(findings) == {rule} | ALONGSIDE.get(rule, set())
    finding = next(finding for finding in findings if finding.rule == rule)
    assert finding.place and finding.message and finding.fix and finding.section
    assert finding.text('zh') != finding.text('en')
    if seen_by_oracle:
        try:
            assert oracle_violations(kind, task)
        except (KeyError, TypeError, AttributeError):
            pass  # the oracle stumbles, which is seeing it too


def test_every_rule_for_out_is_planted_or_tested_by_name():
    elsewhere = {
        'container/task-known',
        'container/exit-code',
        'container/log-says-why',
        'container/in-unchanged',
        'monitor/code-on-failure',
        'verifier/model-files',
        'verifier/mining-spaces',
    }
    names = {rule.name for rule in OUT.rules}
    assert names == {row[1] for row in PLANTED} | elsewhere


def test_the_other_rules_for_out(tmp_path, images):
    task = runs.make('mining', tmp_path / 'work', images)
    assert failed(check_out(task.out_dir, task.in_dir, exit_code=137)) == {'container/exit-code'}
    task.log_file.write_text('')
    silent = {'container/exit-code', 'container/log-says-why', 'monitor/code-on-failure'}
    assert failed(check_out(task.out_dir, task.in_dir, exit_code=1)) == silent
    assert failed(check_out(tmp_path / 'nothing', task.in_dir)) >= {'container/out-folder', 'monitor/exists'}

    before = listing(task.in_dir)
    asset = next((task.in_dir / 'assets').resolve().rglob('*.jpg'))
    asset.write_bytes(asset.read_bytes() + b'mended')
    (task.in_dir / 'annotations/cache.npy').write_bytes(b'cache')
    (task.in_dir / 'models/best/model.pth').unlink()
    findings = check_out(task.out_dir, in_changes=changes_since(before, task.in_dir))
    places = [finding.place for finding in findings if finding.ok is False]
    assert places == [
        'in/annotations/cache.npy',
        f'in/{asset.relative_to(task.work_dir / "asset_cache")}'.replace('in/', 'in/assets/', 1),
        'in/models/best/model.pth',
    ]

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
    (finding,) = [finding for finding in check_out(task.out_dir) if finding.ok is False]
    line = int(finding.place.split(':')[1].split()[0])
    assert finding.place == f'models/result.yaml:{line} model_stages.epoch_2.mAP'
    assert (task.out_dir / 'models/result.yaml').read_text().splitlines()[line - 1].strip() == 'mAP: -1'
    assert 'Found: -1.' in finding.message and '实际：-1。' in finding.text('zh')[0]


def test_many_hits_of_a_rule_are_counted(tmp_path, images):
    task = runs.make('infer', tmp_path / 'work', images)
    infer(lambda images, first, _: images[first]['boxes'].extend([5] * 1000))(task)
    found = [finding for finding in check_out(task.out_dir) if finding.ok is False]
    assert len(found) == 5 and '995 more' in found[-1].message and '995' in found[-1].text('zh')[0]


@pytest.mark.parametrize('kind', runs.KINDS)
def test_what_the_oracle_finds_is_found(kind, tmp_path, images):
    """Random changes of single characters: nothing that the independent rules see escapes."""
    task = runs.make(kind, tmp_path / 'work', images)
    names = [
        'monitor.txt',
        *(
            name
            for name in ('models/result.yaml', 'infer-result.json', 'result.tsv')
            if (task.out_dir / name).is_file()
        ),
    ]
    good = {name: (task.out_dir / name).read_text() for name in names}
    random = Random(0)
    num_found = 0
    for _ in range(60):
        for name, content in good.items():
            (task.out_dir / name).write_text(content)
        name = random.choice(names)
        place = random.randrange(len(good[name]))
        letter = random.choice(list('-9.:,x "{[]\t\n~'))
        (task.out_dir / name).write_text(good[name][:place] + letter + good[name][place + 1 :])
        findings = check_out(task.out_dir, task.in_dir)
        assert not [finding for finding in findings if 'the check itself stopped' in finding.message]
        try:
            seen = set(oracle_violations(kind, task)) - {'no final newline'}  # which harms nobody who reads by lines
        except (KeyError, TypeError, AttributeError, ValueError):
            continue
        if seen:
            num_found += 1
            assert failed(findings), (name, place, seen)
    assert num_found > 5
