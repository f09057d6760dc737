"""The infer task on two machines of a Ray cluster beside two processes on one machine: same files, and what Ray costs.

    python -m benchmarks.ray_overhead [--images 2000] [--size 320]

The machines are processes of this one with a core each, so all sides have as many cores. Counted are the CPU seconds of
everything that a task starts, of Ray itself while it runs, and of what is computed twice because a machine is killed
when a third of the images is done. Seconds by the clock say little for that side, which ends with half of the cores.
Needs the extra [ray].
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.inference_memory import prepare
from benchmarks.inference_speed import CONFIG, make_model
from benchmarks.ray_machines import ray_machines
from mmyolo.utils import register_all_modules
from tmi.process_tree import descendants, processor_seconds
from ymir_local.demo.sample_data import generate

ROOT = Path(__file__).resolve().parents[1]
FILES = 64  # images that differ; the others are links to them
MACHINES = 2
LIMIT = 0.15  # CPU time more than on one machine


class Side(NamedTuple):
    """What one run took.

    Args:
        name: Of the run.
        seconds: By the clock.
        cpu_seconds: Of all processes.
        result: infer-result.json.
    """

    name: str
    seconds: float
    cpu_seconds: float
    result: bytes


class Processors(threading.Thread):
    """Adds up the CPU seconds of all processes below this one, those that end included but for their last moments."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._used: dict[int, float] = {}
        self.start()

    def run(self) -> None:
        """Sample again and again."""
        while True:
            for pid in descendants(os.getpid()):
                self._used[pid] = max(self._used.get(pid, 0.0), processor_seconds([pid]))
            time.sleep(0.2)

    def total(self) -> float:
        """Return the seconds so far."""
        return sum(self._used.copy().values())


def run(name: str, env_file: Path, processors: Processors, look: Callable[[], object] = lambda: None) -> Side:
    """Run a task, and look now and then while it runs."""
    root = env_file.parents[1]
    environ = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(env_file), YMIR_CPU_PROCESSES=str(MACHINES))
    environ['OMP_NUM_THREADS'] = '1'
    before, start = processors.total(), time.perf_counter()
    with open(root / 'log.txt', 'w') as log:
        process = subprocess.Popen(
            [sys.executable, 'ymir/start.py'], cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    while process.poll() is None:
        look()
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    time.sleep(1)  # for the last sample
    if process.returncode:
        raise SystemExit(f'The task failed: {(root / "out/monitor.txt").read_text()}')
    return Side(name, seconds, processors.total() - before, (root / 'out/infer-result.json').read_bytes())


def measure(folder: Path, count: int, images: list[Path], models: list[Path]) -> list[Side]:
    """Run all sides."""
    processors = Processors()

    def task(name: str, **more: object) -> Path:
        shutil.rmtree(folder / 'task', ignore_errors=True)
        env_file = prepare(folder / 'task', count, images, models, False, **more)
        print(f'{name} ...', file=sys.stderr, flush=True)
        return env_file

    name = f'{MACHINES} processes on one machine'
    sides = [run(name, task(name), processors)]
    with ray_machines(MACHINES) as cluster:
        name = f'{MACHINES} machines on Ray'
        sides.append(run(name, task(name, ray_address=cluster.address), processors))
    with ray_machines(MACHINES) as cluster:
        name = f'{MACHINES} machines on Ray, one killed'
        doomed = list(cluster.machines[:1])

        def look() -> None:
            blocks = len(list((folder / 'task/out/predictions').glob('blocks_*/block_??????')))
            if doomed and 3 * blocks * 32 > count:
                cluster.remove_node(doomed.pop(), allow_graceful=False)

        sides.append(run(name, task(name, ray_address=cluster.address), processors, look))
        if doomed:
            raise SystemExit('The task ended before the machine was killed')
    return sides


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--size', type=int, default=320, help='side of the network input')
    options = parser.parse_args()
    if find_spec('ray') is None:  # `make bench` runs all scripts
        print("not measured: Ray is not installed (pip install 'ymir-mmyolo[ray]')")
        return
    register_all_modules()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = generate(folder / 'images', num_images=FILES, size_range=(256, 400), objects_range=(1, 4))
        images = [item.path for item in data]
        models = make_model(folder, str(CONFIG), options.size, list(map(str, images)), above_02=4, above_0001=40)
        sides = measure(folder, options.images, images, list(models))
    table = Table(title=f'{options.images:,} images, {options.size} px, {Path(CONFIG).stem.split("_syncbn")[0]}')
    for column in ('side', 's', 'CPU s', 'CPU time, one machine = 1', 'infer-result.json'):
        table.add_column(column)
    for side in sides:
        ratio = side.cpu_seconds / sides[0].cpu_seconds
        same = 'the same bytes' if side.result == sides[0].result else 'DIFFERS'
        table.add_row(side.name, f'{side.seconds:.0f}', f'{side.cpu_seconds:.0f}', f'{ratio:.3f}', same)
    Console(width=160).print(table)
    if any(side.result != sides[0].result or side.cpu_seconds > (1 + LIMIT) * sides[0].cpu_seconds for side in sides):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
