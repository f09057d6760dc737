"""docs/tools.md names every tool, and its examples are command lines that the tools take."""

import re
import shlex

import pytest

from tests.tools.running import ROOT, load_tool

LINES = re.findall(r'`python tools/(\S+)\.py ?([^`]*)`', (ROOT / 'docs' / 'tools.md').read_text(encoding='utf-8'))
TOOLS = [path for suffix in ('py', 'sh') for path in (ROOT / 'tools').rglob(f'[a-z]*.{suffix}')]
HAVE_PARSER = {
    path.relative_to(ROOT / 'tools').with_suffix('').as_posix()
    for path in TOOLS
    if 'def parse_args(argv' in path.read_text(encoding='utf-8')
}
PARSED = [(tool, options) for tool, options in LINES if tool in HAVE_PARSER]


def test_every_tool_is_named():
    text = (ROOT / 'docs' / 'tools.md').read_text(encoding='utf-8')
    assert len(TOOLS) > 20
    assert [path.name for path in TOOLS if f'`{path.name}`' not in text] == []


@pytest.mark.parametrize('tool, options', PARSED, ids=[tool for tool, _ in PARSED])
def test_examples_are_taken(tool, options):
    assert vars(load_tool(tool).parse_args(shlex.split(options)))
