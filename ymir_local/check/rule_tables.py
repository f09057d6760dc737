"""Writes the tables of rules into docs/contract.md: python -m ymir_local.check.rule_tables docs/contract.md

Every rule stands once, under the first section that it names. A table stands between `<!-- rules SECTION -->` and
`<!-- end of rules -->`; what stands between two of these is replaced.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from . import all_rules
from .finding import CheckRule

BLOCK = re.compile(r'(<!-- rules (\S+) -->\n).*?(<!-- end of rules -->)', re.DOTALL)


def with_tables(document: str) -> str:
    """Return a document with its tables as the rules are now.

    Args:
        document: Markdown.

    Raises:
        ValueError: rules without a place, or a place without rules.
    """
    rules = all_rules()
    places = [match[2] for match in BLOCK.finditer(document)]
    homeless = [f'{rule.name} ({home(rule)})' for rule in rules if places.count(home(rule)) != 1]
    empty = sorted(set(places) - {home(rule) for rule in rules})
    if homeless or empty:
        raise ValueError(f'without exactly one place in the document: {homeless}; places without rules: {empty}')
    return BLOCK.sub(
        lambda match: match[1] + table([rule for rule in rules if home(rule) == match[2]]) + match[3], document
    )


def home(rule: CheckRule) -> str:
    """Return the section under which a rule stands: the first that it names; the checks of section l stand together."""
    section = rule.section.split(',')[0].strip()
    return 'l' if section.startswith('l.') else section


def table(rules: Sequence[CheckRule]) -> str:
    """Return rules as a table in Markdown.

    Args:
        rules: in the order of the rows.
    """
    lines: list[str] = ['| rule of `ymir check` | | what must hold |', '|---|---|---|']
    for rule in rules:
        words = rule.must.en.replace('|', '\\|').replace('<', '&lt;')
        lines.append(f'| `{rule.name}` | {rule.severity} | {words} |')
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    for name in sys.argv[1:]:
        Path(name).write_text(with_tables(Path(name).read_text(encoding='utf-8')), encoding='utf-8')
