"""The grid of `benchmarks/learning.py`: its scenes, and that a run which stands in the records is not made again."""

import argparse
import json
from dataclasses import asdict

from rich.console import Console

from benchmarks import learning
from benchmarks.learning import CHOICES, Run, grid, make_runs, print_table, read_records, write_scenes
from ymir_local.demo.sample_data import SHAPES

NAMES = ['target', 'crate']


def draw(folder, count, seed=0):
    file, sizes = write_scenes(folder, count, seed, NAMES, [SHAPES[name] for name in NAMES])
    return json.loads(file.read_bytes()), sizes, (folder / '000000.jpg').read_bytes()


def test_more_scenes_begin_with_the_same(tmp_path):
    one, two, other = draw(tmp_path / 'a', 1), draw(tmp_path / 'b', 2), draw(tmp_path / 'c', 1, seed=1)
    assert one[1][0] == two[1][0] == (one[0]['images'][0]['width'], one[0]['images'][0]['height'])
    assert one[2] == two[2] != other[2]
    boxes = [[item['bbox'] for item in coco['annotations'] if item['image_id'] == 1] for coco, *_ in (one, two)]
    assert boxes[0] == boxes[1] != []


def test_a_run_with_a_record_is_not_made_again(tmp_path, monkeypatch):
    made = []

    class Pool:
        """Makes runs in this process."""

        def __init__(self, *_, **__):
            pass

        __enter__, __exit__ = (lambda self: self), (lambda self, *_: None)

        def submit(self, _, run, out):
            made.append(run)
            future = learning.Future()
            future.set_result({**asdict(run), 'map': 0.5, 'last': 0.5, 'seconds': 2, 'cpu': 1})
            return future

    monkeypatch.setattr(learning, 'ProcessPoolExecutor', Pool)
    runs = [Run(60, batch, 'scratch', seed, 'auto') for batch in (8, 'auto') for seed in (0, 1)]
    make_runs(tmp_path, runs[:3], 1)
    make_runs(tmp_path, runs, 1)
    assert made == runs and len(read_records(tmp_path)) == 4
    console = Console(record=True, width=120)
    print_table(console, read_records(tmp_path))
    rows = [line for line in console.export_text().splitlines() if 'scratch' in line]
    assert len(rows) == 2 and all('0.500' in row and ' 100 ' in row for row in rows)


def test_the_grid_has_each_setting_once():
    options = argparse.Namespace(
        images=[30, 60],
        batch=[8, 'auto'],
        start=['scratch'],
        seeds=[0, 1],
        choices=list(CHOICES),
        epochs=0,
        model='yolov8_n',
    )
    runs = list(grid(options))
    assert len(runs) == len(set(runs)) == 2 * 2 * 2 * len(CHOICES)
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
