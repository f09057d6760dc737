"""Findings as a table for a person and as JSON for a script."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..texts import t
from .finding import ERROR, WARNING, Finding

SUBJECTS = ('container', 'monitor', 'training', 'infer', 'segmentation', 'mining', 'image', 'template', 'verifier')
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
    subjects: dict[str, list[Finding]] = {name: [] for name in SUBJECTS}
    for finding in findings:
        subjects.setdefault(finding.rule.split('/')[0], []).append(finding)
    for subject, own in subjects.items():
        failed = sorted((finding for finding in own if finding.ok is False), key=lambda f: f.severity != ERROR)
        if failed:
            console.print(_table(subject, failed, language))
    summary = Table(show_header=True, box=None, pad_edge=False)
    for heading in ('', 'failed', 'passed', 'skipped'):
        summary.add_column(heading and _word(heading, language), justify='right' if heading else 'left')
    for subject, own in subjects.items():
        if any(finding.ok is not None for finding in own):
            values = [sum(finding.ok is wanted for finding in own) for wanted in (False, True, None)]
            summary.add_row(
                t(f'subjects.{subject}').in_language(language),
                Text(str(values[0]), 'red' if values[0] else 'green'),
                *map(str, values[1:]),
            )
    console.print(summary)
    numbers = counts(findings)
    ending = t('check.summary', **numbers).in_language(language)
    if not numbers['errors'] + numbers['warnings'] and numbers['passed']:
        ending = f'{_word("good", language)} {ending}'
    console.print(Text(ending, 'bold red' if numbers['errors'] else 'yellow' if numbers['warnings'] else 'bold green'))


def _word(key: str, language: str) -> str:
    return t(f'check.{key}').in_language(language)


def _table(subject: str, failed: Sequence[Finding], language: str) -> Table:
    table = Table(
        title=t(f'subjects.{subject}').in_language(language), title_justify='left', show_lines=True, expand=True
    )
    table.add_column(_word('rule', language), no_wrap=True)
    table.add_column(_word('place', language), ratio=3, overflow='fold')
    table.add_column(_word('what', language), ratio=5, overflow='fold')
    table.add_column(_word('fix', language), ratio=4, overflow='fold')
    for finding in failed:
        message, fix = finding.text(language)
        # Text, never markup: file names and values may hold square brackets
        name = Text.assemble(
            (t(f'cli.{finding.severity}').in_language(language), STYLES[finding.severity]),
            f'\n{finding.rule}\n',
            (f'({finding.section})', 'dim'),
        )
        table.add_row(name, Text(finding.place), Text(message), Text(fix, 'green'))
    return table
