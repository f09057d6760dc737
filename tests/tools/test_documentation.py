"""docs/tools.md names every tool, and its examples are command lines that the tools take."""
import re
import shlex

import pytest

from tests.tools.running import ROOT, load_tool

LINES = re.findall(r'`python tools/(\S+)\.py ?([^`]*)`', (ROOT / 'docs' / 'tools.md').read_text(encoding='utf-8'))
FOLDERS = ('analysis_tools', 'misc', 'dataset_converters')
PARSED = [(tool, options) for tool, options in LINES if tool.startswith(FOLDERS) and (ROOT / 'tools' / f'{tool}.py').exists()
          and 'def parse_args(argv' in (ROOT / 'tools' / f'{tool}.py').read_text(encoding='utf-8')]  # yapf: disable


def test_every_tool_is_named():
    text = (ROOT / 'docs' / 'tools.md').read_text(encoding='utf-8')
    tools = [path.name for folder in FOLDERS for path in (ROOT / 'tools' / folder).glob('*.py')]
    tools += [path.name for path in (ROOT / 'tools').glob('[a-z]*.*') if path.is_file()]
    assert len(tools) > 20
    assert [name for name in tools if f'`{name}`' not in text] == []
    assert [tool for tool, _ in LINES if not (ROOT / 'tools' / f'{tool}.py').exists()] == []


@pytest.mark.parametrize('tool, options', PARSED, ids=[tool for tool, _ in PARSED])
def test_examples_are_taken(tool, options):
    load_tool(tool).parse_args(shlex.split(options))
