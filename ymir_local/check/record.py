"""What the command line noted in run.yaml when a run ended, as arguments of `check_out`."""

from pathlib import Path
from typing import Any

from .reading import parse_yaml, read_text

RUN_FILE = 'run.yaml'


def recorded(out_dir: Path) -> dict[str, Any]:
    """Read run.yaml beside `out`.

    Args:
        out_dir: of the run.

    Returns:
        exit_code, stopped and in_changes, as far as they stand there; {} for a run of another origin.
    """
    found = parse_yaml(read_text(Path(out_dir).resolve().parent / RUN_FILE, RUN_FILE)).value
    if not isinstance(found, dict):
        return {}
    kinds = {'exit_code': int, 'stopped': bool, 'in_changes': dict}
    values = {key: found[key] for key, kind in kinds.items() if isinstance(found.get(key), kind)}
    if values.get('stopped'):
        values.pop('exit_code', None)  # that of the signal, which says nothing of the executor
    return values
