"""The commands that the benchmarks give in their first lines can be run from the root of the repository."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / 'benchmarks').rglob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_script_that_imports_its_neighbours_is_run_as_a_module(path):
    source = path.read_text(encoding='utf-8')
    commands = re.findall(r'^    python (\S+(?: benchmarks\S+)?)', ast.get_docstring(ast.parse(source)) or '', re.M)
    place = path.relative_to(ROOT)
    if re.search(r'^\s*from benchmarks', source, re.M) and 'sys.path.insert' not in source:
        wanted = '-m ' + '.'.join(place.with_suffix('').parts)
        assert all(command == wanted for command in commands), commands
    else:
        assert all(command.split()[-1] in (str(place), '.'.join(place.with_suffix('').parts)) for command in commands)
