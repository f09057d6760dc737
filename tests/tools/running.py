"""Runs a tool: in this process, which saves the start of Python, or as its users do."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load_tool(path: str) -> ModuleType:
    """Imports a tool by its path below `tools`, without its suffix; call `main(argv)` of what comes back."""
    spec = importlib.util.spec_from_file_location(f'tool_{path.replace("/", "_")}', ROOT / 'tools' / f'{path}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(
    path: str, *args, cwd: Path = ROOT, code: int = 0, timeout: float = 240, **variables: str
) -> subprocess.CompletedProcess:
    """Starts a tool as a process without a display and checks the exit code."""
    environment = {key: value for key, value in os.environ.items() if key not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    environment.update(CUDA_VISIBLE_DEVICES='-1', OMP_NUM_THREADS='1', **variables)
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / f'{path}.py'), *map(str, args)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == code, f'{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
    return done
