"""What users read of the mining algorithms and their settings, from the registry.

`python -m tmi.mining.describe template` prints the lines of the template, `... algorithms` and `... settings` the
tables of docs/mining.md; a test holds both files against them.
"""

import sys
from collections.abc import Iterator

from tmi.mining import ALGORITHMS, DEFAULT_ALGORITHM
from tmi.mining.parameters import PARAMETERS, Parameter


def parameters() -> list[Parameter]:
    """Return the settings of all algorithms, those of single ones last."""
    return [*PARAMETERS, *(item for algorithm in ALGORITHMS.values() for item in algorithm.parameters)]


def template_lines() -> Iterator[str]:
    """Yield the lines of a YAML file that offers the settings of mining with their defaults."""
    yield '# Mining algorithm / 挖掘算法:'
    for name, algorithm in ALGORITHMS.items():
        yield f'#   {name}: {algorithm.summary} / {algorithm.summary_zh}'
    yield f'mining_algorithm: {DEFAULT_ALGORITHM}'
    for item in parameters():
        yield f'# {item.text} / {item.text_zh}'
        yield f'{item.name}: {repr(item.default) if item.default == "" else item.default}'


def setting_lines() -> Iterator[str]:
    """Yield the lines of a Markdown table of the settings."""
    yield '| key | default | meaning |'
    yield '|---|---|---|'
    for item in parameters():
        yield f'| `{item.name}` | {item.default} | {item.text} |'


def algorithm_lines() -> Iterator[str]:
    """Yield the lines of a Markdown table of the algorithms."""
    yield '| `mining_algorithm` | ranks images by | forward passes |'
    yield '|---|---|---|'
    for name, algorithm in ALGORITHMS.items():
        default = ' (default)' if name == DEFAULT_ALGORITHM else ''
        yield f'| `{name}`{default} | {algorithm.summary} | {algorithm.passes} |'


if __name__ == '__main__':
    kinds = {'template': template_lines, 'algorithms': algorithm_lines, 'settings': setting_lines}
    print('\n'.join(kinds[sys.argv[1]]()))
