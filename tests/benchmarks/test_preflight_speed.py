"""The benchmark of the check of the data compares two ways that find and write the same."""

import json

import pytest

from benchmarks.preflight_speed import LOOKED_FOR, compare, run_loop, run_preflight, write_data


def test_both_ways_find_and_write_the_same(tmp_path):
    write_data(tmp_path, 20, ['ark', 'voc'])
    for name in ('ark', 'voc'):
        found = run_loop(tmp_path, name)
        assert found == run_preflight(tmp_path, name) and set(found) == set(LOOKED_FOR)
        compare(tmp_path, name)
    content = json.loads((tmp_path / 'loop.json').read_text())
    content['annotations'][0]['area'] += 1
    (tmp_path / 'loop.json').write_text(json.dumps(content))
    with pytest.raises(SystemExit, match='the COCO files differ'):
        compare(tmp_path, 'voc')
