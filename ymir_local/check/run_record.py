"""What the command line noted in run.yaml when a run ended, as arguments of `check_out`."""

from pathlib import Path
from typing import Any

from ymir_exc.errors import ConfigError
from ymir_exc.reading import read_mapping

RUN_FILE = 'run.yaml'


def recorded(out_dir: Path) -> dict[str, Any]:
    """Read run.yaml beside `out`.

    Args:
        out_dir: of the run.

    Returns:
        exit_code, stopped and in_changes, as far as they stand there; {} for a run of another origin.
    """
    try:
        found = read_mapping(Path(out_dir).resolve().parent / RUN_FILE)
    except ConfigError:
        return {}
    kinds = {'exit_code': int, 'stopped': bool, 'in_changes': dict}
    values = {key: found[key] for key, kind in kinds.items() if isinstance(found.get(key), kind)}
    if values.get('stopped'):
        values.pop('exit_code', None)  # that of the signal, which says nothing of the executor
    return values
