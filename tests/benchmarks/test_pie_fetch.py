"""The table of `benchmarks/pie_fetch.py`."""

from benchmarks.pie_fetch import table


def test_the_table_has_the_conditions_and_the_ratio():
    lines = table({'one by one': 125.0, '16 threads': 12.5}, 2000, 20.0).splitlines()
    assert lines[0].startswith('2,000 images of 20 KB') and '20 ms later, the time of a round trip' in lines[0]
    assert lines[-2:] == ['| one by one | 125.0 | 16 | 1.0 |', '| 16 threads | 12.5 | 160 | 10.0 |']
