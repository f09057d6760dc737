"""Findings as a table for a person and as JSON for a script."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .finding import ERROR, WARNING, Finding

SUBJECTS: dict[str, Sequence[str]] = {
    'container': ('Container', '容器'),
    'monitor': ('Progress (monitor.txt)', '进度（monitor.txt）'),
    'training': ('Training result (result.yaml)', '训练结果（result.yaml）'),
    'infer': ('Inference result (detection)', '推理结果（检测）'),
    'segmentation': ('Inference result (segmentation)', '推理结果（分割）'),
    'mining': ('Mining result (result.tsv)', '挖掘结果（result.tsv）'),
    'image': ('Image', '镜像'),
    'template': ('Templates (/img-man)', '模板（/img-man）'),
    'verifier': ('Official verifier', '官方检查工具'),
}
WORDS = {
    'en': {
        'error': 'error',
        'warning': 'warning',
        'passed': 'passed',
        'rule': 'Rule',
        'place': 'Place',
        'what': 'What must hold, what was found',
        'mend': 'Mend',
        'failed': 'failed',
        'skipped': 'not applicable',
        'good': 'Nothing is wrong.',
        'summary': '{errors} error(s), {warnings} warning(s), {passed} rules passed, {skipped} not applicable.',
    },
    'zh': {
        'error': '错误',
        'warning': '警告',
        'passed': '通过',
        'rule': '规则',
        'place': '位置',
        'what': '要求与实际',
        'mend': '修复方法',
        'failed': '未通过',
        'skipped': '不适用',
        'good': '没有发现问题。',
        'summary': '错误 {errors} 个，警告 {warnings} 个；通过 {passed} 条规则，不适用 {skipped} 条。',
    },
}
STYLES = {ERROR: 'bold red', WARNING: 'yellow'}


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Count findings: errors, warnings (in places), rules passed and rules not applicable.

    Args:
        findings: of `check_out` or `check_image`.
    """
    failed = [finding for finding in findings if finding.ok is False]
    return {
        'errors': sum(finding.severity == ERROR for finding in failed),
        'warnings': sum(finding.severity == WARNING for finding in failed),
        'passed': sum(finding.ok is True for finding in findings),
        'skipped': sum(finding.ok is None for finding in findings),
    }


def has_errors(findings: Sequence[Finding]) -> bool:
    """Return whether the platform would fail, lose or mistake something; warnings do not count.

    Args:
        findings: of `check_out` or `check_image`.
    """
    return counts(findings)['errors'] > 0


def to_json(findings: Sequence[Finding]) -> str:
    """Return findings with their counts as JSON.

    Args:
        findings: of `check_out` or `check_image`.
    """
    return json.dumps(
        dict(counts(findings), findings=[finding.as_dict() for finding in findings]), ensure_ascii=False, indent=2
    )


def render(findings: Sequence[Finding], console: Console, language: str = 'en') -> None:
    """Print what is wrong by subject, each with its place and how to fix it, then how many rules hold.

    Args:
        findings: of `check_out` or `check_image`.
        console: where to print.
        language: 'en' or 'zh'.
    """
    words = WORDS[language]
    subjects: dict[str, list[Finding]] = {name: [] for name in SUBJECTS}
    for finding in findings:
        subjects.setdefault(finding.rule.split('/')[0], []).append(finding)
    for subject, own in subjects.items():
        failed = sorted((finding for finding in own if finding.ok is False), key=lambda f: f.severity != ERROR)
        if failed:
            console.print(_table(subject, failed, language))
    summary = Table(show_header=True, box=None, pad_edge=False)
    for heading in ('', words['failed'], words['passed'], words['skipped']):
        summary.add_column(heading, justify='right' if heading else 'left')
    for subject, own in subjects.items():
        if any(finding.ok is not None for finding in own):
            values = [sum(finding.ok is wanted for finding in own) for wanted in (False, True, None)]
            summary.add_row(
                _title(subject, language), Text(str(values[0]), 'red' if values[0] else 'green'), *map(str, values[1:])
            )
    console.print(summary)
    numbers = counts(findings)
    ending = words['summary'].format(**numbers)
    if not numbers['errors'] + numbers['warnings'] and numbers['passed']:
        ending = f'{words["good"]} {ending}'
    console.print(Text(ending, 'bold red' if numbers['errors'] else 'yellow' if numbers['warnings'] else 'bold green'))


def _title(subject: str, language: str) -> str:
    return SUBJECTS.get(subject, (subject, subject))[language == 'zh']


def _table(subject: str, failed: Sequence[Finding], language: str) -> Table:
    words = WORDS[language]
    table = Table(title=_title(subject, language), title_justify='left', show_lines=True, expand=True)
    table.add_column(words['rule'], no_wrap=True)
    table.add_column(words['place'], ratio=3, overflow='fold')
    table.add_column(words['what'], ratio=5, overflow='fold')
    table.add_column(words['mend'], ratio=4, overflow='fold')
    for finding in failed:
        message, mend = finding.text(language)
        # Text, never markup: file names and values may hold square brackets
        name = Text.assemble(
            (words[finding.severity], STYLES[finding.severity]), f'\n{finding.rule}\n', (f'({finding.section})', 'dim')
        )
        table.add_row(name, Text(finding.place), Text(message), Text(mend, 'green'))
    return table
