"""Peak memory and processor time of the infer task for few and for many images, all of its processes together.

    python -m benchmarks.inference_memory [--counts 10000 1000000] [--size 32] [--widen 0.25] [--mining]

The images are links to a few small files, so that the number of lines is all that differs. Memory is the proportional
set size (pages that processes share are counted once), sampled twice a second, while results are merged too.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.inference_speed import CLASS_NAMES, CONFIG, make_model
from mmyolo.utils import register_all_modules
from ymir_local.demo.sample_data import generate

ROOT = Path(__file__).resolve().parents[1]
IMAGES = 64  # a file cannot have links without end
LIMIT = 0.10  # growth from the first to the last count


def descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        for child in task.read_text().split():
            found += descendants(int(child))
    return found


def memory_of(pid: int) -> int:
    """Bytes of a process and all below it."""
    total = 0
    try:
        for process in descendants(pid):
            for line in Path(f'/proc/{process}/smaps_rollup').read_text().splitlines():
                if line.startswith('Pss:'):
                    total += int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
        return 0
    return total


def prepare(root: Path, count: int, images: list[Path], models: list[Path], mining: bool, **more: object) -> Path:
    """Write /in of a task, with more keys in its config.yaml; returns its env.yaml."""
    (root / 'in/assets').mkdir(parents=True)
    (root / 'out').mkdir()
    lines = []
    for number in range(count):
        link = root / 'in/assets' / f'{number:08d}.jpg'
        os.link(images[number % len(images)], link)
        lines.append(f'{link}\n')
    (root / 'in/candidate-index.tsv').write_text(''.join(lines))
    config = {'class_names': CLASS_NAMES, 'gpu_id': '', 'model_params_path': [str(path) for path in models], **more}
    (root / 'in/config.yaml').write_text(yaml.safe_dump(config))
    env = {
        'task_id': 'memory',
        'protocol_version': '1.1.0',
        'run_infer': True,
        'run_mining': mining,
        'input': {
            'candidate_index_file': str(root / 'in/candidate-index.tsv'),
            'config_file': str(root / 'in/config.yaml'),
        },
        'output': {
            'root_dir': str(root / 'out'),
            'infer_result_file': str(root / 'out/infer-result.json'),
            'mining_result_file': str(root / 'out/result.tsv'),
            'monitor_file': str(root / 'out/monitor.txt'),
        },
    }
    (root / 'in/env.yaml').write_text(yaml.safe_dump(env))
    return root / 'in/env.yaml'


def write_config(folder: Path, widen: float) -> Path:
    """Write the config of the model with as many times its channels; returns its path."""
    part = f'dict(widen_factor={widen})'
    path = folder / 'narrow.py'
    path.write_text(
        f"_base_ = ['{CONFIG}']\nmodel = dict(backbone={part}, neck={part}, bbox_head=dict(head_module={part}))\n"
    )
    return path


def run(env_file: Path) -> tuple[int, float, float]:
    """Run the task; returns its peak memory in bytes, its seconds and those of processors."""
    environ = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(env_file))
    start, before = time.perf_counter(), processor_seconds()
    with open(env_file.parents[1] / 'log.txt', 'w') as log:
        process = subprocess.Popen(
            [sys.executable, 'ymir/start.py'], cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f'The task failed: {(env_file.parents[1] / "out/monitor.txt").read_text()}')
    return peak, time.perf_counter() - start, processor_seconds() - before


def processor_seconds() -> float:
    """Return what all child processes that have ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--counts', type=int, nargs='+', default=[10_000, 1_000_000])
    parser.add_argument('--size', type=int, default=32, help='side of the network input')
    parser.add_argument('--widen', type=float, default=0.25, help='widen_factor of the network')
    parser.add_argument('--mining', action='store_true', help='mine too, in the same run')
    options = parser.parse_args()
    register_all_modules()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = generate(folder / 'images', num_images=IMAGES, size_range=(32, 48), objects_range=(1, 2))
        images = [item.path for item in data]
        config = write_config(folder, options.widen)
        models = make_model(
            folder, str(config), options.size, [str(path) for path in images], above_02=2, above_0001=10
        )
        for count in options.counts:
            root = folder / str(count)
            rows.append((count, *run(prepare(root, count, images, list(models), options.mining))))
            shutil.rmtree(root)
    table = Table(title=f'{"Mining and infer" if options.mining else "Infer"} task, {options.size} px')
    for column in ('images', 'peak memory, MiB', 'seconds', 'processor ms per image'):
        table.add_column(column, justify='right')
    for count, peak, seconds, used in rows:
        table.add_row(f'{count}', f'{peak / 2**20:.0f}', f'{seconds:.0f}', f'{1000 * used / count:.2f}')
    Console().print(table)
    growth = rows[-1][1] / rows[0][1] - 1
    print(f'growth: {growth:+.1%} (limit {LIMIT:+.0%})')
    sys.exit(growth >= LIMIT)


if __name__ == '__main__':
    main()
