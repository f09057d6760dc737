"""File names are told apart, and known again with the folder in which they were met first."""

import random
import tracemalloc

from ymir_exc import name_table
from ymir_exc.name_table import NameTable


def test_as_a_dict_does_it():
    draw, table, expected = random.Random(0), NameTable(), {}
    for _ in range(20_000):
        name, folder = f'{draw.randrange(9000)}.jpg', f'/in/{draw.randrange(5)}'
        assert table.add(f'{folder}/{name}') == expected.get(name)
        expected.setdefault(name, f'{folder}/{name}')
    assert len(table) == len(expected) > 7000
    assert table.add('no_folder\udcff.jpg') is None and table.add('/a/no_folder\udcff.jpg') == 'no_folder\udcff.jpg'


def test_of_many_folders_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(name_table, '_MAX_FOLDERS', 3)
    table = NameTable()
    for number in range(5):
        table.add(f'/{number}/{number}.jpg')
    assert [table.add(f'{number}.jpg') for number in range(5)] == ['/0/0.jpg', '/1/1.jpg', '2.jpg', '3.jpg', '4.jpg']


def test_memory_of_a_name():
    tracemalloc.start()
    table = NameTable()
    for number in range(20_000):
        table.add(f'/in/assets/{"x" * 100}{number}.jpg')
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 40 * len(table)
